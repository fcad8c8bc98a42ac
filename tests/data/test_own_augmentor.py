"""An augmentor of the user's own: how it is called, what seeds it, and what it may give."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from search.data.draws import draw_seeds
from search.data.own_augmentor import OwnAugmentor
from search.errors import SpaceError
from search.user_function import UserFunction

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
CONTENT = np.arange(5, dtype=np.uint64) * np.uint64(977)


class Compose:
    """Calls as Albumentations' Compose does: pictures by name only, a seed by a method."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng()

    def set_random_seed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, *args: object, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        if args:
            raise KeyError("You have to pass data to augmentations as named arguments")
        return {**data, "image": noisy(data["image"], self.rng)}


def noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (picture + rng.integers(0, 2, picture.shape)).astype(np.uint8)


def by_seed(picture: np.ndarray, seed: int) -> np.ndarray:
    return noisy(picture, np.random.default_rng(seed))


def by_name(image: np.ndarray, seed: int) -> np.ndarray:
    return by_seed(image, seed)


def own(call: Callable[..., Any], seed: int = 0) -> OwnAugmentor:
    return OwnAugmentor(UserFunction("mine:augment", call, "digest"), seed)


@pytest.mark.parametrize(
    "call", [by_seed, by_name, noisy, Compose()], ids=["seed", "image", "rng", "compose"]
)
def test_a_seeded_augmentor_gives_each_picture_its_own_change_by_content_and_draw(
    call: Callable[..., Any],
) -> None:
    augmentor = own(call)
    augmentor.check(PICTURES[0])
    assert augmentor.is_seedable
    first = augmentor(PICTURES, CONTENT, draw=1, strength=1.0)
    assert (first.shape, first.dtype) == (PICTURES.shape, np.uint8)
    backwards = augmentor(PICTURES[::-1], CONTENT[::-1], draw=1, strength=0.3)
    np.testing.assert_array_equal(backwards[::-1], first)
    others = [
        augmentor(PICTURES, CONTENT, draw=2, strength=1.0),
        own(call, seed=1)(PICTURES, CONTENT, draw=1, strength=1.0),
        augmentor(PICTURES, CONTENT + np.uint64(1), draw=1, strength=1.0),
    ]
    assert all((other != first).any() for other in others)


def test_what_takes_no_seed_is_called_all_the_same_and_counts_as_not_seedable() -> None:
    augmentor = own(lambda picture: picture[:, ::-1])
    assert not augmentor.is_seedable
    np.testing.assert_array_equal(augmentor(PICTURES, CONTENT, 0, 1.0), PICTURES[:, :, ::-1])
    assert not own(dict.fromkeys).is_seedable
    with pytest.raises(ValueError, match="no signature"):  # what is written in C may have none
        inspect.signature(max)
    assert not own(max).is_seedable


def test_at_strength_0_it_is_not_called() -> None:
    assert own(lambda picture: 1 / 0)(PICTURES, CONTENT, 0, 0.0) is PICTURES


def test_an_augmentor_that_writes_into_its_picture_changes_no_other() -> None:
    buffer = np.zeros((8, 8, 3), np.uint8)

    def reusing(picture: np.ndarray) -> np.ndarray:
        buffer[:] = picture
        picture[:] = 0
        return buffer

    def by_name(image: np.ndarray) -> np.ndarray:
        return reusing(image)

    before = PICTURES.copy()
    before.flags.writeable = False
    for call in (reusing, by_name):
        np.testing.assert_array_equal(own(call)(before, CONTENT, 0, 1.0), PICTURES)


def test_one_that_takes_a_picture_and_whatever_else_there_is_gets_the_picture_by_place() -> None:
    def flipped(picture: np.ndarray, **more: Any) -> np.ndarray:
        assert not more
        return picture[:, ::-1]

    np.testing.assert_array_equal(own(flipped)(PICTURES, CONTENT, 0, 1.0), PICTURES[:, :, ::-1])


def test_one_that_takes_no_seed_may_give_two_pictures_for_one() -> None:
    rng = np.random.default_rng(0)
    own(lambda picture: noisy(picture, rng)).check(PICTURES[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda picture: picture / 255,
            r"must give a \(8, 8, 3\) uint8 .*; it gave \(8, 8, 3\) float64; mend",
        ),
        (lambda picture: picture[:4], r"it gave \(4, 8, 3\) uint8"),
        (lambda picture: None, "it gave NoneType"),
        (lambda picture: {"mask": picture}, "it gave NoneType"),
        (lambda picture: [][3], r"failed with IndexError: .*\(test_own_augmentor.py, line \d+\); mend it"),
        (lambda picture, seed: noisy(picture, np.random.default_rng()), "takes seed and must give the same"),
        (lambda picture, strength: picture, "failed with TypeError: .*strength"),
    ],
)
def test_what_does_not_do_is_one_sentence(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(SpaceError, match="^augmentor: mine:augment .*" + message) as caught:
        own(call).check(PICTURES[0])
    assert len(caught.value.sentences) == 1


def test_seeds_differ_by_picture_and_draw_and_fit_numpy_and_albumentations() -> None:
    content = np.arange(1000, dtype=np.uint64)
    seeds = np.concatenate([draw_seeds(content, draw, seed) for draw in (0, 1) for seed in (0, 1)])
    assert len(np.unique(seeds)) == 4000
    assert seeds.max() < 2**32
    assert 0.45 < (seeds / 2**32).mean() < 0.55
