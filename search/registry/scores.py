"""Scores of a model on one split, with the uncertainty that comes from how few pictures it holds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The 97.5 % point of the normal distribution: intervals are 95 %.
_Z = 1.959963984540054
# As Keras' cross-entropy has it, so that a loss here equals the one that was trained.
_SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Score:
    """How a model does on one split.

    Attributes:
        n: Number of pictures.
        n_right: How many the model takes for their true class.
        loss: Mean cross-entropy, in nats; NaN if there are no pictures.
    """

    n: int
    n_right: int
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of pictures that are right; NaN if there are none."""
        return self.n_right / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Give the 95 % Wilson interval of the accuracy."""
        return wilson_interval(self.n_right, self.n)


def score(labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]) -> Score:
    """Score a model's probabilities.

    Args:
        labels: (n,) integers, the true class of each picture.
        probabilities: (n, c) floats, rows that sum to 1.

    Returns:
        The score; of two classes with equal probability the first counts as the model's answer.
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(of_truth, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY))
    n_right = int(is_right(labels, probabilities).sum())
    return Score(len(labels), n_right, float(losses.mean()) if len(labels) else math.nan)


def is_right(
    labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Say picture by picture whether the most probable class is the true one: (n,) bool."""
    return np.asarray(np.argmax(probabilities, axis=1) == labels)


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """Give the 95 % score interval of a share (E. B. Wilson, 1927).

    Returns:
        Its two ends, within [0, 1] and never of width 0. Nothing known, n = 0, gives (0, 1).

    Raises:
        ValueError: n_right does not lie in [0, n].
    """
    if not 0 <= n_right <= n:
        raise ValueError(f"n_right must lie in [0, {n}]; got {n_right}")
    if n == 0:
        return 0.0, 1.0
    share, z2 = n_right / n, _Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    # At the ends the formula gives 0 and 1 exactly, but for rounding.
    low = 0.0 if n_right == 0 else middle - half
    high = 1.0 if n_right == n else middle + half
    return low, high


@dataclass(frozen=True)
class Difference:
    """How much more accurate one model is than another on the same pictures.

    Attributes:
        value: Accuracy of the first less that of the second, in [-1, 1].
        low: Lower end of the 95 % interval.
        high: Upper end; if the interval holds 0, the pictures do not tell the two apart.
    """

    value: float
    low: float
    high: float


def paired_difference(right_a: npt.NDArray[np.bool_], right_b: npt.NDArray[np.bool_]) -> Difference:
    """Compare two models on the same pictures, with a 95 % interval of the difference.

    The interval is Newcombe's square-and-add (Statistics in Medicine 17, 1998, method 10): Wilson
    intervals of both accuracies, joined by their correlation with a correction for continuity. Unlike
    the textbook interval it does not shrink to a point where the two models agree on every picture.

    Args:
        right_a: (n,) bool, whether the first model is right on each picture.
        right_b: (n,) bool, the same of the second, in the same order.

    Returns:
        The difference; 0 within [-1, 1] where n is 0.

    Raises:
        ValueError: The two differ in length.
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.shape != b.shape:
        raise ValueError(f"both must be answers on the same pictures; got {a.shape} and {b.shape}")
    n = len(a)
    if n == 0:
        return Difference(0.0, -1.0, 1.0)
    share_a, share_b = float(a.mean()), float(b.mean())
    low_a, high_a = wilson_interval(int(a.sum()), n)
    low_b, high_b = wilson_interval(int(b.sum()), n)
    phi = _correlation(a, b)
    value = share_a - share_b
    return Difference(
        value,
        max(value - _side(share_a - low_a, high_b - share_b, phi), -1.0),
        min(value + _side(high_a - share_a, share_b - low_b, phi), 1.0),
    )


def _side(of_a: float, of_b: float, phi: float) -> float:
    return math.sqrt(max(of_a**2 - 2 * phi * of_a * of_b + of_b**2, 0.0))


def _correlation(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Phi of the 2 x 2 table, less when positive; 0 where one is right everywhere or nowhere."""
    both, only_a, only_b, neither = (int(cell.sum()) for cell in (a & b, a & ~b, ~a & b, ~a & ~b))
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    surplus = float(both * neither - only_a * only_b)
    if surplus > 0:
        surplus = max(surplus - len(a) / 2, 0.0)
    return surplus / math.sqrt(margins) if margins else 0.0
