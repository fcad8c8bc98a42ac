"""Inlining: composite layers and models within models, taken apart into the layers that they are made of.

KerasHub and users write a residual block as one layer of its own, or put a ready-made network into a model.
Taken apart, its cuts are found like everybody's, its BatchNormalization can be held still, and a saved model
needs Keras alone.
"""

from collections import Counter

import keras

from search.errors import SpaceError
from search.model.counters import keras_counter
from search.model.standard import foreign_objects

_DEEPEST = 20  # layers within layers


def inlined(model: keras.Model, name: str) -> keras.Model:
    """Take apart each model within the model, and each layer of others without weights beside its parts'.

    A layer without weights that is used several times, such as an activation, becomes several layers.

    Args:
        model: A functional model with one input and one output.
        name: The backbone's, for messages.

    Returns:
        A functional model of the same variables. Layers with weights of their own stay.

    Raises:
        SpaceError: What a layer does cannot be written as Keras' layers and operations.
    """
    for _ in range(_DEEPEST):
        shared = any(not layer.weights for layer in _used_again(model))
        if not shared and not any(_goes(operation) for operation in model.operations):
            break
        model = keras.models.clone_model(model, clone_function=_itself, call_function=_Caller(name))
    return model


def check_usable(model: keras.Model, name: str) -> None:
    """Refuse a model that cannot be cut, that Keras alone could not load, or that is no function in training.

    Args:
        model: A model after `inlined`.
        name: The backbone's, for messages.

    Raises:
        SpaceError: A layer with weights is used twice, something is not Keras' own, or draws random numbers.
    """
    for layer in _used_again(model):
        raise SpaceError(
            f"backbone: {name} uses its layer {layer.name}, which has weights, more than once; "
            "give each place a layer of its own."
        )
    if foreign := foreign_objects(model):
        raise SpaceError(
            f"backbone: {name} holds {', '.join(foreign)}, without which Keras could not load the champion; "
            "make it of Keras' own layers and functions."
        )
    for layer in model._flatten_layers(include_self=False):
        if _draws(layer):
            raise SpaceError(
                f"backbone: {name} has a layer {layer.name} of {type(layer).__name__}, which draws random "
                "numbers while it is trained; leave it out, and set augment or dropout instead."
            )


class _Caller:
    """Calls the layers of a model anew, those that go by their parts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: Counter[int] = Counter()

    def __call__(self, layer: keras.Layer, *inputs: object, **settings: object) -> object:
        if _goes(layer):
            return self._by_parts(layer, inputs)
        self._calls[id(layer)] += 1
        if self._calls[id(layer)] > 1 and not layer.weights:
            name = f"{layer.name}_{self._calls[id(layer)]}"
            layer = type(layer).from_config({**layer.get_config(), "name": name})
        return layer(*inputs, **settings)

    def _by_parts(self, layer: keras.Layer, inputs: tuple[object, ...]) -> object:
        for number, part in enumerate(_parts(layer)):
            part.name = _part_name(layer, part, number)
        try:
            return layer.call(*inputs)
        except Exception as error:  # whatever the layer's code comes to without numbers
            kind = f"{type(layer).__module__}.{type(layer).__name__}"
            raise SpaceError(
                f"backbone: {self._name} has a layer {layer.name} of {kind}, which cannot be taken apart "
                f"into Keras' layers ({' '.join(str(error).split())}); make it of Keras' layers."
            ) from error


def _goes(operation: keras.Operation) -> bool:
    """Tell whether a layer is replaced by what it is made of; Identity is made of nothing."""
    if isinstance(operation, keras.layers.Identity | keras.layers.Lambda | keras.Model):
        return True
    if not (isinstance(operation, keras.Layer) and _is_foreign(operation)):
        return False
    of_parts = {id(variable) for part in _parts(operation) for variable in part.weights}
    return all(id(variable) in of_parts for variable in operation.weights)


def _is_foreign(operation: keras.Operation) -> bool:
    return not type(operation).__module__.startswith("keras.")


def _used_again(model: keras.Model) -> list[keras.Layer]:
    calls = Counter(node.operation for nodes in model._nodes_by_depth.values() for node in nodes)
    return [one for one, n_calls in calls.items() if n_calls > 1 and isinstance(one, keras.Layer)]


def _parts(layer: keras.Layer) -> list[keras.Layer]:
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _part_name(layer: keras.Layer, part: keras.Layer, number: int) -> str:
    """Name a part for its place: each name stands once, and where Keras' counters are does not matter."""
    if counted := keras_counter(part):
        return f"{layer.name}_{counted[0]}_{number}"
    named = isinstance(layer, keras.Model) or part.name.startswith(layer.name)
    return part.name if named else f"{layer.name}_{part.name}"


def _draws(layer: keras.Layer) -> bool:
    # A rate is set to 0 in every backbone.
    held = hasattr(layer, "rate")
    return not held and any(isinstance(one, keras.random.SeedGenerator) for one in vars(layer).values())


def _itself(layer: keras.Layer) -> keras.Layer:
    return layer
