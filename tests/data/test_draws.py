"""Draws: pure functions of (seed, draw number, content)."""

import numpy as np
import pytest

from search.data.draws import N_NUMBERS, colours, draw_numbers, draw_of_epoch, holes, transforms

CONTENT = np.arange(4000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def test_numbers_hang_on_seed_draw_and_picture_alone() -> None:
    numbers = draw_numbers(CONTENT, 3, 7)
    assert numbers.shape == (4000, N_NUMBERS)
    np.testing.assert_array_equal(numbers[::-1], draw_numbers(CONTENT[::-1], 3, 7))
    np.testing.assert_array_equal(numbers[17:18], draw_numbers(CONTENT[17:18], 3, 7))
    for other in (draw_numbers(CONTENT, 4, 7), draw_numbers(CONTENT, 3, 8)):
        assert not np.any(numbers == other)


def test_numbers_are_uniform_and_do_not_hang_together() -> None:
    numbers = draw_numbers(CONTENT, 0, 0)
    assert ((numbers >= 0) & (numbers < 1)).all()
    # of 4,000 uniform numbers the mean deviates by 0.0046, a share of 10 % by 0.0047
    assert np.abs(numbers.mean(axis=0) - 0.5).max() < 0.02
    for column in numbers.T:
        assert np.abs(np.histogram(column, 10, (0, 1))[0] / 4000 - 0.1).max() < 0.02
    between = np.corrcoef(np.hstack([numbers, draw_numbers(CONTENT, 1, 0)]).T)
    assert np.abs(between - np.eye(len(between))).max() < 0.08


def test_neighbouring_contents_have_unlike_numbers() -> None:
    numbers = draw_numbers(np.arange(4000, dtype=np.uint64), 0, 0)
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.08


@pytest.mark.parametrize(
    ("epoch", "n_draws", "strength", "draw"),
    [(0, 4, 0.5, 0), (3, 4, 0.5, 3), (4, 4, 0.5, 0), (9, 1, 1.0, 0), (9, 4, 0.0, 0)],
)
def test_epochs_take_the_draws_in_turn(epoch: int, n_draws: int, strength: float, draw: int) -> None:
    assert draw_of_epoch(epoch, n_draws, strength) == draw


def test_strength_0_changes_nothing_and_strength_1_goes_to_the_ends() -> None:
    numbers = draw_numbers(CONTENT, 0, 0)
    np.testing.assert_allclose(
        transforms(numbers, 0.0, 64), np.tile([1, 0, 0, 0, 1, 0, 0, 0], (4000, 1)), atol=1e-5
    )
    np.testing.assert_array_equal(colours(numbers, 0.0), np.tile([0, 1, 1], (4000, 1)))
    moves = transforms(numbers, 1.0, 64)
    determinant = moves[:, 0] * moves[:, 4] - moves[:, 1] * moves[:, 3]
    assert abs((determinant < 0).mean() - 0.5) < 0.03  # half are flipped
    angles = np.arctan2(moves[:, 3], moves[:, 4])
    assert np.abs(angles).max() == pytest.approx(0.2 * 2 * np.pi, rel=0.01)  # RandomRotation(0.2)


@pytest.mark.parametrize("px", [32, 96, 100])
def test_high_strength_cuts_out_blocks_that_lie_in_the_picture(px: int) -> None:
    numbers = draw_numbers(CONTENT, 0, 0)
    for strength in (0.0, 0.5):
        top, left, bottom, right = holes(numbers, strength, px).T
        assert (top == bottom).all()
        assert (left == right).all()
    sides = {}
    for strength in (0.75, 1.0):
        found = holes(numbers, strength, px)
        top, left, bottom, right = found.T
        assert (found % 8 == 0).all()
        assert found.min() == 0
        assert found.max() <= px
        np.testing.assert_array_equal(bottom - top, right - left)
        sides[strength] = (bottom - top).max()
    # half of the side at strength 1, half of that at 0.75, in whole blocks
    assert sides == {1.0: (px // 2 - 1) // 8 * 8, 0.75: (px // 4 - 1) // 8 * 8}
    # they lie everywhere, as far as the blocks reach
    assert {0, (px - 8) // 8 * 8} <= set(holes(numbers, 1.0, px)[:, 2] - 8) | {0}


def test_the_middle_of_a_picture_stays_without_a_shift() -> None:
    numbers = draw_numbers(CONTENT, 0, 0)
    numbers[:, 3:5] = 0.5
    a0, a1, a2, b0, b1, b2 = transforms(numbers, 1.0, 65).T[:6]
    np.testing.assert_allclose(a0 * 32 + a1 * 32 + a2, 32, atol=1e-3)
    np.testing.assert_allclose(b0 * 32 + b1 * 32 + b2, 32, atol=1e-3)
