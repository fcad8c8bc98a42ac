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

from search.config.trial_config import BY_PATTERN, LAST
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


def unfrozen_layers(
    model: keras.Model, unfreeze: float | str, norms: bool = False
) -> tuple[keras.Layer, ...]:
    """List the layers that a stage trains: those with weights, BatchNormalization not among them.

    Args:
        model: A backbone.
        unfreeze: A share of its blocks from the top, rounded to whole blocks but at least one (0 is none,
            1.0 is all); where training starts: a layer's name, or `layer:120` for `model.layers[120:]`; or
            `re:PATTERN`, found in the names of the parameters, such as `block5_conv1/kernel`. `last:3` are
            the last layers, whether or not there is anything to train in them.
        norms: Whether BatchNormalization that has gamma or beta is listed too.

    Raises:
        SpaceError: The share is not in [0, 1], the name or place does not exist, nothing follows it that
            could be trained, or no parameter matches.
    """
    if isinstance(unfreeze, str) and unfreeze.startswith(BY_PATTERN):
        return _matching(model, unfreeze.removeprefix(BY_PATTERN), norms)
    if isinstance(unfreeze, str) and unfreeze.startswith(LAST):
        last = model.layers[-int(unfreeze.removeprefix(LAST)) :]
        return tuple(layer for layer in last if _can_be_trained(layer, norms))
    if isinstance(unfreeze, str):
        layers: Sequence[keras.Layer] = model.layers[_place(model, unfreeze, "unfreeze") :]
    else:
        layers = [layer for block in _top_blocks(model, unfreeze) for layer in block.layers]
    chosen = tuple(layer for layer in layers if _can_be_trained(layer, norms))
    if not chosen and unfreeze != 0:
        raise SpaceError(
            f"unfreeze: no layer of {model.name} from '{unfreeze}' on can be trained; name an earlier layer, "
            "or take 0 to train none."
        )
    return chosen


def trained_of(layer: keras.Layer, norms: bool = False) -> list[keras.Variable]:
    """List what can be trained of a layer: of BatchNormalization gamma and beta, where `norms` says so."""
    if not isinstance(layer, keras.layers.BatchNormalization):
        trained: list[keras.Variable] = layer.trainable_variables
        return trained
    return [one for one in (layer.gamma, layer.beta) if norms and one is not None]


def up_to(model: keras.Model, codes: float | str) -> keras.Model:
    """Take the part of a backbone up to the place where its codes are taken.

    Args:
        model: A backbone.
        codes: A share of its blocks from below, rounded to whole blocks but at least one, or a layer's name.

    Returns:
        A model of the same layers, which it shares; the model itself for 1.0.

    Raises:
        SpaceError: There is no such layer, or what it gives is no feature map.
    """
    if codes == 1.0:
        return model
    if isinstance(codes, str):
        tensor = model.layers[_place(model, codes, "codes")].output
    else:
        everything = blocks(model)
        graph = graph_of(model)
        last = everything[max(1, round(codes * len(everything))) - 1].operations[-1]
        tensor = graph.outputs[graph.operations.index(last)]
    if len(tensor.shape) != 4:
        raise SpaceError(
            f"codes: '{codes}' of {model.name} gives {tuple(tensor.shape[1:])} a picture, no feature map; "
            "name a layer whose output has height, width and channels."
        )
    return keras.Model(model.inputs[0], tensor, name=model.name)


def storable_cut(model: keras.Model, *trained: keras.Layer) -> Cut | None:
    """Find the highest cut below which nothing is trained and whose tensor is worth storing.

    It comes after the first block, since less is computed as soon as read, and its tensor holds no more
    numbers than the picture. The answer hangs on the model and on what is trained, never on a measurement.

    Args:
        model: A backbone.
        trained: The layers that are trained.

    Returns:
        The cut, or None where there is none.
    """
    first = model.operations.index(blocks(model)[0].operations[-1])
    most = math.prod(model.input_shape[1:])
    lowest = next((i for i, operation in enumerate(model.operations) if operation in trained), None)
    worth = [
        cut
        for cut in cuts(model)
        if cut.position >= first
        and math.prod(cut.shape) <= most
        and (lowest is None or cut.position < lowest)
    ]
    return worth[-1] if worth else None


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


def _matching(model: keras.Model, pattern: str, norms: bool) -> tuple[keras.Layer, ...]:
    named = [
        (f"{layer.name}/{one.name}", layer) for layer in model.layers for one in trained_of(layer, norms)
    ]
    chosen = [layer for name, layer in named if re.search(pattern, name)]
    if not chosen:
        last = ", ".join(name for name, layer in named[-3:])
        raise SpaceError(
            f"unfreeze: no parameter of {model.name} that can be trained matches '{pattern}'; "
            f"the last ones are {last}."
        )
    return tuple(dict.fromkeys(chosen))


def _can_be_trained(layer: keras.Layer, norms: bool) -> bool:
    """Tell whether there is anything to train in a layer, be it held still at the moment or not."""
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return bool(trained_of(layer, norms) if is_norm else layer.weights)


def _place(model: keras.Model, layer: str, key: str) -> int:
    names = [layer.name for layer in model.layers]
    if layer in names:
        return names.index(layer)
    number = layer.removeprefix("layer:")
    if number != layer and number.isdecimal() and int(number) < len(names):
        return int(number)
    if number != layer:
        raise SpaceError(
            f"{key}: '{layer}' is no layer of {model.name}; write layer:0 to layer:{len(names) - 1}."
        )
    near = difflib.get_close_matches(layer, names, n=3, cutoff=0.3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the last ones are {', '.join(names[-3:])}."
    raise SpaceError(f"{key}: {model.name} has no layer '{layer}'; {hint}")
