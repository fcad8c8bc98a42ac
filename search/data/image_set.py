"""ImageSet: what training needs of a data set at one size, arrays only."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.data.arrays import arrays_key, decoded
from search.data.split import SPLITS
from search.data.table import DataSet
from search.data.threads import Progress
from search.store.entries import Store
from search.store.mapped import read_rows


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Decoded pictures with their labels.

    Attributes:
        key: Digest of all that can change a pixel, a label, a split or the order.
        images: `(n, px, px, 3) uint8`, memory-mapped.
        labels: `(n,) int64`, positions in `classes`.
        content: `(n,) uint64`, the first 64 bits of each picture's content hash.
        rows: The rows of each split, ascending, `(n of the split,) int64`.
        classes: The labels' names.
        draw_seed: Seed of the augmentation draws.
    """

    key: str
    images: np.ndarray
    labels: np.ndarray
    content: np.ndarray
    rows: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    draw_seed: int

    def images_of(self, split: str) -> np.ndarray:
        """Give the pictures of a split: `(n of the split, px, px, 3) uint8`."""
        return read_rows(self.images, self.rows[split])

    def labels_of(self, split: str) -> np.ndarray:
        """Give the labels of a split: `(n of the split,) int64`."""
        chosen: np.ndarray = self.labels[self.rows[split]]
        return chosen


def image_set(
    data: DataSet, image_size_px: int, draw_seed: int, store: Store, progress: Progress | None = None
) -> ImageSet:
    """Decode a data set at one size, or take it from the store."""
    content = [int(text[:16], 16) for text in data.table["content"]]
    return ImageSet(
        key=arrays_key(data, image_size_px),
        images=decoded(data, image_size_px, store, progress),
        labels=data.labels(),
        content=np.array(content, dtype=np.uint64),
        rows={split: data.indices(split) for split in SPLITS},
        classes=data.classes,
        draw_seed=draw_seed,
    )
