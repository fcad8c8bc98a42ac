"""Backbones as Keras models: preprocessing, weights, and all held still that would disturb a search."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from search.errors import WeightsError
from search.model.backbones import Backbone, check_image_size
from search.model.own_preprocessing import own_preprocessing
from search.seeds import seed_for
from search.user_function import UserFunction

# ImageNet's mean and deviation of red, green and blue in [0, 1], and the mean of blue, green and red in
# [0, 255], as keras.applications.imagenet_utils has them.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_MEAN_BGR = (103.939, 116.779, 123.68)


def preprocess(row: Backbone, pictures: keras.KerasTensor) -> keras.KerasTensor:
    """Map pictures to what a backbone wants, by Keras' own layers, so that a saved model needs no other code.

    Args:
        row: The backbone.
        pictures: `(n, px, px, 3)` uint8 or float, red, green and blue in [0, 255].

    Returns:
        `(n, px, px, 3)` in Keras' compute dtype: what `preprocess_input` of the backbone's family gives.
    """
    if row.preprocessing == "caffe":
        pictures = keras.ops.flip(pictures, axis=-1)
    scale, offset = _scale_and_offset(row)
    return keras.layers.Rescaling(scale, offset=offset, name="preprocess")(pictures)


def preprocessing(
    row: Backbone, image_size_px: int, own: UserFunction | None
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Give what maps uint8 pictures to what a backbone wants: its own way, or a function of the user's own.

    What lies inside a backbone (`preprocessing` is `inside`) stays there.

    Raises:
        SpaceError: The user's function cannot be part of a network.
    """
    if own is None:
        return lambda pictures: preprocess(row, pictures)
    model = own_preprocessing(own, image_size_px)
    return lambda pictures: model(pictures)


def build_backbone(row: Backbone, image_size_px: int, weights_path: Path | None, seed: int) -> keras.Model:
    """Build a backbone without its top.

    BatchNormalization is set to not trainable one by one (Keras does not keep `training=False` of a nested
    call in `fit`), rates of dropout and stochastic depth are 0, since a frozen prefix must be a function,
    and names that Keras numbers by itself count from zero in every model.

    Args:
        row: The backbone.
        image_size_px: Side of the square pictures.
        weights_path: The file of its weights, or None for random ones.
        seed: Decides the random weights, and nothing where there is a file.

    Returns:
        A functional model, `(n, px, px, 3)` preprocessed pictures to a feature map `(n, h, w, c)`.

    Raises:
        SpaceError: The pictures are too small for the backbone.
        WeightsError: The file does not hold this backbone's weights.
    """
    check_image_size(row, image_size_px)
    original = _construct(row, image_size_px)
    if weights_path is not None:
        _load(original, row, weights_path)
    pictures = keras.Input((image_size_px, image_size_px, 3), name="input_layer")
    model = keras.models.clone_model(original, pictures, clone_function=_Remake(original, seed))
    model.name = row.name
    if weights_path is not None:
        _copy_weights(original, model)
    return model


def _scale_and_offset(row: Backbone) -> tuple[float | list[float], float | list[float]]:
    if row.preprocessing == "tf":
        return 1 / 127.5, -1.0
    if row.preprocessing == "torch":
        scale = [1 / (255 * deviation) for deviation in _DEVIATION]
        return scale, [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
    if row.preprocessing == "caffe":
        return 1.0, [-mean for mean in _MEAN_BGR]
    return 1.0, 0.0


def _construct(row: Backbone, image_size_px: int) -> keras.Model:
    constructor = getattr(keras.applications, row.constructor)
    shape = (image_size_px, image_size_px, 3)
    width = {} if row.alpha is None else {"alpha": row.alpha}
    return constructor(include_top=False, weights=None, input_shape=shape, **width)


def _load(model: keras.Model, row: Backbone, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that find nothing in the file and keep their random weights.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise WeightsError(
            f"backbone {row.name}: {path} does not hold its weights without the top ({_first_line(error)}); "
            "take the right file, or remove it if its download broke off."
        ) from error


def _copy_weights(original: keras.Model, model: keras.Model) -> None:
    for old, new in zip(original.layers, model.layers, strict=True):
        if new.weights:
            new.set_weights(old.get_weights())


class _Remake:
    """Makes each operation of a model anew from its configuration, with what must not vary held still."""

    def __init__(self, original: keras.Model, seed: int) -> None:
        self._names = _stable_names(original)
        self._seed = seed

    def __call__(self, operation: keras.Operation) -> keras.Operation:
        config = operation.get_config()
        name = self._names[operation.name]
        if "name" in config:
            config["name"] = name
        if isinstance(operation, keras.layers.Normalization):
            config |= self._constants(operation)
        _hold_still({"class_name": type(operation).__name__, "config": config}, self._seed, name)
        remade = type(operation).from_config(config)
        remade.name = name
        return remade

    def _constants(self, layer: keras.layers.Normalization) -> dict[str, list[float]]:
        layer.finalize_state()
        mean = keras.ops.convert_to_numpy(layer.mean).ravel().tolist()
        variance = keras.ops.convert_to_numpy(layer.variance).ravel().tolist()
        if np.allclose(variance, _DEVIATION, atol=1e-3):
            # Keras' files of the first EfficientNet hold the deviation where the variance belongs. Its own
            # constructor mends that by one more rescaling, but only for weights="imagenet", not for a file.
            variance = [value * deviation for value, deviation in zip(variance, _DEVIATION, strict=True)]
        return {"mean": mean, "variance": variance}


def _hold_still(part: dict[str, Any], seed: int, purpose: str) -> None:
    """Fix, in a serialised layer and all that is nested in it, what would vary or move by itself."""
    config = part.get("config")
    if isinstance(config, dict):
        if part.get("class_name") == "BatchNormalization":
            config["trainable"] = False
        if "seed" in config:
            config["seed"] = seed_for(seed, f"backbone {purpose}")
        for rate in {"rate", "drop_path_rate"} & config.keys():
            config[rate] = 0.0
    for key, value in part.items():
        for i, inner in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(inner, dict):
                _hold_still(inner, seed, f"{purpose}/{key}{i}")


def _stable_names(model: keras.Model) -> dict[str, str]:
    """Map names to what they would be in a fresh process: Keras' counters start from 0 there."""
    counted = {
        operation.name: (prefix, number)
        for operation in model.operations
        for prefix, number in _counted(operation)
    }
    first: dict[str, int] = {}
    for prefix, number in counted.values():
        first[prefix] = min(number, first.get(prefix, number))
    names = {operation.name: operation.name for operation in model.operations}
    for name, (prefix, number) in counted.items():
        names[name] = f"{prefix}_{number - first[prefix]}" if number > first[prefix] else prefix
    return names


def _counted(operation: keras.Operation) -> list[tuple[str, int]]:
    prefix = re.sub(
        r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(operation).__name__)
    )
    found = re.fullmatch(rf"{prefix.lower()}(?:_(\d+))?", operation.name)
    return [(prefix.lower(), int(found[1] or 0))] if found else []


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
