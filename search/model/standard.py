"""What plain Keras can load: objects of its own only, none that holds code."""

from collections.abc import Iterator
from typing import Any

import keras


def foreign_objects(model: keras.Model) -> list[str]:
    """Name the classes in a model that plain Keras could not load, sorted.

    Keras names the module of every object that it saves. Safe mode refuses Lambda, since it holds code.
    """
    config = keras.saving.serialize_keras_object(model)
    return sorted({str(found["class_name"]) for found in _objects(config) if _is_foreign(found)})


def _is_foreign(found: dict[str, Any]) -> bool:
    room = str(found["module"]).partition(".")[0]
    return room not in ("keras", "builtins") or found["class_name"] == "Lambda"


def _objects(config: object) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        if "module" in config and "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _objects(value)
