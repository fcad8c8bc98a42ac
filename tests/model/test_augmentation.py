"""The augmentation program."""

import numpy as np
import pytest

from search.data.draws import draw_numbers, flips_and_rotations, transforms
from search.model.augmentation import Augmentation

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (300, 24, 24, 3), dtype=np.uint8)
CONTENT = np.arange(300, dtype=np.uint64)


def test_strength_0_is_the_identity() -> None:
    np.testing.assert_array_equal(Augmentation(0)(PICTURES, CONTENT, 5, 0.0), PICTURES)


def test_a_picture_is_changed_alike_whatever_stands_beside_it() -> None:
    augment = Augmentation(0)
    whole = augment(PICTURES, CONTENT, 1, 0.7)
    assert (whole.dtype, whole.shape) == (np.uint8, PICTURES.shape)
    np.testing.assert_array_equal(augment(PICTURES[40:45], CONTENT[40:45], 1, 0.7), whole[40:45])
    assert not np.array_equal(augment(PICTURES, CONTENT, 2, 0.7), whole)
    assert not np.array_equal(Augmentation(1)(PICTURES, CONTENT, 1, 0.7), whole)


@pytest.mark.parametrize("px", [64, 96])
def test_a_picture_is_changed_alike_wherever_it_stands(px: int) -> None:
    pictures = RNG.integers(0, 256, (300, px, px, 3), dtype=np.uint8)
    augment = Augmentation(0)
    whole = augment(pictures, CONTENT, 1, 0.5)
    for n in (300, 257, 100, 64, 1):
        some = RNG.permutation(300)[:n]
        np.testing.assert_array_equal(augment(pictures[some], CONTENT[some], 1, 0.5), whole[some])


def test_more_strength_changes_more() -> None:
    augment = Augmentation(0)
    smooth = np.broadcast_to(np.linspace(60, 190, 24, dtype=np.uint8)[:, None, None], (300, 24, 24, 3))
    distances = [
        np.abs(augment(smooth, CONTENT, 0, strength).astype(float) - smooth).mean()
        for strength in (0.1, 0.5, 1.0)
    ]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_no_pictures_give_no_pictures() -> None:
    assert Augmentation(0)(PICTURES[:0], CONTENT[:0], 0, 1.0).shape == (0, 24, 24, 3)


def test_a_flip_alone_mirrors_the_picture(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from search.data import draws

    for name in ("ROTATION_TURNS", "ZOOM", "SHIFT", "BRIGHTNESS", "CONTRAST", "SATURATION", "CUTOUT"):
        monkeypatch.setattr(draws, name, 0.0)
    changed = Augmentation(0)(PICTURES, CONTENT, 0, 1.0)
    flipped = np.array(
        [np.array_equal(new, old[:, ::-1]) for new, old in zip(changed, PICTURES, strict=True)]
    )
    same = np.array([np.array_equal(new, old) for new, old in zip(changed, PICTURES, strict=True)])
    assert (flipped ^ same).all()
    assert 0.35 < flipped.mean() < 0.65


def test_what_is_cut_out_is_grey_and_the_rest_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from search.data import draws

    pictures = RNG.integers(0, 120, (300, 64, 64, 3), dtype=np.uint8)
    cut = Augmentation(0)(pictures, CONTENT, 0, 1.0)
    holes = draws.holes(draws.draw_numbers(CONTENT, 0, 0), 1.0, 64)
    monkeypatch.setattr(draws, "CUTOUT", 0.0)
    whole = Augmentation(0)(pictures, CONTENT, 0, 1.0)
    n_cut = 0
    for one, other, (top, left, bottom, right) in zip(cut, whole, holes, strict=True):
        assert (one[top:bottom, left:right] == 128).all()
        other[top:bottom, left:right] = 128
        np.testing.assert_array_equal(one, other)
        n_cut += bottom > top
    # a side is uniform up to 32 px, and below 8 px nothing is cut out
    assert abs(n_cut / 300 - 0.75) < 0.1


def test_of_flips_and_rotations_alone_nothing_but_places_change() -> None:
    few, flat = Augmentation(0, few=True), np.full((64, 24, 24, 3), 77, np.uint8)
    np.testing.assert_array_equal(few(flat, CONTENT[:64], 1, 1.0), flat)
    assert not np.array_equal(Augmentation(0)(flat, CONTENT[:64], 1, 1.0), flat)
    assert not np.array_equal(few(PICTURES, CONTENT, 1, 1.0), PICTURES)


def test_at_full_strength_half_are_flipped_and_turned_by_up_to_a_fifth_either_way() -> None:
    numbers = flips_and_rotations(draw_numbers(np.arange(2000, dtype=np.uint64), 0, 0))
    a0, a1, _, b0, b1, *_ = transforms(numbers, 1.0, 24).T.astype(np.float64)
    determinant = a0 * b1 - a1 * b0
    np.testing.assert_allclose(np.abs(determinant), 1.0, atol=1e-5)  # no zoom
    assert np.mean(determinant < 0) == pytest.approx(0.5, abs=0.04)
    turns = np.abs(np.arctan2(b0, b1)) / (2 * np.pi)
    assert 0.19 < turns.max() <= 0.2
