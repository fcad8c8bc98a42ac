"""Workshop: the networks and compiled programs of one process, made once and used by every trial."""

import gc
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import keras

from search.config.trial_config import BUILTIN, Stage, TrialConfig
from search.errors import SpaceError
from search.model.augmentation import Augmentation, Augmenting, augmentation_of
from search.model.backbones import backbone
from search.model.graph import Cut
from search.model.head import HeadPlan
from search.model.network import Network
from search.model.programs import ForwardProgram, TrainingProgram, forward_program, training_program
from search.user_function import UserFunction, user_function

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
class Bench:
    """A network with its programs."""

    network: Network
    head: Way
    whole: Way
    cuts: dict[Cut, Way] = field(default_factory=dict)
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
        self._fold, self._draw_seed = fold, draw_seed
        self.augmentation = Augmentation(draw_seed)
        self.compiled = 0
        self._benches: OrderedDict[tuple[object, ...], Bench] = OrderedDict()
        self._others: dict[str, Augmenting] = {}

    def augmentation_of(self, config: TrialConfig) -> Augmenting:
        """Give what changes the training pictures of a trial.

        Raises:
            SpaceError: The config names an augmentor that does not exist.
        """
        if config.augmentor == BUILTIN:
            return self.augmentation
        if config.augmentor not in self._others:
            self._others[config.augmentor] = augmentation_of(config, self._draw_seed)
        return self._others[config.augmentor]

    def bench(self, config: TrialConfig, weights: Path | None, n_classes: int) -> Bench:
        """Give the network that a config asks for, with what was compiled for it.

        Raises:
            SpaceError: One output is asked for, and there are not two classes.
        """
        if config.classifier == "sigmoid" and n_classes != 2:
            raise SpaceError(
                f"classifier: sigmoid is for two classes, and there are {n_classes}; take softmax."
            )
        plan = HeadPlan.of(config, n_classes)
        key = (config.backbone, config.image_size, weights, plan, config.codes, config.preprocess)
        if key not in self._benches:
            row, own = backbone(config.backbone), own_preprocess(config)
            network = Network(row, config.image_size, weights, plan, config.codes, self._fold, own)
            head = _way("head", network.features, network.head.model, pays=True)
            self._benches[key] = Bench(network, head, _way("whole", None, network.trained))
        self._benches.move_to_end(key)
        while len(self._benches) > _MOST_NETWORKS:
            self._benches.popitem(last=False)
        return self._benches[key]

    def way(self, bench: Bench, config: TrialConfig, stage: Stage) -> Way:
        """Give the way of a stage through a network."""
        if not bench.network.trains_backbone(config, stage):
            return bench.head
        cut = bench.network.cut_in(config, stage)
        if cut is None:
            return bench.whole
        if cut not in bench.cuts:
            bench.cuts[cut] = _way(f"cut {cut.position}", *bench.network.split(cut))
        return bench.cuts[cut]

    def training(self, bench: Bench, config: TrialConfig, stage: Stage, parts: int = 1) -> TrainingProgram:
        """Give the program that trains a stage; rates, decay and weights are its variables.

        Args:
            bench: The network.
            config: The trial's settings.
            stage: The stage.
            parts: In how many parts a batch goes through the network.
        """
        trained, way = bench.network.trained_in(config, stage), self.way(bench, config, stage)
        key = (way.name, tuple(trained), config.batch_size, config.optimizer, parts)
        if key not in bench.training:
            self.compiled += 1
            bench.training[key] = training_program(
                way.model, list(trained.values()), config.optimizer, config.batch_size, parts
            )
        return bench.training[key]

    def clear(self) -> None:
        """Let go of all networks and programs, and of the memory they hold; who asks again gets new ones."""
        self._benches.clear()
        gc.collect()


def own_preprocess(config: TrialConfig) -> UserFunction | None:
    """Load the preprocessing function of the user's own; None where the backbone's own way is to be taken.

    Raises:
        SpaceError: There is no such function.
    """
    name = config.own_functions.get("preprocess")
    return None if name is None else user_function(name, "preprocess")


def _way(name: str, frozen: keras.Model | None, model: keras.Model, pays: bool | None = None) -> Way:
    program = None if frozen is None else forward_program(frozen, FORWARD_BATCH)
    return Way(
        name, program, tuple(model.input_shape[1:]), model, forward_program(model, FORWARD_BATCH), pays
    )
