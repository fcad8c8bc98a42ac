"""Overview: what a data set is like, for people: classes, sizes of the pictures, what was set aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from search.data.split import SPLITS, Split
from search.data.table import COPY_OF, DataSet
from search.data.threads import Progress, in_threads

# Pictures whose size is looked at; more say the same, and each is a file to open.
MOST_MEASURED = 2_000


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the largest of some numbers."""

    least: int
    median: int
    most: int

    @classmethod
    def of(cls, values: Sequence[int]) -> "Spread":
        """Sum up numbers, one at least."""
        return cls(min(values), int(np.median(values)), max(values))


@dataclass(frozen=True)
class Overview:
    """What a data set is like.

    Attributes:
        counts: Pictures by class, and of each class by split.
        n_measured: Pictures whose size was looked at.
        width_px: Their widths as they lie on disk.
        height_px: Their heights.
        n_copies: Pictures set aside since they are there twice.
        broken: Pictures set aside since they cannot be read.
    """

    counts: Mapping[str, Mapping[Split, int]]
    n_measured: int
    width_px: Spread
    height_px: Spread
    n_copies: int
    broken: tuple[str, ...]

    def total(self, split: Split) -> int:
        """Count the pictures of a split."""
        return sum(row[split] for row in self.counts.values())

    @property
    def majority(self) -> float:
        """The share of the training pictures that the most frequent class has."""
        return max(row["train"] for row in self.counts.values()) / self.total("train")


def overview(data: DataSet, progress: Progress | None = None) -> Overview:
    """Look a data set over.

    Args:
        data: The data set.
        progress: Called with (pictures measured, pictures to measure).
    """
    # Ordered by content, which is random: every so many-th picture is a fair sample.
    step = -(-len(data.table) // MOST_MEASURED)
    paths = [Path(path) for path in data.table["path"].iloc[::step]]
    widths, heights = zip(*in_threads(_size, paths, progress), strict=True)
    counted = data.counts().to_dict(orient="index")
    n_copies = sum(one.reason.startswith(COPY_OF) for one in data.quarantined)
    return Overview(
        counts={label: {split: int(counted[label][split]) for split in SPLITS} for label in data.classes},
        n_measured=len(paths),
        width_px=Spread.of(widths),
        height_px=Spread.of(heights),
        n_copies=n_copies,
        broken=tuple(one.path for one in data.quarantined if not one.reason.startswith(COPY_OF)),
    )


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size
