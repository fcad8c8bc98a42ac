"""Keys: what can change a number is in them, what cannot is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from search.config.trial_config import Stage
from search.training.keys import checkpoint_key, features_key
from search.training.segment import Accumulation, Segment

FACTS = {"pictures": "p", "weights": "w", "environment": {"threads": 2}, "features": "float32"}


def key_of(
    segment: Segment, stage: str = "tune", epoch: int = 2, draw_seed: int = 0, facts: Any = FACTS
) -> str:
    return checkpoint_key(segment, stage, epoch, draw_seed, facts)  # type: ignore[arg-type]


@pytest.fixture
def segment(make_config: Callable) -> Segment:
    return Segment(make_config(augment=0.5), "tune", 2, 0, 2, "val_loss", 0)


def changed(segment: Segment, **settings: Any) -> Segment:
    return replace(segment, config=segment.config.model_copy(update=settings))


OF_BOTH = [
    {"backbone": "mobilenet_v2"}, {"batch_size": 8}, {"optimizer": "sgd"}, {"head_lr": 0.1},
    {"dropout": 0.1}, {"augment": 0.25}, {"n_draws": 2}, {"weight_decay": 0.1},
    {"label_smoothing": 0.1}, {"class_weight": "balanced"}, {"head_lr_schedule": "cosine"},
    {"head_warmup": 0.1}, {"classifier": "sigmoid"}, {"head_hidden": "8"}, {"codes": 0.5},
    {"head_last_layers": 6},
]  # fmt: skip
OF_TUNE = [
    {"unfreeze": 1.0}, {"tune_lr_ratio": 0.5}, {"tune_lr_schedule": "cosine"}, {"tune_warmup": 0.1},
    {"batch_norm": "scale"},
]  # fmt: skip
OF_NONE = [{"patience": 3}, {"tune_epochs": 9}, {"head_epochs": 9}]


@pytest.mark.parametrize("settings", OF_BOTH, ids=str)
def test_a_setting_of_both_stages_is_in_the_keys_of_both(segment: Segment, settings: dict[str, Any]) -> None:
    other = changed(segment, **settings)
    assert key_of(other, "head") != key_of(segment, "head")
    assert key_of(other, "tune") != key_of(segment, "tune")


@pytest.mark.parametrize("settings", OF_TUNE, ids=str)
def test_a_setting_of_stage_2_is_in_its_keys_only(segment: Segment, settings: dict[str, Any]) -> None:
    other = changed(segment, **settings)
    assert key_of(other, "head") == key_of(segment, "head")
    assert key_of(other, "tune") != key_of(segment, "tune")


@pytest.mark.parametrize("settings", OF_NONE, ids=str)
def test_how_long_a_stage_may_last_is_in_no_key(segment: Segment, settings: dict[str, Any]) -> None:
    for stage in ("head", "tune"):
        assert key_of(changed(segment, **settings), stage) == key_of(segment, stage)


def test_a_stages_length_counts_where_its_learning_rate_hangs_on_it(segment: Segment) -> None:
    cosine = changed(segment, tune_lr_schedule="cosine")
    longer = changed(segment, tune_lr_schedule="cosine", tune_epochs=9, head_epochs=9)
    assert key_of(longer, "head") == key_of(cosine, "head")
    assert key_of(longer, "tune") != key_of(cosine, "tune")


def test_seeds_owner_objective_epoch_and_facts_are_in_every_key(segment: Segment) -> None:
    keys = [
        key_of(segment),
        key_of(replace(segment, study_seed=1)),
        key_of(replace(segment, replicate=1)),
        key_of(replace(segment, owner="study/3")),
        key_of(replace(segment, metric="val_accuracy")),
        key_of(replace(segment, head_epochs=1)),
        key_of(segment, epoch=3),
        key_of(segment, "head"),
        key_of(segment, draw_seed=1),
        *(key_of(segment, facts={**FACTS, name: "other"}) for name in FACTS),
    ]
    assert len(set(keys)) == len(keys)


def test_how_a_way_was_cut_into_segments_is_in_no_key(segment: Segment) -> None:
    assert key_of(replace(segment, until=9, after=4, stage="head")) == key_of(segment)


def test_the_draw_seed_counts_only_where_pictures_are_augmented(segment: Segment) -> None:
    plain = changed(segment, augment=0.0)
    assert key_of(plain, draw_seed=1) == key_of(plain)
    assert key_of(changed(plain, n_draws=9)) == key_of(plain)
    assert features_key("b", 1.0, "pooled", "train", 0, 0.0, 1, FACTS) == features_key(
        "b", 1.0, "pooled", "train", 3, 0.0, 2, FACTS
    )
    drawn = [
        features_key("b", 1.0, "pooled", "train", draw, 0.5, seed, FACTS)
        for draw in (0, 1)
        for seed in (0, 1)
    ]
    assert len(set(drawn)) == 4
    assert features_key("b", 1.0, "cut 7", "train", 0, 0.5, 0, FACTS) not in drawn


def test_the_strength_of_regularization_counts_where_scikit_learn_fits(segment: Segment) -> None:
    linear = changed(segment, classifier="svm")
    assert key_of(changed(linear, head_c=0.1)) != key_of(linear)
    assert key_of(changed(segment, head_c=0.1)) == key_of(segment)


def accumulated(segment: Segment, stage: Stage, epoch: int, parts: int = 2) -> Segment:
    return replace(segment, accumulation=Accumulation(stage, epoch, parts))


def test_a_key_without_accumulation_is_what_it_was_before_there_was_any(segment: Segment) -> None:
    # from the last version that had none; another FORMAT, or setting, changes them
    assert key_of(segment, "head") == "8811e167a7ae1bb91c4f6d3ce49596313c852696ae54aa7f1406d60781800260"
    assert key_of(segment, "tune") == "21de8c11c30c0f366e5e2821ce76669c71b37190ca351a8084c16eb907f9beb2"


PLACES: list[tuple[Stage, int]] = [("head", 1), ("head", 2), ("tune", 1), ("tune", 2), ("tune", 3)]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_parts_are_in_the_keys_from_their_first_epoch_on(segment: Segment, place: tuple[Stage, int]) -> None:
    parted = accumulated(segment, *place)
    changed = [key_of(parted, *other) != key_of(segment, *other) for other in PLACES]
    assert changed == [number >= PLACES.index(place) for number in range(5)]


def test_keys_tell_how_many_parts_there_are_and_since_when(segment: Segment) -> None:
    ways: list[tuple[Stage, int, int]] = [("tune", 1, 2), ("tune", 2, 2), ("tune", 2, 4), ("head", 2, 2)]
    assert len({key_of(accumulated(segment, *way), "tune", 3) for way in ways}) == 4


def test_the_same_parts_asked_for_in_another_way_have_the_same_keys(segment: Segment) -> None:
    """Stage 1 of two epochs never comes to a third; and one row is the smallest part there is."""
    after_head, from_tune = accumulated(segment, "head", 3), accumulated(segment, "tune", 1)
    assert key_of(after_head) == key_of(from_tune)
    # parts of ceil(16 / 15) = 2 rows are 8
    assert key_of(accumulated(segment, "tune", 1, 15)) == key_of(accumulated(segment, "tune", 1, 8))
    assert key_of(accumulated(segment, "tune", 1, 99)) == key_of(accumulated(segment, "tune", 1, 16))
    assert key_of(accumulated(segment, "tune", 1, 16)) != key_of(accumulated(segment, "tune", 1, 8))


def test_parts_that_change_nothing_are_in_no_key(segment: Segment) -> None:
    one_row = changed(segment, batch_size=1)
    assert key_of(accumulated(one_row, "head", 1)) == key_of(one_row)
    assert key_of(accumulated(segment, "head", 1, 1)) == key_of(segment)
    linear = changed(segment, classifier="svm")
    assert key_of(accumulated(linear, "head", 1), "head") == key_of(linear, "head")
    assert key_of(accumulated(linear, "head", 1)) == key_of(accumulated(linear, "tune", 1)) != key_of(linear)
