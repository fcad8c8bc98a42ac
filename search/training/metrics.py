"""The one set of metrics."""

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import f1_score, roc_auc_score

from search.config.trial_config import ClassWeight


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Measure predictions against labels.

    Args:
        logits: `(n, classes) float32`.
        labels: `(n,) int64`.

    Returns:
        `loss` (mean cross-entropy, nats), `accuracy`, `f1` (macro) and, for two classes, `auc` (left out
        where only one class is there). With logits that are not finite, only `loss`, as NaN.
    """
    logs = log_softmax(logits.astype(np.float64), axis=1)
    if not np.isfinite(logs).all():
        return {"loss": float("nan")}
    predicted = logits.argmax(axis=1)
    metrics = {
        "loss": float(-logs[np.arange(len(labels)), labels].mean()),
        "accuracy": float((predicted == labels).mean()),
        "f1": float(f1_score(labels, predicted, average="macro", zero_division=0.0)),
    }
    if logits.shape[1] == 2 and len(np.unique(labels)) == 2:
        metrics["auc"] = float(roc_auc_score(labels, logs[:, 1] - logs[:, 0]))
    return metrics


def picture_weights(labels: np.ndarray, n_classes: int, how: ClassWeight) -> np.ndarray:
    """Weigh pictures in the training loss.

    Args:
        labels: `(n,) int64`, of all training pictures; each class has one.
        n_classes: How many classes there are.
        how: `none` for equal weights; `balanced` as scikit-learn has it, so that all classes weigh the same
            and the mean weight is 1.

    Returns:
        `(n,) float32`.
    """
    if how == "none":
        return np.ones(len(labels), np.float32)
    counts = np.bincount(labels, minlength=n_classes)
    weights: np.ndarray = (len(labels) / (n_classes * counts))[labels].astype(np.float32)
    return weights


def smoothed(labels: np.ndarray, n_classes: int, smoothing: float) -> np.ndarray:
    """Turn labels into the distributions that training aims at (Szegedy et al. 2016).

    Returns:
        `(n, n_classes) float32`.
    """
    one_hot: np.ndarray = np.eye(n_classes, dtype=np.float32)[labels]
    return (one_hot * (1.0 - smoothing) + smoothing / n_classes).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities, row by row: `(n, classes) float64`."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    whole: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return whole
