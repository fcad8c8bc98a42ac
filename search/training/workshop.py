"""Workshop: the networks and compiled programs of one process, made once and used by every trial."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import keras

from search.config.trial_config import OptimizerName, Stage, TrialConfig
from search.model.augmentation import Augmentation
from search.model.backbones import backbone
from search.model.network import Network
from search.model.programs import ForwardProgram, TrainingProgram, forward_program, training_program

# Pictures or features a call in inference. Part of a key, since another size may give other bits.
FORWARD_BATCH = 64

# Networks kept at a time; each holds its weights twice.
_MOST_NETWORKS = 4


@dataclass
class Bench:
    """A network with its programs."""

    network: Network
    features: ForwardProgram
    head: ForwardProgram
    whole: ForwardProgram
    training: dict[tuple[object, ...], TrainingProgram] = field(default_factory=dict)


class Workshop:
    """Makes networks and programs when they are first asked for.

    Attributes:
        compiled: How many training programs were made so far.
    """

    def __init__(self, draw_seed: int) -> None:
        self.augmentation = Augmentation(draw_seed)
        self.compiled = 0
        self._benches: OrderedDict[tuple[object, ...], Bench] = OrderedDict()

    def bench(self, config: TrialConfig, weights: Path | None, n_classes: int) -> Bench:
        """Give the network that a config asks for, with what was compiled for it."""
        key = (config.backbone, config.image_size, weights, n_classes)
        if key not in self._benches:
            network = Network(backbone(config.backbone), config.image_size, weights, n_classes)
            models = (network.features, network.head, network.whole)
            features, head, whole = (forward_program(model, FORWARD_BATCH) for model in models)
            self._benches[key] = Bench(network, features, head, whole)
        self._benches.move_to_end(key)
        while len(self._benches) > _MOST_NETWORKS:
            self._benches.popitem(last=False)
        return self._benches[key]

    def training(self, bench: Bench, config: TrialConfig, stage: Stage) -> TrainingProgram:
        """Give the program that trains a stage; rates, decay and weights are its variables."""
        trained = bench.network.trained_in(stage, config.unfreeze)
        key = (stage, tuple(trained), config.batch_size, config.optimizer)
        if key not in bench.training:
            model = bench.network.head if stage == "head" else bench.network.whole
            bench.training[key] = self._compile(
                model, list(trained.values()), config.optimizer, config.batch_size
            )
        return bench.training[key]

    def _compile(
        self, model: keras.Model, trained: list[keras.Variable], optimizer: OptimizerName, batch_size: int
    ) -> TrainingProgram:
        self.compiled += 1
        return training_program(model, trained, optimizer, batch_size)
