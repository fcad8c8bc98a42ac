"""Workshop: the networks and compiled programs of one process, made once and used by every trial."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import keras

from search.config.trial_config import OptimizerName, Stage, TrialConfig
from search.model.augmentation import Augmentation
from search.model.backbones import backbone
from search.model.graph import Cut
from search.model.network import Network
from search.model.programs import ForwardProgram, TrainingProgram, forward_program, training_program

# Pictures or features a call in inference. Part of a key, since another size may give other bits.
FORWARD_BATCH = 64

# Networks kept at a time; each holds its weights twice.
_MOST_NETWORKS = 4


@dataclass
class Way:
    """How a stage goes through a network: what it does not train, and what it trains on top of that.

    Which way a stage goes hangs on its settings only. Whether the features on the way are stored or computed
    each time changes no bit, so that is decided by cost.

    Attributes:
        name: `head` on pooled features, `cut N` on the tensor at a cut, `whole` on pictures.
        frozen: Pictures to features; None where the stage goes through the whole network.
        shape: Of the features, for one picture.
        model: What is trained: features, or pictures, to logits.
        forward: The model in inference.
        pays: Whether storing the features pays, once that was measured.
    """

    name: str
    frozen: ForwardProgram | None
    shape: tuple[int, ...]
    model: keras.Model
    forward: ForwardProgram
    pays: bool | None = None


@dataclass
class Codes:
    """Pooled activations of a layer; what is frozen below it gives them.

    Attributes:
        name: `head` for those of the whole backbone, else `pooled N`.
        layer: The layer's name.
        frozen: Pictures to codes.
        shape: Of the codes, for one picture.
        pays: They are always worth storing.
    """

    name: str
    layer: str
    frozen: ForwardProgram
    shape: tuple[int, ...]
    pays: bool | None = True


@dataclass
class Bench:
    """A network with its programs."""

    network: Network
    head: Way
    whole: Way
    cuts: dict[Cut, Way] = field(default_factory=dict)
    pooled: dict[Cut, Codes] = field(default_factory=dict)
    training: dict[tuple[object, ...], TrainingProgram] = field(default_factory=dict)


class Workshop:
    """Makes networks and programs when they are first asked for.

    Args:
        draw_seed: The data's draw seed.
        fold: Whether convolutions take in their BatchNormalization.

    Attributes:
        compiled: How many training programs were made so far.
    """

    def __init__(self, draw_seed: int, fold: bool) -> None:
        self._fold = fold
        self.augmentation = Augmentation(draw_seed)
        self.compiled = 0
        self._benches: OrderedDict[tuple[object, ...], Bench] = OrderedDict()

    def bench(self, config: TrialConfig, weights: Path | None, n_classes: int) -> Bench:
        """Give the network that a config asks for, with what was compiled for it."""
        key = (config.backbone, config.image_size, weights, n_classes)
        if key not in self._benches:
            row = backbone(config.backbone)
            network = Network(row, config.image_size, weights, n_classes, self._fold)
            head = _way("head", network.features, network.head, pays=True)
            self._benches[key] = Bench(network, head, _way("whole", None, network.trained))
        self._benches.move_to_end(key)
        while len(self._benches) > _MOST_NETWORKS:
            self._benches.popitem(last=False)
        return self._benches[key]

    def way(self, bench: Bench, config: TrialConfig, stage: Stage) -> Way:
        """Give the way of a stage through a network."""
        if stage == "head":
            return bench.head
        cut = bench.network.cut_in(stage, config.unfreeze)
        if cut is None:
            return bench.whole
        if cut not in bench.cuts:
            bench.cuts[cut] = _way(f"cut {cut.position}", *bench.network.split(cut))
        return bench.cuts[cut]

    def codes(self, bench: Bench, unfreeze: float | str) -> Codes | None:
        """Give the codes below all that `unfreeze` trains, None where the backbone has no such layer.

        Those below nothing are the pooled features that stage 1 is trained on.
        """
        if unfreeze == 0:
            assert bench.head.frozen is not None, "a head is trained on features"
            top = bench.network.backbone.operations[-1].name
            return Codes("head", top, bench.head.frozen, bench.head.shape)
        cut = bench.network.map_below(unfreeze)
        if cut is not None and cut not in bench.pooled:
            program = forward_program(bench.network.pooled(cut), FORWARD_BATCH)
            bench.pooled[cut] = Codes(f"pooled {cut.position}", cut.name, program, cut.shape[-1:])
        return None if cut is None else bench.pooled[cut]

    def training(self, bench: Bench, config: TrialConfig, stage: Stage) -> TrainingProgram:
        """Give the program that trains a stage; rates, decay and weights are its variables."""
        trained = bench.network.trained_in(stage, config.unfreeze)
        key = (stage, tuple(trained), config.batch_size, config.optimizer)
        if key not in bench.training:
            model = self.way(bench, config, stage).model
            bench.training[key] = self._compile(
                model, list(trained.values()), config.optimizer, config.batch_size
            )
        return bench.training[key]

    def _compile(
        self, model: keras.Model, trained: list[keras.Variable], optimizer: OptimizerName, batch_size: int
    ) -> TrainingProgram:
        self.compiled += 1
        return training_program(model, trained, optimizer, batch_size)


def _way(name: str, frozen: keras.Model | None, model: keras.Model, pays: bool | None = None) -> Way:
    program = None if frozen is None else forward_program(frozen, FORWARD_BATCH)
    return Way(
        name, program, tuple(model.input_shape[1:]), model, forward_program(model, FORWARD_BATCH), pays
    )
