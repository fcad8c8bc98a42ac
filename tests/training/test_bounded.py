"""A bounded store: whatever had to go, the numbers are the same, and what is pinned is not trained again."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_oracle import run_segments

from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from search.store.pins import Pins
from search.training.rows import Rows
from search.training.segment import Segment
from search.training.trainer import Trainer

# 52 pictures have 53 kB of features a draw, and 24 have 25 kB; a checkpoint of stage 2 has 3 MB.
LIMITS = {"two strengths do not fit together": ("300kB", 4), "one strength does not fit": ("200kB", 0)}


def table(trainer: Trainer, configs: list[TrialConfig]) -> list[dict[str, float]]:
    return [dict(epoch.metrics) for config in configs for epoch in run_segments(trainer, config)[0]]


@pytest.fixture
def configs(make_config: Callable) -> list[TrialConfig]:
    heads = [
        make_config(unfreeze=0.0, augment=augment, n_draws=2, head__epochs=3, head__lr=lr)
        for lr in (3e-3, 1e-3)
        for augment in (0.25, 0.5)
    ]
    return [make_config(unfreeze=1.0, augment=0.5, n_draws=2), *heads]


@pytest.mark.parametrize(("limit", "most_left"), LIMITS.values(), ids=LIMITS.keys())
def test_a_study_in_a_store_that_is_too_small_has_the_same_table(
    limit: str, most_left: int, tmp_path: Path, make_light_trainer: Callable, configs: list[TrialConfig]
) -> None:
    expected = table(make_light_trainer(tmp_path / "large"), configs)
    trainer = make_light_trainer(tmp_path / "small", limit=limit)
    assert table(trainer, configs) == expected
    features = list((tmp_path / "large" / "store" / "features").glob("[!.]*"))
    left = list((tmp_path / "small" / "store" / "features").glob("[!.]*"))
    assert len(features) == 2 * 2 + 1
    assert len(left) <= most_left


def test_a_trial_whose_pinned_checkpoint_is_left_alone_goes_on_from_it(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(head__epochs=2, tune__epochs=3)
    expected = table(make_light_trainer(tmp_path / "large"), [config])
    trainer, pins = make_light_trainer(tmp_path, limit="5MB"), Pins(tmp_path / "store", "study")
    trainer.run(Segment(config, "head", 2, 0, 2, "val_loss", 0))
    paused = trainer.run(Segment(config, "tune", 2, 0, 2, "val_loss", 0))
    pins.hold("trial 1", [("checkpoints", paused.checkpoint)])
    for lr in (1e-3, 2e-3):
        run_segments(trainer, make_config(head__lr=lr))
    checkpoints = {path.name for path in (tmp_path / "store" / "checkpoints").glob("[!.]*")}
    assert paused.checkpoint in checkpoints
    trained = Rows(tmp_path / "epochs").runs()
    last = make_light_trainer(tmp_path, limit="5MB").run(Segment(config, "tune", 3, 2, 2, "val_loss", 0))
    assert [dict(epoch.metrics) for epoch in last.epochs] == expected[-1:]
    # The head's end is gone, and nothing asks for it.
    assert Rows(tmp_path / "epochs").runs() == trained + 1


def test_without_the_pin_it_is_trained_again(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(head__epochs=2, tune__epochs=3)
    expected = table(make_light_trainer(tmp_path / "large"), [config])
    trainer = make_light_trainer(tmp_path, limit="5MB")
    trainer.run(Segment(config, "tune", 2, 0, 2, "val_loss", 0))
    for lr in (1e-3, 2e-3):
        run_segments(trainer, make_config(head__lr=lr))
    trained = Rows(tmp_path / "epochs").runs()
    last = trainer.run(Segment(config, "tune", 3, 2, 2, "val_loss", 0))
    assert [dict(epoch.metrics) for epoch in last.epochs] == expected[-1:]
    assert Rows(tmp_path / "epochs").runs() == trained + 5


def test_the_pictures_in_use_are_not_the_least_recently_used(
    tmp_path: Path, images: ImageSet, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    with trainer._store.build("arrays", images.key) as draft:
        (draft / "pictures.npy").touch()
    arrays = tmp_path / "store" / "arrays" / images.key
    os.utime(arrays, (5, 5))
    trainer.run(Segment(make_config(), "head", 1, 0, 2, "val_loss", 0))
    assert time.time() - arrays.stat().st_mtime < 600
