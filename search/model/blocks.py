"""The blocks of a backbone, and what `unfreeze` means: how deep stage 2 trains, in blocks from the top.

A block is what a person would count: a stem, a residual block, a cell, a dense layer, a bottleneck, or a
convolution with its normalisation, activation and pooling. Four rules on the graph find them:

1. Between two neighbouring cuts stands either one operation or several branches that meet again. Branches
   that meet are one block (a residual addition, an Inception module, a dense layer) - but for branches that
   meet in a product, a gate such as squeeze-and-excitation, which belongs to the block that it gates.
2. Branches in which a concatenation is followed by others that read it and the one before it (NASNet, which
   has no cut between its cells) are one block for each of these concatenations.
3. A convolution outside of branches takes along the padding before it, and all that follows up to the next
   convolution or branches: normalisation, activation, pooling, a gate.
4. Such convolutions are one block together where one is no more than a part of a bottleneck: a depthwise one
   with the next; one that is activated but reads a tensor that is not (an expansion) with the next; one that
   is not activated (a projection) with the activated one before it.
"""

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import keras

from search.config.trial_config import BY_PATTERN
from search.errors import SpaceError
from search.model.graph import Cut, Graph, cut_positions, cuts, graph_of

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
_ACTIVATIONS = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
# What leaves the question whether a tensor is activated as it was.
_NEUTRAL = (
    keras.layers.InputLayer,
    keras.layers.ZeroPadding2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
)


@dataclass(frozen=True)
class Block:
    """A stretch of a backbone; `name` is that of the operation that ends it."""

    name: str
    operations: tuple[keras.Operation, ...]

    @property
    def layers(self) -> tuple[keras.Layer, ...]:
        """The operations that are layers, in the order of the graph."""
        return tuple(operation for operation in self.operations if isinstance(operation, keras.Layer))


def blocks(model: keras.Model) -> tuple[Block, ...]:
    """Divide a backbone into blocks from its input to its output; each operation belongs to exactly one."""
    parts: list[list[_Unit]] = []
    for unit in _units(_spans(graph_of(model))):
        if parts and _belong_together(parts[-1][-1], unit):
            parts[-1].append(unit)
        else:
            parts.append([unit])
    whole = (tuple(operation for unit in part for operation in unit.operations) for part in parts)
    return tuple(Block(operations[-1].name, operations) for operations in whole)


def unfrozen_layers(model: keras.Model, unfreeze: float | str) -> tuple[keras.Layer, ...]:
    """List the layers that stage 2 trains: those with weights, BatchNormalization never among them.

    Args:
        model: A backbone.
        unfreeze: A share of its blocks from the top, rounded to whole blocks but at least one (0 is none,
            1.0 is all); where training starts: a layer's name, or `layer:120` for `model.layers[120:]`; or
            `re:PATTERN`, found in the names of the parameters, such as `block5_conv1/kernel`.

    Raises:
        SpaceError: The share is not in [0, 1], the name or place does not exist, nothing follows it that
            could be trained, or no parameter matches.
    """
    if isinstance(unfreeze, str) and unfreeze.startswith(BY_PATTERN):
        return _matching(model, unfreeze.removeprefix(BY_PATTERN))
    if isinstance(unfreeze, str):
        layers: Sequence[keras.Layer] = model.layers[_place(model, unfreeze) :]
    else:
        layers = [layer for block in _top_blocks(model, unfreeze) for layer in block.layers]
    chosen = tuple(layer for layer in layers if _can_be_trained(layer))
    if not chosen and unfreeze != 0:
        raise SpaceError(
            f"unfreeze: no layer of {model.name} from '{unfreeze}' on can be trained; name an earlier layer, "
            "or take 0 to train none."
        )
    return chosen


