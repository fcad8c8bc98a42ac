"""Backbones of the user's own: `my_module:build`, a function of the pictures' size that gives a model."""

import traceback

import keras
import numpy as np

from search.errors import SpaceError
from search.model.backbones import OwnBackbone, Preprocessing
from search.user_function import user_function

_PREPROCESSING: tuple[Preprocessing, ...] = ("tf", "torch", "caffe", "inside")


def own_model(row: OwnBackbone, image_size_px: int) -> keras.Model:
    """Call the user's function: `build(image_size_px)`.

    Returns:
        A functional model, pictures of this size to a feature map.

    Raises:
        SpaceError: The function fails, gives another kind of model, or other weights each time.
    """
    model = _checked(row, _called(row, image_size_px), image_size_px)
    again = _checked(row, _called(row, image_size_px), image_size_px)
    pairs = zip(model.get_weights(), again.get_weights(), strict=True)
    if len(model.weights) != len(again.weights) or not all(np.array_equal(a, b) for a, b in pairs):
        raise SpaceError(
            f"backbone: {row.name} gives other weights each time it is called, so that nothing could be "
            "repeated; let it load them from a file, or give its initializers seeds."
        )
    return model


def way_of(row: OwnBackbone) -> Preprocessing:
    """Read how pictures are mapped: the function's attribute `preprocessing`; `inside` where it has none.

    Raises:
        SpaceError: The attribute is no such way.
    """
    how: Preprocessing = getattr(user_function(row.name, "backbone").call, "preprocessing", "inside")
    if how not in _PREPROCESSING:
        raise SpaceError(
            f"backbone: {row.name}.preprocessing must be one of {', '.join(_PREPROCESSING)}, got {how!r}."
        )
    return how


def _called(row: OwnBackbone, image_size_px: int) -> object:
    build = user_function(row.name, "backbone").call
    try:
        return build(image_size_px)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise SpaceError(
            f"backbone: {row.name}({image_size_px}) fails with {type(error).__name__} "
            f"({' '.join(str(error).split())}) in {last.filename}, line {last.lineno}; mend it."
        ) from error


def _checked(row: OwnBackbone, model: object, image_size_px: int) -> keras.Model:
    def refuse(what: str) -> SpaceError:
        return SpaceError(
            f"backbone: {row.name} must give a functional Keras model of (n, {image_size_px}, "
            f"{image_size_px}, 3) pictures to a feature map (n, h, w, c), got {what}."
        )

    if not isinstance(model, keras.Model):
        raise refuse(f"{type(model).__name__}, which is no Keras model")
    inputs, outputs = _ends(model)
    if not inputs:
        raise refuse(f"{type(model).__name__}, a model whose layers are not known")
    if len(inputs) != 1 or not _takes(inputs[0].shape, image_size_px):
        raise refuse(f"inputs {', '.join(str(one.shape) for one in inputs)}")
    if len(outputs) != 1 or len(outputs[0].shape) != 4:
        raise refuse(f"outputs {', '.join(str(one.shape) for one in outputs)}")
    return keras.Model(inputs[0], outputs[0])


def _ends(model: keras.Model) -> tuple[list[keras.KerasTensor], list[keras.KerasTensor]]:
    try:
        return list(model.inputs or []), list(model.outputs or [])
    except (AttributeError, ValueError):  # a subclass of Model, or a Sequential without input
        return [], []


def _takes(shape: tuple[int | None, ...], image_size_px: int) -> bool:
    return len(shape) == 4 and shape[3] == 3 and all(side in (None, image_size_px) for side in shape[1:3])
