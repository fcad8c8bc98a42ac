"""The linear probe against scikit-learn's own cross-validation, and neighbours against a plain loop."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from search.training.linear_probe import linear_probe, neighbour_accuracy


def made(n: int = 90, n_classes: int = 3, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % n_classes
    codes = rng.normal(size=(n, 12)) + signal * np.eye(12)[labels]
    return codes.astype(np.float32), labels


def test_each_picture_is_predicted_by_a_classifier_that_has_not_seen_it() -> None:
    codes, labels = made()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200, tol=1e-3))
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    expected = cross_val_predict(model, codes, labels, cv=folds, method="predict_proba")
    found = linear_probe(codes, labels, seed=3)
    assert found.accuracy == pytest.approx((expected.argmax(axis=1) == labels).mean())
    assert found.loss == pytest.approx(log_loss(labels, expected), rel=1e-6)
    assert found.error == pytest.approx(np.sqrt(found.accuracy * (1 - found.accuracy) / 90))


def test_the_seed_decides_and_nothing_else() -> None:
    codes, labels = made()
    assert linear_probe(codes, labels, 1) == linear_probe(codes, labels, 1)
    assert linear_probe(codes, labels, 1).loss != linear_probe(codes, labels, 2).loss


def test_more_signal_is_worth_more() -> None:
    none, some, much = (linear_probe(*made(signal=signal), seed=0) for signal in (0.0, 1.5, 6.0))
    assert none.accuracy < 0.55 < some.accuracy < much.accuracy == 1.0
    assert none.loss > some.loss > much.loss


def test_classes_of_two_pictures_and_labels_with_gaps_are_probed() -> None:
    codes, labels = made(4, 2, signal=9.0)
    assert linear_probe(codes[:, :2], labels * 7, seed=0).accuracy == 1.0


def test_the_nearest_other_picture_is_found_in_parts_as_in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, labels = made(50)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    right = 0
    for i in range(50):
        nearest = max((j for j in range(50) if j != i), key=lambda j: float(unit[i] @ unit[j]))
        right += labels[nearest] == labels[i]
    monkeypatch.setattr("search.training.linear_probe._ROWS_A_PART", 16)
    assert neighbour_accuracy(codes, labels) == right / 50
    # the length of codes does not matter, and one that is zero breaks nothing
    scaled = codes * np.linspace(1, 9, 50, dtype=np.float32)[:, None]
    assert neighbour_accuracy(scaled, labels) == right / 50
    assert 0 <= neighbour_accuracy(np.zeros_like(codes), labels) <= 1