def storable_cut(model: keras.Model, unfreeze: float | str) -> Cut | None:
    """Find the highest cut below which nothing is trained and whose tensor is worth storing.

    It comes after the first block, since less is computed as soon as read, and its tensor holds no more
    numbers than the picture. The answer hangs on the model and `unfreeze` only, never on a measurement.

    Returns:
        The cut, or None where there is none.

    Raises:
        SpaceError: As `unfrozen_layers`.
    """
    first = model.operations.index(blocks(model)[0].operations[-1])
    most = math.prod(model.input_shape[1:])
    cuts_worth = [
        cut for cut in _legal_cuts(model, unfreeze) if cut.position >= first and math.prod(cut.shape) <= most
    ]
    return cuts_worth[-1] if cuts_worth else None


def highest_map(model: keras.Model, unfreeze: float | str) -> Cut | None:
    """Find the highest cut below which nothing is trained and whose tensor is a feature map.

    Returns:
        The cut, or None where there is none: not every backbone can be cut.

    Raises:
        SpaceError: As `unfrozen_layers`.
    """
    maps = [cut for cut in _legal_cuts(model, unfreeze) if len(cut.shape) == 3]
    return maps[-1] if maps else None


def _legal_cuts(model: keras.Model, unfreeze: float | str) -> list[Cut]:
    trained = set(unfrozen_layers(model, unfreeze))
    lowest = next((i for i, operation in enumerate(model.operations) if operation in trained), None)
    return [cut for cut in cuts(model) if lowest is None or cut.position < lowest]


@dataclass(frozen=True)
class _Span:
    """What stands between two neighbouring cuts, or a part of it."""

    kind: Literal["convolution", "branches", "gate", "link"]
    operations: tuple[keras.Operation, ...]


@dataclass(frozen=True)
class _Unit:
    """A convolution or branches with all that follows, and whether the tensors at its ends are activated."""

    kind: Literal["convolution", "branches"]
    operations: tuple[keras.Operation, ...]
    depthwise: bool
    reads_activated: bool
    gives_activated: bool


def _belong_together(before: _Unit, unit: _Unit) -> bool:
    if before.kind == "branches" or unit.kind == "branches":
        return False
    expands = before.gives_activated and not before.reads_activated
    projects = before.gives_activated and not unit.gives_activated
    return before.depthwise or expands or projects


def _units(spans: Sequence[_Span]) -> Iterator[_Unit]:
    starts = [i for i, span in enumerate(spans) if span.kind in ("convolution", "branches")]
    starts = [0] + [_with_padding(spans, start) for start in starts[1:]]
    activated = True  # the picture does not make what reads it an expansion
    for start, end in pairwise([*starts, len(spans)]):
        members = spans[start:end]
        core = next(span for span in members if span.kind in ("convolution", "branches"))
        reads = activated
        for span in members:
            activated = span.kind == "gate" or _is_activated(span.operations[-1], activated)
        operations = tuple(operation for span in members for operation in span.operations)
        kind: Literal["convolution", "branches"] = "branches" if core.kind == "branches" else "convolution"
        yield _Unit(kind, operations, _is_depthwise(core.operations[-1]), reads, activated)


def _with_padding(spans: Sequence[_Span], start: int) -> int:
    while isinstance(spans[start - 1].operations[-1], keras.layers.ZeroPadding2D):
        start -= 1
    return start


def _spans(graph: Graph) -> list[_Span]:
    bounds = [-1, *cut_positions(graph)]
    return [
        _Span(_kind(part), part)
        for before, end in pairwise(bounds)
        for part in _cells(graph, range(before + 1, end + 1))
    ]


def _kind(operations: tuple[keras.Operation, ...]) -> Literal["convolution", "branches", "gate", "link"]:
    if len(operations) > 1:
        return "gate" if isinstance(operations[-1], keras.layers.Multiply) else "branches"
    return "convolution" if _has_convolution(operations[0]) else "link"


def _has_convolution(operation: keras.Operation) -> bool:
    if isinstance(operation, keras.Model):
        return any(_has_convolution(layer) for layer in operation.layers)
    return isinstance(operation, _CONVOLUTIONS)


def _is_depthwise(operation: keras.Operation) -> bool:
    return isinstance(operation, keras.layers.DepthwiseConv2D)


