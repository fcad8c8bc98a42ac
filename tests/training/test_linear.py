"""Linear classifiers against scikit-learn's own, and an SVM's factor against those beside it."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.svm import LinearSVC

from search.training.linear import fit_linear

Made = tuple[np.ndarray, np.ndarray, np.ndarray]


def made(n_classes: int) -> Made:
    """Codes, labels of which the first is rare, and weights that make up for that twice over."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.zeros(12, np.int64), 1 + np.arange(88) % (n_classes - 1)])
    codes = rng.normal(size=(100, 6)) + 1.2 * np.eye(n_classes, 6)[labels]
    return codes.astype(np.float32), labels, np.where(labels == 0, 12.0, 1.0).astype(np.float32)


def of_all_classes(scores: np.ndarray) -> np.ndarray:
    """scikit-learn has one score for two classes."""
    return np.stack([np.zeros_like(scores), scores], axis=-1) if scores.ndim == 1 else scores


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("c", [0.01, 1.0])
def test_logistic_regression_is_that_of_scikit_learn(n_classes: int, c: float) -> None:
    codes, labels, weights = made(n_classes)
    kernel, bias = fit_linear(codes, labels, weights, "logistic", c, n_classes)
    model = LogisticRegression(C=c, max_iter=1000).fit(codes, labels, sample_weight=weights)
    np.testing.assert_allclose(
        codes @ kernel + bias, of_all_classes(model.decision_function(codes)), atol=1e-3
    )


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("c", [0.01, 1.0])
def test_scores_of_an_svm_are_stretched_to_the_least_loss_on_held_out_pictures(
    n_classes: int, c: float
) -> None:
    codes, labels, weights = made(n_classes)
    kernel, bias = fit_linear(codes, labels, weights, "svm", c, n_classes)
    model = LinearSVC(C=c, max_iter=1000, dual=False).fit(codes, labels, sample_weight=weights)
    scores = of_all_classes(model.decision_function(codes))
    factor = float(np.linalg.norm(codes @ kernel + bias) / np.linalg.norm(scores))
    np.testing.assert_allclose(codes @ kernel + bias, factor * scores, atol=1e-3)

    held_out = of_all_classes(
        cross_val_predict(
            LinearSVC(C=c, max_iter=1000, dual=False), codes, labels, cv=5,
            method="decision_function", params={"sample_weight": weights},
        )
    )  # fmt: skip

    def loss(stretch: float) -> float:
        logs = log_softmax(stretch * held_out, axis=1)
        return float(-np.average(logs[np.arange(len(labels)), labels], weights=weights))

    assert loss(factor) < min(loss(0.98 * factor), loss(1.02 * factor))
