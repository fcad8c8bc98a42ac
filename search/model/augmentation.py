"""Augmentation: a program of its own in front of training, uint8 pictures to uint8 pictures."""

from collections.abc import Callable
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from search.data.draws import colours, draw_numbers, transforms

# Bounds the memory of one call; pictures do not influence each other, so any size gives the same numbers.
_PICTURES_A_CALL = 256

# ITU-R BT.601 weights of red, green and blue in a picture's brightness
_GREY = (0.299, 0.587, 0.114)


class Augmentation:
    """Applies draws to pictures."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
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
        moves, changes = transforms(numbers, strength, pictures.shape[1]), colours(numbers, strength)
        parts = [slice(at, at + _PICTURES_A_CALL) for at in range(0, len(pictures), _PICTURES_A_CALL)]
        return np.concatenate(
            [
                ops.convert_to_numpy(self._program(pictures[part], moves[part], changes[part]))
                for part in parts
            ]
        )


def _augment(pictures: Any, moves: Any, changes: Any) -> Any:
    moved = ops.image.affine_transform(
        ops.cast(pictures, "float32"), moves, interpolation="bilinear", fill_mode="reflect"
    )
    brightness, contrast, saturation = (ops.reshape(changes[:, i], (-1, 1, 1, 1)) for i in range(3))
    grey = ops.sum(moved * ops.convert_to_tensor(_GREY), axis=-1, keepdims=True)
    coloured = grey + (moved - grey) * saturation
    mean = ops.mean(grey, axis=(1, 2, 3), keepdims=True)
    lit = mean + (coloured - mean) * contrast + brightness
    return ops.cast(ops.round(ops.clip(lit, 0.0, 255.0)), "uint8")


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    if keras.backend.backend() == "jax":
        import jax

        return cast("Callable[..., Any]", jax.jit(function))
    import tensorflow as tf

    return cast("Callable[..., Any]", tf.function(function, reduce_retracing=True))
