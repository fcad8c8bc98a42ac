"""Augmentation: a program of its own in front of training, uint8 pictures to uint8 pictures."""

import math
from collections.abc import Callable
from typing import Any, Protocol, cast

import keras
import numpy as np
from keras import ops

from search.config.trial_config import FLIP_ROTATION, TrialConfig
from search.data.draws import colours, draw_numbers, flips_and_rotations, holes, transforms
from search.data.own_augmentor import OwnAugmentor
from search.user_function import user_function

# Each call takes exactly so many: for another number the compiler may arrange the same sums in another way,
# and a picture's draw must not hang on how many others are asked for with it.
_PICTURES_A_CALL = 64

# The grey that stands where something is cut out, the middle of the range
_CUT_OUT = 128

# ITU-R BT.601 weights of red, green and blue in a picture's brightness
_GREY = (0.299, 0.587, 0.114)


class Augmenting(Protocol):
    """What makes draws: the built-in augmentation, or an augmentor of the user's own."""

    pays: bool | None
    """Whether storing the pictures of a draw pays, once that was measured."""

    def __call__(self, pictures: np.ndarray, content: np.ndarray, draw: int, strength: float) -> np.ndarray:
        """Give each picture its change in a draw, as `Augmentation` does."""
        ...


def augmentation_of(config: TrialConfig, draw_seed: int) -> Augmenting:
    """Make what changes the training pictures of a trial.

    Raises:
        SpaceError: It names a function that does not exist.
    """
    name = config.own_functions.get("augmentor")
    if name is None:
        return Augmentation(draw_seed, config.augmentor == FLIP_ROTATION)
    return OwnAugmentor(user_function(name, "augmentor"), draw_seed)


class Augmentation:
    """Applies draws to pictures.

    Args:
        seed: The data's draw seed.
        few: Whether pictures are flipped and rotated only.

    Attributes:
        pays: Whether storing the pictures of a draw pays, once that was measured.
    """

    def __init__(self, seed: int, few: bool = False) -> None:
        self._seed, self._few = seed, few
        self.pays: bool | None = None
        self._program = _compiled(_augment)

    def __call__(self, pictures: np.ndarray, content: np.ndarray, draw: int, strength: float) -> np.ndarray:
        """Give each picture its change in this draw.

        Args:
            pictures: `(n, px, px, 3) uint8`.
            content: `(n,) uint64`, the first 64 bits of each picture's content hash.
            draw: The draw's number.
            strength: In [0, 1]; 0 is the identity.

        Returns:
            `(n, px, px, 3) uint8`.
        """
        if strength == 0 or len(pictures) == 0:
            return pictures
        numbers = draw_numbers(content, draw, self._seed)
        numbers = flips_and_rotations(numbers) if self._few else numbers
        moves, changes = transforms(numbers, strength, pictures.shape[1]), colours(numbers, strength)
        full = np.pad(np.arange(len(pictures)), (0, -len(pictures) % _PICTURES_A_CALL), mode="edge")
        calls = [
            self._program(pictures[part], moves[part], changes[part])
            for part in full.reshape(-1, _PICTURES_A_CALL)
        ]
        changed = np.concatenate([ops.convert_to_numpy(call) for call in calls])[: len(pictures)]
        for picture, (top, left, bottom, right) in zip(
            changed, holes(numbers, strength, pictures.shape[1]), strict=True
        ):
            picture[top:bottom, left:right] = _CUT_OUT
        return changed


def _augment(pictures: Any, moves: Any, changes: Any) -> Any:
    moved = ops.image.affine_transform(
        ops.cast(pictures, "float32"), moves, interpolation="bilinear", fill_mode="reflect"
    )
    brightness, contrast, saturation = (ops.reshape(changes[:, i], (-1, 1, 1, 1)) for i in range(3))
    red, green, blue = (moved[..., i : i + 1] * weight for i, weight in enumerate(_GREY))
    grey = red + green + blue
    coloured = grey + (moved - grey) * saturation
    # Summed as whole numbers: a sum of floats hangs on the order of its terms, and that on where in the batch
    # the picture stands.
    total = ops.sum(ops.cast(ops.round(grey), "int32"), axis=(1, 2, 3), keepdims=True)
    mean = ops.cast(total, "float32") / math.prod(pictures.shape[1:3])
    lit = mean + (coloured - mean) * contrast + brightness
    return ops.cast(ops.round(ops.clip(lit, 0.0, 255.0)), "uint8")


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    if keras.backend.backend() == "jax":
        import jax

        return cast("Callable[..., Any]", jax.jit(function))
    import tensorflow as tf

    return cast("Callable[..., Any]", tf.function(function))
