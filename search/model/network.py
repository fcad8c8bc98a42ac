"""Network: a backbone with its preprocessing in front and a new classifier on top."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from search.model.backbones import Backbone
from search.model.blocks import highest_map, storable_cut, unfrozen_layers
from search.model.build import build_backbone, preprocess
from search.model.dropout import VariableDropout
from search.model.folding import folded
from search.model.graph import Cut, split

Arrays = Mapping[str, np.ndarray]


class Network:
    """One model of the search, built once and reset for every trial.

    Args:
        backbone: The row of the table.
        image_size_px: Side of the square pictures.
        weights: The file of the pretrained weights, or None for random ones.
        n_classes: Length of the output.
        fold: Whether what is trained goes through convolutions that take in their BatchNormalization.

    Attributes:
        backbone: The pretrained part, `(n, px, px, 3) float32` to a feature map.
        features: `(n, px, px, 3) uint8` pictures to `(n, c) float32` pooled features.
        head: `(n, c) float32` features to `(n, n_classes) float32` logits.
        trained: `(n, px, px, 3) uint8` pictures to logits.
        whole: The same of Keras' own layers, never folded.
    """

    def __init__(
        self,
        backbone: Backbone,
        image_size_px: int,
        weights: Path | None,
        n_classes: int,
        fold: bool = False,
    ) -> None:
        self._row, self._fold = backbone, fold
        self.backbone = build_backbone(backbone, image_size_px, weights, seed=0)
        pictures = self._pictures()
        pooled = self._pooled(self.backbone, pictures)
        worked = self._pooled(self._worked(self.backbone), pictures) if fold else pooled
        self.features = keras.Model(pictures, worked, name="features")
        self.dropout = VariableDropout()
        self.classifier = keras.layers.Dense(n_classes, name="classifier")
        codes = keras.Input(pooled.shape[1:], name="codes")
        self.head = keras.Model(codes, self.classifier(self.dropout(codes)), name="head")
        self.whole = keras.Model(pictures, self.head(pooled), name="whole")
        self.trained = keras.Model(pictures, self.head(worked), name="trained") if fold else self.whole
        self._pretrained = [np.array(variable) for variable in self.backbone.variables]
        self._moved: set[int] = set()

    @cached_property
    def variables(self) -> dict[str, keras.Variable]:
        """Every variable that training may move, under a name that does not hang on Keras' counters."""
        named = {f"backbone/{i}": variable for i, variable in enumerate(self.backbone.variables)}
        return {**named, "head/kernel": self.classifier.kernel, "head/bias": self.classifier.bias}

    def trained_in(self, stage: str, unfreeze: float | str) -> dict[str, keras.Variable]:
        """Name the variables that a stage trains: the classifier, and in stage 2 what is unfrozen."""
        unfrozen = {
            id(variable)
            for layer in self._unfrozen(stage, unfreeze)
            for variable in layer.trainable_variables
        }
        return {
            name: variable
            for name, variable in self.variables.items()
            if name.startswith("head/") or id(variable) in unfrozen
        }

    def n_trained_layers(self, stage: str, unfreeze: float | str) -> int:
        """Count the layers with something to train that a stage trains, the classifier included."""
        return 1 + sum(bool(layer.trainable_variables) for layer in self._unfrozen(stage, unfreeze))

    def cut_in(self, stage: str, unfreeze: float | str) -> Cut | None:
        """Find where the network may be split for a stage; None where the stage goes through it whole."""
        return None if stage == "head" else storable_cut(self.backbone, unfreeze)

    def split(self, cut: Cut) -> tuple[keras.Model, keras.Model]:
        """Split the network at a cut of its backbone.

        Returns:
            Two models that share its variables: `(n, px, px, 3) uint8` pictures to `(n, *cut.shape) float32`,
            and that to `(n, n_classes) float32` logits.
        """
        below, above = split(self.backbone, cut)
        pictures = self._pictures()
        below, above = self._worked(below), self._worked(above)
        prefix = keras.Model(pictures, below(preprocess(self._row, pictures)), name="prefix")
        codes = keras.Input(cut.shape, name="codes")
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(above(codes))
        return prefix, keras.Model(codes, self.head(pooled), name="tail")

    def map_below(self, unfreeze: float | str) -> Cut | None:
        """Find the highest feature map below all that `unfreeze` trains; None where there is none."""
        return highest_map(self.backbone, unfreeze)

    def pooled(self, cut: Cut) -> keras.Model:
        """Give the part of the network up to a feature map, pooled.

        Returns:
            `(n, px, px, 3) uint8` pictures to `(n, c) float32`.
        """
        below, _ = split(self.backbone, cut)
        pictures = self._pictures()
        return keras.Model(pictures, self._pooled(self._worked(below), pictures), name="pooled")

    def _worked(self, part: keras.Model) -> keras.Model:
        """Give a part of the backbone as programs go through it."""
        return folded(part) if self._fold else part

    def _pooled(self, backbone: keras.Model, pictures: keras.KerasTensor) -> keras.KerasTensor:
        maps = backbone(preprocess(self._row, pictures))
        return keras.layers.GlobalAveragePooling2D(name="pool")(maps)

    def _pictures(self) -> keras.KerasTensor:
        return keras.Input((*self.backbone.input_shape[1:3], 3), dtype="uint8", name="pictures")

    def _unfrozen(self, stage: str, unfreeze: float | str) -> tuple[keras.Layer, ...]:
        return () if stage == "head" else unfrozen_layers(self.backbone, unfreeze)

    def reset(self, seed: int) -> None:
        """Put the pretrained weights back and draw a new classifier from the seed."""
        self.restore_backbone()
        shape = self.classifier.kernel.shape
        # Glorot and Bengio 2010, uniform; numpy's numbers are the same under every backend.
        limit = math.sqrt(6.0 / sum(shape))
        kernel = np.random.default_rng(seed).uniform(-limit, limit, shape).astype(np.float32)
        self.classifier.kernel.assign(kernel)
        self.classifier.bias.assign(np.zeros(self.classifier.bias.shape, "float32"))

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
