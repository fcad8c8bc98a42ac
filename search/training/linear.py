"""Linear classifiers on codes, fitted at once by scikit-learn: softmax by L-BFGS, and the linear SVM.

The CS231n notes on transfer learning name both as what small data sets are best served with.
"""

from typing import Literal

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.svm import LinearSVC

_MOST_ITERATIONS = 1000
# Folds of the training pictures on which the scores of an SVM are turned into logits
_FOLDS = 5
# Logarithms between which the factor for that lies
_FACTORS = (-7.0, 7.0)


def fit_linear(
    codes: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    name: Literal["logistic", "svm"],
    c: float,
    n_outputs: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a linear classifier.

    The scores of an SVM are no logits, so all of them are multiplied by one factor: the one under which those
    that held-out folds of the training pictures get have the least cross-entropy (Guo et al. 2017). It leaves
    the order of the classes as it is. With fewer than two pictures of a class there are no folds and it is 1.

    Args:
        codes: `(n, width) float32`.
        labels: `(n,) int64`, each class at least once.
        weights: `(n,) float32`, by which pictures count.
        name: Which one.
        c: scikit-learn's C.
        n_outputs: One a class.

    Returns:
        Kernel `(width, n_outputs) float32` and bias `(n_outputs,) float32`, under which codes become logits.
    """
    model = _model(name, c).fit(codes, labels, sample_weight=weights)
    factor = 1.0 if name == "logistic" else _factor(_model(name, c), codes, labels, weights)
    kernel, bias = factor * model.coef_.T, factor * model.intercept_
    if n_outputs == 2:
        # scikit-learn has one score for two classes
        kernel, bias = _two(kernel), _two(bias)
    return kernel.astype(np.float32), bias.astype(np.float32)


def _model(name: str, c: float) -> BaseEstimator:
    if name == "logistic":
        return LogisticRegression(C=c, max_iter=_MOST_ITERATIONS)
    return LinearSVC(C=c, max_iter=_MOST_ITERATIONS, dual=False)


def _two(score: np.ndarray) -> np.ndarray:
    both: np.ndarray = np.concatenate([np.zeros_like(score), score], axis=-1)
    return both


def _factor(model: BaseEstimator, codes: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    folds = min(_FOLDS, int(np.bincount(labels).min()))
    if folds < 2:
        return 1.0
    scores = cross_val_predict(
        model, codes, labels, cv=folds, method="decision_function", params={"sample_weight": weights}
    )
    scores = _two(scores[:, None]) if scores.ndim == 1 else scores

    def loss(log_factor: float) -> float:
        logs = log_softmax(np.exp(log_factor) * scores, axis=1)
        return float(-np.average(logs[np.arange(len(labels)), labels], weights=weights))

    return float(np.exp(minimize_scalar(loss, bounds=_FACTORS, method="bounded").x))
