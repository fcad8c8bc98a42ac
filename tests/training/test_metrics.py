"""Weights of pictures in the training loss."""

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from search.training.metrics import picture_weights

LABELS = np.array([0, 2, 2, 1, 2, 2, 2, 1])


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    found = picture_weights(LABELS, 3, "balanced")
    np.testing.assert_allclose(found, compute_sample_weight("balanced", LABELS), rtol=1e-6)
    assert found.dtype == np.float32
    assert [round(float(found[label == LABELS].sum()), 5) for label in range(3)] == [2.66667] * 3


def test_without_weights_every_picture_counts_once() -> None:
    np.testing.assert_array_equal(picture_weights(LABELS, 3, "none"), np.ones(8, np.float32))
