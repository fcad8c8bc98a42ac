"""Sources: where a stage's inputs come from, picture by picture, in the order that is asked for."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search.config.space import Precision
from search.data.image_set import ImageSet
from search.errors import SpaceError
from search.model.augmentation import Augmentation
from search.model.programs import ForwardProgram

# Pictures held in memory at a time while features are computed; a multiple of the forward batch.
PICTURES_A_PART = 512


class Source(Protocol):
    """One draw of one split, as a program takes it."""

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Give the inputs of some pictures.

        Args:
            positions: `(n,) int`, positions within the split.

        Returns:
            `(n, ...)`, float32 features or uint8 pictures.
        """
        ...


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures themselves, changed as the draw says: `(n, px, px, 3) uint8`."""

    augmentation: Augmentation
    images: ImageSet
    split: str
    draw: int
    strength: float

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
        pictures: What they are computed of.
        program: What computes them.
        shape: Theirs, for one picture.
        precision: What they are rounded to.
    """

    pictures: Pictures
    program: ForwardProgram
    shape: tuple[int, ...]
    precision: Precision

    @property
    def bytes_a_picture(self) -> int:
        """The size of one picture's features where they are stored."""
        return math.prod(self.shape) * np.dtype(self.precision).itemsize

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Compute the features of some pictures."""
        parts = (positions[at : at + PICTURES_A_PART] for at in range(0, len(positions), PICTURES_A_PART))
        codes = [self.program(self.pictures.take(part)) for part in parts]
        return rounded(np.concatenate(codes), self.precision).astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class Stored:
    """Features in a memory-mapped file, `(n of the split, ...)` in the precision that they are kept in."""

    codes: np.ndarray

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Read the features of some pictures."""
        return np.asarray(self.codes[positions], dtype=np.float32)


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
