"""Head: what stands on a backbone's pooled codes and is trained from nothing."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from search.config.trial_config import TrialConfig
from search.model.dropout import VariableDropout
from search.seeds import seed_for


@dataclass(frozen=True)
class HeadPlan:
    """What a head is made of.

    Attributes:
        n_classes: How many classes there are.
        one_logit: Whether the classifier has one output, for two classes, instead of one a class.
        hidden: The widths of the layers before it.
    """

    n_classes: int
    one_logit: bool = False
    hidden: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: TrialConfig, n_classes: int) -> "HeadPlan":
        """Take what a trial's settings say."""
        return cls(n_classes, config.classifier == "sigmoid", config.hidden)


class Head:
    """The layers of a head.

    Args:
        plan: What it is made of.
        width: Length of the codes.

    Attributes:
        model: `(n, width) float32` codes to `(n, n_classes) float32` logits.
        dropout: The dropout before the classifier and after each hidden layer.
        classifier: The last layer with weights.
    """

    def __init__(self, plan: HeadPlan, width: int) -> None:
        self.plan = plan
        self.dropout = VariableDropout()
        self.classifier = keras.layers.Dense(1 if plan.one_logit else plan.n_classes, name="classifier")
        self._hidden = [
            keras.layers.Dense(units, activation="relu", name=f"hidden_{i}")
            for i, units in enumerate(plan.hidden)
        ]
        codes = keras.Input((width,), name="codes")
        before = self._before_classifier(codes, lambda i: self.dropout)
        self.model = keras.Model(codes, self._logits(before), name="head")

    @property
    def n_layers(self) -> int:
        """How many layers a tutorial would count: pooling, hidden ones, dropout and the classifier."""
        return 2 + max(1, 2 * len(self._hidden))

    @property
    def n_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(variable.shape) for variable in self.variables.values())

    @property
    def trained_layers(self) -> list[keras.layers.Dense]:
        """The layers that have something to train, from the codes on."""
        return [*self._hidden, self.classifier]

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """What is trained, under names that do not hang on Keras' counters."""
        named: dict[str, keras.Variable] = {}
        for i, layer in enumerate(self._hidden):
            named |= {f"head/hidden_{i}/kernel": layer.kernel, f"head/hidden_{i}/bias": layer.bias}
        return {**named, "head/kernel": self.classifier.kernel, "head/bias": self.classifier.bias}

    def reset(self, seed: int) -> None:
        """Draw all weights anew from a seed."""
        for i, layer in enumerate(self._hidden):
            _draw(layer, seed_for(seed, "hidden", i))
        _draw(self.classifier, seed)

    def standard(self, codes: keras.KerasTensor, rate: float) -> keras.KerasTensor:
        """Put the same together from Keras' own layers, one output a class.

        Args:
            codes: `(n, width)`.
            rate: Of the dropout.

        Returns:
            `(n, n_classes)` logits.
        """
        before = self._before_classifier(
            codes, lambda i: keras.layers.Dropout(rate, name=f"dropout_{i}" if i else "dropout")
        )
        return self._logits(before)

    def _logits(self, codes: keras.KerasTensor) -> keras.KerasTensor:
        logits = self.classifier(codes)
        if not self.plan.one_logit:
            return logits
        # With a zero before it, the softmax of both is the sigmoid of the one, to its cross-entropy.
        zero = keras.layers.Rescaling(0.0, name="zero")(logits)
        return keras.layers.Concatenate(name="logits")([zero, logits])

    def _before_classifier(
        self, codes: keras.KerasTensor, dropout: Callable[[int], keras.Layer]
    ) -> keras.KerasTensor:
        for i, layer in enumerate(self._hidden):
            codes = dropout(i)(layer(codes))
        return codes if self._hidden else dropout(0)(codes)


def _draw(layer: keras.layers.Dense, seed: int) -> None:
    shape = layer.kernel.shape
    # Glorot and Bengio 2010, uniform; numpy's numbers are the same under every backend.
    limit = math.sqrt(6.0 / sum(shape))
    layer.kernel.assign(np.random.default_rng(seed).uniform(-limit, limit, shape).astype(np.float32))
    layer.bias.assign(np.zeros(layer.bias.shape, "float32"))