def _is_activated(operation: keras.Operation, before: bool) -> bool:
    if isinstance(operation, keras.Model):
        return _is_activated(operation.layers[-1], before)
    if isinstance(operation, _NEUTRAL):
        return before
    activation = getattr(operation, "activation", keras.activations.linear)
    return isinstance(operation, _ACTIVATIONS) or activation is not keras.activations.linear


def _cells(graph: Graph, span: range) -> Iterator[tuple[keras.Operation, ...]]:
    """Divide branches at their cell ends, by rule 2; anything else stays whole."""
    before = _ancestors(graph, span)
    rest = list(span)
    for end in _cell_ends(graph, span, before):
        cell = [i for i in rest if i in before[end] or i == end]
        rest = [i for i in rest if i not in cell]
        yield tuple(graph.operations[i] for i in cell)
    yield tuple(graph.operations[i] for i in rest)


def _cell_ends(graph: Graph, span: range, before: dict[int, set[int]]) -> list[int]:
    concatenations = [i for i in span if isinstance(graph.operations[i], keras.layers.Concatenate)]
    candidates: set[int] = set()
    for end in concatenations[1:]:
        done = before[end] | {end}
        later = (i for i in range(span.start, len(graph.operations)) if i not in done)
        still_read = {source for i in later for source in graph.sources[i]} & done
        if len(still_read) == 2 and still_read < set(concatenations):
            candidates |= still_read
    return _chain(candidates - {span[-1]}, before)


def _chain(candidates: set[int], before: dict[int, set[int]]) -> list[int]:
    # A concatenation inside a cell can look like an end too, but the end of the cell before it is not among
    # its ancestors.
    chain: list[int] = []
    for end in sorted(candidates, key=lambda i: len(before[i]), reverse=True):
        if not chain or end in before[chain[-1]]:
            chain.append(end)
    return chain[::-1]


def _ancestors(graph: Graph, span: range) -> dict[int, set[int]]:
    before: dict[int, set[int]] = {}
    for i in span:
        parents = {source for source in graph.sources[i] if source >= span.start}
        before[i] = parents.union(*(before[parent] for parent in parents))
    return before


def _top_blocks(model: keras.Model, share: float) -> tuple[Block, ...]:
    if not 0 <= share <= 1:
        raise SpaceError(f"unfreeze: must be in 0.0 to 1.0, the name of a layer or 'layer:N', got {share}.")
    everything = blocks(model)
    n_blocks = max(1, round(share * len(everything))) if share > 0 else 0
    return everything[len(everything) - n_blocks :]


def _matching(model: keras.Model, pattern: str) -> tuple[keras.Layer, ...]:
    layers = [layer for layer in model.layers if _can_be_trained(layer)]
    named = [(f"{layer.name}/{one.name}", layer) for layer in layers for one in layer.trainable_variables]
    chosen = [layer for name, layer in named if re.search(pattern, name)]
    if not chosen:
        last = ", ".join(name for name, layer in named[-3:])
        raise SpaceError(
            f"unfreeze: no parameter of {model.name} that can be trained matches '{pattern}'; "
            f"the last ones are {last}."
        )
    return tuple(dict.fromkeys(chosen))


def _can_be_trained(layer: keras.Layer) -> bool:
    return bool(layer.weights) and not isinstance(layer, keras.layers.BatchNormalization)


def _place(model: keras.Model, unfreeze: str) -> int:
    names = [layer.name for layer in model.layers]
    if unfreeze in names:
        return names.index(unfreeze)
    number = unfreeze.removeprefix("layer:")
    if number != unfreeze and number.isdecimal() and int(number) < len(names):
        return int(number)
    if number != unfreeze:
        raise SpaceError(
            f"unfreeze: '{unfreeze}' is no layer of {model.name}; write layer:0 to layer:{len(names) - 1}."
        )
    near = difflib.get_close_matches(unfreeze, names, n=3, cutoff=0.3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the last ones are {', '.join(names[-3:])}."
    raise SpaceError(f"unfreeze: {model.name} has no layer '{unfreeze}'; {hint}")
