"""LogME: how much evidence codes hold for the labels, without training (You et al. 2021, algorithm 1)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The fixed point is reached within some ten rounds; more are only needed where codes explain nothing.
_MOST_ROUNDS = 100
_TOLERANCE = 1e-6
# What of the spectrum is rounding of float64, relative to its largest value.
_RELATIVE_ZERO = 1e-12
# Keeps the precisions finite where codes explain all or nothing.
_LEAST = 1e-12


def logme(codes: np.ndarray, labels: np.ndarray) -> float:
    """Give the largest log evidence of a Bayesian linear regression on one-hot labels, a picture and class.

    Args:
        codes: `(n, width)`.
        labels: `(n,) int`.

    Returns:
        The mean over the classes that occur; with one class that of a constant.
    """
    features = codes.astype(np.float64)
    squares, directions = _spectrum(features)
    targets = (labels == label for label in np.unique(labels))
    found = [_evidence(squares, directions, target.astype(np.float64), features.shape) for target in targets]
    return float(np.mean(found) / len(features))


def _spectrum(features: Array) -> tuple[Array, Array]:
    """Give the squared singular values, `(r,)`, and the left singular vectors, `(n, r)`.

    They come from the smaller one of the two matrices of inner products, which is the fastest way.
    """
    is_tall = features.shape[0] > features.shape[1]
    squares, vectors = np.linalg.eigh(features.T @ features if is_tall else features @ features.T)
    kept = squares > _RELATIVE_ZERO * max(squares[-1], _LEAST)
    squares, vectors = squares[kept], vectors[:, kept]
    return squares, features @ vectors / np.sqrt(squares) if is_tall else vectors


def _evidence(squares: Array, directions: Array, target: Array, shape: tuple[int, ...]) -> float:
    """Maximise the log evidence over the precisions of weights, alpha, and of noise, beta, in rounds."""
    n, width = shape
    projected = (directions.T @ target) ** 2
    outside = max(0.0, float(target @ target - projected.sum()))
    alpha = beta = 1.0
    for _ in range(_MOST_ROUNDS):
        before = alpha / beta
        norm, residual = _norm_and_residual(squares, projected, outside, before)
        gamma = float(np.sum(squares / (before + squares)))
        alpha = max(gamma, _LEAST) / max(norm, _LEAST)
        beta = max(n - gamma, _LEAST) / max(residual, _LEAST)
        if abs(alpha / beta - before) <= _TOLERANCE * before:
            break
    norm, residual = _norm_and_residual(squares, projected, outside, alpha / beta)
    volume = np.sum(np.log(alpha + beta * squares)) + (width - len(squares)) * np.log(alpha)
    fit = beta * residual + alpha * norm + volume
    return float(0.5 * (n * np.log(beta) + width * np.log(alpha) - n * np.log(2 * np.pi) - fit))


def _norm_and_residual(squares: Array, projected: Array, outside: float, ratio: float) -> tuple[float, float]:
    """Give the squared norm of the mean weights and the squared residual that they leave."""
    norm = np.sum(squares * projected / (ratio + squares) ** 2)
    residual = np.sum(projected * (ratio / (ratio + squares)) ** 2) + outside
    return float(norm), float(residual)
