"""The graph of a backbone: its operations in order, and the cuts, where ONE tensor carries everything.

Both are found from the operations of the model: through its layers alone, places would look like cuts that
an operation without a layer (an addition written as `+`) bridges.
"""

from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Graph:
    """The operations of a model in topological order.

    `sources[i]` holds the positions of the operations that operation i reads, `outputs[i]` is its output, the
    first of several.
    """

    operations: tuple[keras.Operation, ...]
    sources: tuple[tuple[int, ...], ...]
    outputs: tuple[keras.KerasTensor, ...]
    dividing: frozenset[int] = frozenset()  # those that give several tensors, where no cut can be


@dataclass(frozen=True)
class Cut:
    """A place between prefix and tail: the output of one operation.

    `position` counts in `model.operations`; `shape` is that of the tensor for one picture.
    """

    name: str
    position: int
    shape: tuple[int, ...]


def graph_of(model: keras.Model) -> Graph:
    """Read the graph of a functional model with one input and one output."""
    nodes = _nodes(model)
    position = {operation: i for i, operation in enumerate(model.operations)}
    sources = tuple(
        tuple(position[tensor._keras_history.operation] for tensor in nodes[operation].input_tensors)
        for operation in model.operations
    )
    outputs = tuple(nodes[operation].outputs[0] for operation in model.operations)
    dividing = frozenset(
        i for i, operation in enumerate(model.operations) if len(nodes[operation].outputs) > 1
    )
    return Graph(tuple(model.operations), sources, outputs, dividing)


def cut_positions(graph: Graph) -> tuple[int, ...]:
    """Find the operations whose output alone carries everything, the model's input and output among them.

    An operation is one exactly if it gives one tensor and nothing before it is read after it, in whatever
    topological order.
    """
    last_reader = list(range(len(graph.operations)))
    for reader, sources in enumerate(graph.sources):
        for source in sources:
            last_reader[source] = max(last_reader[source], reader)
    positions, reached = [], 0
    for position in range(len(graph.operations)):
        if reached <= position and position not in graph.dividing:
            positions.append(position)
        reached = max(reached, last_reader[position])
    return tuple(positions)


def cuts(model: keras.Model) -> tuple[Cut, ...]:
    """List the inner cuts of a backbone from its input to its output, these two not among them."""
    graph = graph_of(model)
    return tuple(
        Cut(graph.operations[i].name, i, tuple(graph.outputs[i].shape[1:]))
        for i in cut_positions(graph)[1:-1]
    )


def split(model: keras.Model, cut: Cut) -> tuple[keras.Model, keras.Model]:
    """Split a backbone into prefix and tail, which share its layers and variables.

    Returns:
        The models `(n, px, px, 3)` pictures to the cut's tensor, and that tensor to the feature map.

    Raises:
        ValueError: The place is no cut of this model.
    """
    if cut not in cuts(model):
        raise ValueError(
            f"A model can be split only where one tensor carries everything, got '{cut.name}' at position "
            f"{cut.position} of {model.name}; take one of cuts(model)."
        )
    tensor = graph_of(model).outputs[cut.position]
    prefix = keras.Model(model.inputs[0], tensor, name=f"{model.name}_prefix")
    return prefix, keras.Model(tensor, model.outputs[0], name=f"{model.name}_tail")


def _nodes(model: keras.Model) -> dict[keras.Operation, Any]:
    # Walked from the output: an operation may have been called elsewhere too, as by the tail of a split.
    nodes: dict[keras.Operation, Any] = {}
    pending = [model.outputs[0]]
    while pending:
        operation, call, _ = pending.pop()._keras_history
        if operation not in nodes:
            nodes[operation] = operation._inbound_nodes[call]
            pending += nodes[operation].input_tensors
    return nodes
