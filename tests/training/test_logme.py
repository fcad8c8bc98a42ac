"""LogME against the evidence of Bayesian linear regression as the textbook has it (Bishop 2006, eq. 3.86)."""

import numpy as np
import pytest
from scipy.optimize import minimize

from search.training.logme import logme


def log_evidence(codes: np.ndarray, target: np.ndarray, alpha: float, beta: float) -> float:
    """The evidence of weights of precision alpha under noise of precision beta, by dense matrices."""
    n, width = codes.shape
    precision = alpha * np.eye(width) + beta * codes.T @ codes
    mean = beta * np.linalg.solve(precision, codes.T @ target)
    misfit = beta / 2 * np.sum((target - codes @ mean) ** 2) + alpha / 2 * mean @ mean
    constants = width / 2 * np.log(alpha) + n / 2 * np.log(beta) - n / 2 * np.log(2 * np.pi)
    return float(constants - misfit - np.linalg.slogdet(precision)[1] / 2)


def largest_evidence(codes: np.ndarray, target: np.ndarray) -> float:
    found = minimize(
        lambda logs: -log_evidence(codes, target, *np.exp(logs)), [0.0, 0.0], method="Nelder-Mead"
    )
    return float(-found.fun)


def made(n: int, width: int, rank: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Codes of some rank in float32, and labels of three classes that hang on them and on noise."""
    rng = np.random.default_rng(n + width)
    codes = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, width))
    scores = codes @ rng.normal(size=(width, 3)) / width + noise * rng.normal(size=(n, 3))
    return codes.astype(np.float32), scores.argmax(axis=1)


@pytest.mark.parametrize(
    ("n", "width", "rank"), [(60, 8, 8), (40, 40, 40), (30, 50, 50), (50, 20, 6)], ids=str
)
def test_it_is_the_largest_evidence_a_picture(n: int, width: int, rank: int) -> None:
    codes, labels = made(n, width, rank, noise=0.5)
    exact = codes.astype(np.float64)
    expected = np.mean([largest_evidence(exact, (labels == label) * 1.0) for label in range(3)]) / n
    assert logme(codes, labels) == pytest.approx(expected, rel=1e-5)


def test_codes_that_say_more_of_the_labels_have_more_evidence() -> None:
    found = [logme(*made(80, 10, 10, noise)) for noise in (0.0, 1.0, 30.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] + 0.1


def test_codes_that_are_all_zero_explain_nothing_and_break_nothing() -> None:
    assert np.isfinite(logme(np.zeros((10, 4), np.float32), np.arange(10) % 2))
