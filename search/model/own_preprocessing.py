"""A preprocessing function of the user's own, as a part of the network."""

from typing import Any

import keras

from search.errors import SpaceError
from search.model.standard import foreign_objects
from search.user_function import UserFunction


def own_preprocessing(function: UserFunction, image_size_px: int) -> keras.Model:
    """Call the function once, on a symbolic batch of pictures, and take what it built.

    What comes out is a part of every program and of the exported model, so it is made of Keras' own
    operations and has nothing to be trained; `preprocess_input` of keras.applications is such a function.

    Args:
        function: `(n, px, px, 3) float32` in [0, 255], red, green and blue, to what the backbone reads, of
            the same shape.
        image_size_px: Side of the square pictures.

    Returns:
        `(n, px, px, 3) uint8` pictures to what the function gives, float32.

    Raises:
        SpaceError: The function works on arrays only, gives something else, or uses what plain Keras could
            not load, random numbers or weights.
    """
    pictures = keras.Input((image_size_px, image_size_px, 3), dtype="uint8", name="pictures")
    symbols = keras.ops.cast(pictures, "float32")
    try:
        found = function.call(symbols)
    except Exception as error:
        raise _wrong(function, f"failed with {_told(error)}") from error
    _refuse_other(function, found, symbols)
    model = keras.Model(pictures, found, name="preprocess")
    _refuse_foreign(function, model)
    return model


def _refuse_other(function: UserFunction, found: Any, symbols: keras.KerasTensor) -> None:
    if not keras.backend.is_keras_tensor(found):
        raise _wrong(function, f"gave {type(found).__name__}")
    if (tuple(found.shape), found.dtype) != (tuple(symbols.shape), "float32"):
        raise _wrong(function, f"gave {tuple(found.shape)} {found.dtype} for {tuple(symbols.shape)} float32")


def _refuse_foreign(function: UserFunction, model: keras.Model) -> None:
    foreign = foreign_objects(model)
    if foreign:
        raise _wrong(function, f"uses {', '.join(foreign)}, which plain Keras cannot load")
    if model.variables:
        names = ", ".join(sorted({variable.path for variable in model.variables}))
        raise _wrong(function, f"has variables ({names}), so it is no fixed function")


def _wrong(function: UserFunction, got: str) -> SpaceError:
    return SpaceError(
        f"preprocess: {function.name} is called once, on a symbolic (n, px, px, 3) float32 tensor, and "
        f"must give another one by keras.ops; it {got}; "
        "write it so, or take preprocess_input of keras.applications."
    )


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
