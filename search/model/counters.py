"""Names that Keras numbers by itself, such as `dense_3`: they hang on what a process made before."""

import re

import keras


def keras_counter(operation: keras.Operation) -> tuple[str, int] | None:
    """Take apart a name that Keras gave: `dense_3` is ("dense", 3), `dense` is ("dense", 0).

    Returns:
        None where the name was given by somebody.
    """
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(operation).__name__)
    prefix = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    found = re.fullmatch(rf"{prefix}(?:_(\d+))?", operation.name)
    return (prefix, int(found[1] or 0)) if found else None


def stable_names(model: keras.Model) -> dict[str, str]:
    """Map names to what they would be in a fresh process: Keras' counters start from 0 there."""
    counted = {
        operation.name: counter for operation in model.operations if (counter := keras_counter(operation))
    }
    first: dict[str, int] = {}
    for prefix, number in counted.values():
        first[prefix] = min(number, first.get(prefix, number))
    names = {operation.name: operation.name for operation in model.operations}
    for name, (prefix, number) in counted.items():
        names[name] = f"{prefix}_{number - first[prefix]}" if number > first[prefix] else prefix
    return names
