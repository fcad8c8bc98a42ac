"""Linear probe: what logistic regression and nearest neighbours make of codes that they have not seen."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# Parts of the cross-validation: four fifths to fit on is close to all, at five fits.
N_FOLDS = 5

# Inverse strength of the penalty on standardised codes. There are about as many codes as pictures, so it is
# strong; on the photographs 0.001 to 0.1 give the same order of backbones.
_INVERSE_PENALTY = 0.01
_MOST_STEPS, _TOLERANCE = 200, 1e-3

# Rows whose similarities to all others are held in memory at a time
_ROWS_A_PART = 1024


@dataclass(frozen=True)
class LinearProbe:
    """What cross-validated logistic regression came to: accuracy, its standard error, and loss in nats."""

    accuracy: float
    error: float
    loss: float


def linear_probe(codes: np.ndarray, labels: np.ndarray, seed: int) -> LinearProbe:
    """Predict each picture by a classifier that was fitted without it.

    Args:
        codes: `(n, width)`.
        labels: `(n,) int`; two classes at least, each with two pictures at least.
        seed: Decides the parts of the cross-validation, which hold all classes in their shares.
    """
    classes, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    folds = StratifiedKFold(min(N_FOLDS, int(counts.min())), shuffle=True, random_state=seed)
    probabilities = np.zeros((len(labels), len(classes)))
    for fitted, held_out in folds.split(codes, labels):
        regression = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_MOST_STEPS, tol=_TOLERANCE)
        model = make_pipeline(StandardScaler(), regression).fit(codes[fitted], labels[fitted])
        probabilities[held_out] = model.predict_proba(codes[held_out])
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    of_truth = np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).tiny)
    error = float(np.sqrt(accuracy * (1 - accuracy) / len(labels)))
    return LinearProbe(accuracy, error, float(-np.log(of_truth).mean()))


def neighbour_accuracy(codes: np.ndarray, labels: np.ndarray) -> float:
    """Give the share of pictures whose nearest other picture, by the cosine of their codes, has their label.

    Args:
        codes: `(n, width)`, two pictures at least.
        labels: `(n,) int`.
    """
    norms = np.linalg.norm(codes, axis=1, keepdims=True)
    unit = codes / np.maximum(norms, np.finfo(codes.dtype).tiny)
    right = 0
    for at in range(0, len(unit), _ROWS_A_PART):
        rows = np.arange(at, min(len(unit), at + _ROWS_A_PART))
        similar = unit[rows] @ unit.T
        similar[np.arange(len(rows)), rows] = -np.inf
        right += int((labels[similar.argmax(axis=1)] == labels[rows]).sum())
    return right / len(unit)
