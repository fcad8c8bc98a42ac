"""Sources: where a stage's inputs come from, picture by picture, in the order that is asked for."""

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from search.config.sections import Precision
from search.data.image_set import ImageSet
from search.errors import SpaceError
from search.model.augmentation import Augmenting
from search.model.programs import ForwardProgram
from search.training.workshop import FORWARD_BATCH

# Pictures held in memory at a time while features are computed; a multiple of the forward batch.
PICTURES_A_PART = 512


class Source(Protocol):
    """One draw of one split, as a program takes it."""

    @property
    def saved_s(self) -> float:
        """Seconds that all that was taken so far would have taken more if nothing were stored."""
        ...

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Give the inputs of some pictures.

        Args:
            positions: `(n,) int`, positions within the split.

        Returns:
            `(n, ...)`, float32 features or uint8 pictures.
        """
        ...


class Making(Source, Protocol):
    """A source that makes what it gives each time, and may be stored instead."""

    @property
    def n_pictures(self) -> int:
        """How many pictures the split has."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """That of what it gives for one picture."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it is stored as."""
        ...


def bytes_of(source: Making, n_pictures: int) -> int:
    """Give the size that so many pictures of a source have where they are stored."""
    return n_pictures * math.prod(source.shape) * source.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures themselves, changed as the draw says each time: `(n, px, px, 3) uint8`."""

    augmentation: Augmenting
    images: ImageSet
    split: str
    draw: int
    strength: float
    saved_s = 0.0
    dtype = np.dtype(np.uint8)

    @property
    def n_pictures(self) -> int:
        """How many pictures the split has."""
        return len(self.images.rows[self.split])

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one picture."""
        return tuple(self.images.images.shape[1:])

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Augment some pictures."""
        rows = self.images.rows[self.split][positions]
        return self.augmentation(
            self.images.images[rows], self.images.content[rows], self.draw, self.strength
        )


@dataclass(frozen=True, eq=False)
class Computed:
    """Features that are computed each time they are asked for, rounded as if they had been stored.

    Attributes:
        pictures: What they are computed of, `n_pictures` of them.
        n_pictures: How many pictures the split has.
        program: What computes them.
        shape: Theirs, for one picture.
        precision: What they are rounded to.
    """

    pictures: Source
    n_pictures: int
    program: ForwardProgram
    shape: tuple[int, ...]
    precision: Precision
    saved_s = 0.0

    @property
    def dtype(self) -> np.dtype[Any]:
        """What they are stored as."""
        return np.dtype(self.precision)

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Compute the features of some pictures."""
        # Full batches only, so that a picture's features do not hang on how many are asked for with it.
        full = np.pad(positions, (0, -len(positions) % FORWARD_BATCH), mode="edge")
        parts = (full[at : at + PICTURES_A_PART] for at in range(0, len(full), PICTURES_A_PART))
        codes = np.concatenate([self.program(self.pictures.take(part)) for part in parts])[: len(positions)]
        return rounded(codes, self.precision).astype(np.float32, copy=False)


class Stored:
    """Features, or the pictures of a draw, in a file.

    Args:
        codes: `(n of the split, ...)`, memory-mapped, in the precision that they are kept in.
        computing_s: Seconds that it took to compute them all, at an earlier time.
    """

    def __init__(self, codes: np.ndarray, computing_s: float) -> None:
        self.codes, self._computing_s = codes, computing_s
        self._saved_s = 0.0

    @property
    def saved_s(self) -> float:
        """What computing would have taken, less what reading took; 0 where that is less."""
        return max(0.0, self._saved_s)

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Read those of some pictures: float32 features or uint8 pictures."""
        started = time.perf_counter()
        dtype = np.uint8 if self.codes.dtype == np.uint8 else np.float32
        codes = np.asarray(self.codes[positions], dtype=dtype)
        reading_s = time.perf_counter() - started
        self._saved_s += self._computing_s * len(positions) / len(self.codes) - reading_s
        return codes


def rounded(codes: np.ndarray, precision: Precision) -> np.ndarray:
    """Round features to what they are kept in.

    Raises:
        SpaceError: A finite number is too large for the precision.
    """
    if precision == "float32":
        return codes
    with np.errstate(over="ignore"):
        kept = codes.astype(np.float16)
    if not np.isfinite(kept[np.isfinite(codes)]).all():
        raise SpaceError(
            f"reuse.features: float16 holds numbers up to 65504, and these features reach "
            f"{np.abs(codes[np.isfinite(codes)]).max():.3g}; take float32."
        )
    return kept
