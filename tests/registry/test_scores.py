import math

import numpy as np
import pytest

from search.registry.scores import is_right, paired_difference, score, wilson_interval


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a, b


# From R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
@pytest.mark.parametrize(
    ("n_right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(n_right: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(n_right, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("n_right", "n", "interval"), [(0, 0, (0.0, 1.0)), (5, 5, (0.5655, 1.0)), (0, 5, (0.0, 0.4345))]
)
def test_wilsons_interval_has_an_end_at_none_and_at_all(
    n_right: int, n: int, interval: tuple[float, float]
) -> None:
    assert wilson_interval(n_right, n) == pytest.approx(interval, abs=5e-5)
    assert {0.0, 1.0} & set(wilson_interval(n_right, n))


@pytest.mark.parametrize(("n_right", "n"), [(-1, 5), (6, 5)])
def test_more_right_than_pictures_is_refused(n_right: int, n: int) -> None:
    with pytest.raises(ValueError, match=r"n_right must lie in \[0, 5\]"):
        wilson_interval(n_right, n)


# Published for these tables: M. Fagerland, S. Lydersen, P. Laake, "Statistical Analysis of Contingency
# Tables", 2017, chapter 8, Newcombe square-and-add.
@pytest.mark.parametrize(
    ("cells", "value", "low", "high"),
    [((1, 1, 7, 12), -0.2857, -0.5069, -0.0256), ((59, 6, 16, 80), -0.0621, -0.1186, -0.0046)],
)
def test_the_paired_interval_is_the_published_one(
    cells: tuple[int, int, int, int], value: float, low: float, high: float
) -> None:
    difference = paired_difference(*answers(*cells))
    assert (difference.value, difference.low, difference.high) == pytest.approx((value, low, high), abs=5e-5)


def test_swapping_the_models_mirrors_the_difference() -> None:
    a, b = answers(90, 6, 2, 2)
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_two_models_that_agree_everywhere_still_have_an_interval() -> None:
    difference = paired_difference(*answers(50, 0, 0, 0))
    assert difference.value == 0.0
    assert difference.low == -difference.high
    assert 0.05 < difference.high < 0.1


def test_the_order_of_pictures_changes_nothing_but_the_pairing_does() -> None:
    a, b = answers(80, 10, 2, 8)
    order = np.random.default_rng(0).permutation(len(a))
    assert paired_difference(a[order], b[order]) == paired_difference(a, b)
    together, apart = paired_difference(a, a.copy()), paired_difference(a, a[::-1])
    assert together.high - together.low < apart.high - apart.low


def test_no_pictures_say_nothing_about_a_difference() -> None:
    none = np.array([], dtype=bool)
    difference = paired_difference(none, none)
    assert (difference.value, difference.low, difference.high) == (0.0, -1.0, 1.0)


def test_answers_on_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="answers on the same pictures"):
        paired_difference(np.ones(3, bool), np.ones(4, bool))


def test_the_interval_stays_within_its_bounds_for_every_small_table() -> None:
    for n in range(1, 9):
        for cells in np.ndindex(n + 1, n + 1, n + 1):
            if sum(cells) <= n:
                found = paired_difference(*answers(*cells, n - sum(cells)))
                assert -1 <= found.low <= found.value <= found.high <= 1, cells


def test_a_score_holds_what_keras_would_say() -> None:
    import keras

    labels = np.array([0, 1, 2, 1])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    found = score(labels, probabilities)
    loss = keras.losses.SparseCategoricalCrossentropy()(labels, probabilities)
    assert (found.n, found.n_right, found.accuracy) == (4, 2, 0.5)
    assert found.loss == pytest.approx(float(loss), rel=1e-5)
    assert found.interval == wilson_interval(2, 4)
    assert is_right(labels, probabilities).tolist() == [True, True, False, False]


def test_no_pictures_have_no_loss() -> None:
    found = score(np.array([], dtype=int), np.zeros((0, 2)))
    assert math.isnan(found.loss)
    assert math.isnan(found.accuracy)
    assert found.interval == (0.0, 1.0)
