"""Network: a backbone with its preprocessing in front and a new classifier on top."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from search.config.trial_config import LAST, STAGES, Stage, TrialConfig
from search.model.backbones import Backbone
from search.model.blocks import storable_cut, trained_of, unfrozen_layers, up_to
from search.model.build import build_backbone, preprocessing
from search.model.folding import folded
from search.model.graph import Cut, split
from search.model.head import Head, HeadPlan
from search.user_function import UserFunction

Arrays = Mapping[str, np.ndarray]


class Network:
    """One model of the search, built once and reset for every trial.

    Args:
        backbone: The row of the table.
        image_size_px: Side of the square pictures.
        weights: The file of the pretrained weights, or None for random ones.
        head: What stands on the codes.
        codes: Where the codes are taken: see `up_to`.
        fold: Whether what is trained goes through convolutions that take in their BatchNormalization.
        own_preprocess: A function of the user's own, in place of the backbone's preprocessing.

    Attributes:
        preprocess: Pictures to what the backbone reads, symbolically.
        backbone: The pretrained part, `(n, px, px, 3) float32` to a feature map.
        features: `(n, px, px, 3) uint8` pictures to `(n, c) float32` pooled features.
        head: What stands on them.
        trained: `(n, px, px, 3) uint8` pictures to logits.
        whole: The same of Keras' own layers, never folded.
    """

    def __init__(
        self,
        backbone: Backbone,
        image_size_px: int,
        weights: Path | None,
        head: HeadPlan,
        codes: float | str = 1.0,
        fold: bool = False,
        own_preprocess: UserFunction | None = None,
    ) -> None:
        self._fold = fold
        self.preprocess = preprocessing(backbone, image_size_px, own_preprocess)
        self.backbone = up_to(build_backbone(backbone, image_size_px, weights, seed=0), codes)
        pictures = self._pictures()
        pooled = self._pooled(self.backbone, pictures)
        worked = self._pooled(self._worked(self.backbone), pictures) if fold else pooled
        self.features = keras.Model(pictures, worked, name="features")
        self.head = Head(head, pooled.shape[-1])
        self.whole = keras.Model(pictures, self.head.model(pooled), name="whole")
        self.trained = keras.Model(pictures, self.head.model(worked), name="trained") if fold else self.whole
        self._pretrained = [np.array(variable) for variable in self.backbone.variables]
        self._moved: set[int] = set()

    @cached_property
    def variables(self) -> dict[str, keras.Variable]:
        """Every variable that training may move, under a name that does not hang on Keras' counters."""
        named = {f"backbone/{i}": variable for i, variable in enumerate(self.backbone.variables)}
        return named | self.head.variables

    def trained_in(self, config: TrialConfig, stage: Stage) -> dict[str, keras.Variable]:
        """Name the variables that a stage trains: those of the head, and what is unfrozen."""
        norms = config.scales_norms(stage)
        unfrozen = {
            id(variable) for layer in self._unfrozen(config, stage) for variable in trained_of(layer, norms)
        }
        return {
            name: variable
            for name, variable in self.variables.items()
            if name.startswith("head/") or id(variable) in unfrozen
        }

    def n_trained_layers(self, config: TrialConfig, stage: Stage) -> int:
        """Count the layers with something to train that a stage trains, those of the head included."""
        norms = config.scales_norms(stage)
        unfrozen = self._unfrozen(config, stage)
        return len(self.head.trained_layers) + sum(bool(trained_of(layer, norms)) for layer in unfrozen)

    def trains_backbone(self, config: TrialConfig, stage: Stage) -> bool:
        """Tell whether a stage or the one before it trains anything of the backbone."""
        return any(self._unfrozen(config, one) for one in STAGES[: STAGES.index(stage) + 1])

    def cut_in(self, config: TrialConfig, stage: Stage) -> Cut | None:
        """Find where the network may be split for a stage that trains some of the backbone.

        Nothing below the cut is trained in this stage or was in the one before; None where the stage goes
        through the network whole.
        """
        moved = [layer for one in STAGES[: STAGES.index(stage) + 1] for layer in self._unfrozen(config, one)]
        return storable_cut(self.backbone, *moved)

    def split(self, cut: Cut) -> tuple[keras.Model, keras.Model]:
        """Split the network at a cut of its backbone.

        Returns:
            Two models that share its variables: `(n, px, px, 3) uint8` pictures to `(n, *cut.shape) float32`,
            and that to `(n, n_classes) float32` logits.
        """
        below, above = split(self.backbone, cut)
        pictures = self._pictures()
        below, above = self._worked(below), self._worked(above)
        prefix = keras.Model(pictures, below(self.preprocess(pictures)), name="prefix")
        codes = keras.Input(cut.shape, name="codes")
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(above(codes))
        return prefix, keras.Model(codes, self.head.model(pooled), name="tail")

    def _worked(self, part: keras.Model) -> keras.Model:
        """Give a part of the backbone as programs go through it."""
        return folded(part) if self._fold else part

    def _pooled(self, backbone: keras.Model, pictures: keras.KerasTensor) -> keras.KerasTensor:
        maps = backbone(self.preprocess(pictures))
        return keras.layers.GlobalAveragePooling2D(name="pool")(maps)

    def _pictures(self) -> keras.KerasTensor:
        return keras.Input((*self.backbone.input_shape[1:3], 3), dtype="uint8", name="pictures")

    def _unfrozen(self, config: TrialConfig, stage: Stage) -> tuple[keras.Layer, ...]:
        depth = config.depth(stage)
        if isinstance(depth, str) and depth.startswith(LAST):
            in_backbone = max(0, int(depth.removeprefix(LAST)) - self.head.n_layers)
            depth = f"{LAST}{in_backbone}" if in_backbone else 0.0
        return unfrozen_layers(self.backbone, depth, config.scales_norms(stage))

    def reset(self, seed: int) -> None:
        """Put the pretrained weights back and draw a new head from the seed."""
        self.restore_backbone()
        self.head.reset(seed)

    def restore_backbone(self) -> None:
        """Put the pretrained weights back."""
        for i in self._moved:
            self.backbone.variables[i].assign(self._pretrained[i])
        self._moved.clear()

    def assign(self, values: Arrays) -> None:
        """Give variables new values by name; the others stay as they are."""
        for name, value in values.items():
            self.variables[name].assign(value)
        self.moves(list(values))

    def moves(self, names: Sequence[str]) -> None:
        """Note that these variables no longer hold the pretrained values."""
        self._moved |= {int(name.removeprefix("backbone/")) for name in names if name.startswith("backbone/")}
