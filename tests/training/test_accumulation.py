"""Batches in parts: equal to whole ones but for rounding, resumed to the bit; and too little memory.

Tolerances are those of float32: parts add up the same sums in another order, which rounds to 6e-8 of them,
and some ten steps of SGD carry that on. Where the same parts are compared with themselves, bits are equal.
"""

import gc
import json
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.config.sections import Reuse
from search.config.trial_config import Stage, TrialConfig
from search.data.image_set import ImageSet
from search.errors import OutOfMemory
from search.model.weights import SHAPES_FILE
from search.store.entries import Store
from search.training.rows import Rows
from search.training.segment import Accumulation, Epoch, Segment
from search.training.trainer import Trainer

# Run in a process of its own, since a process has one backend.
SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import make_images
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from test_accumulation import lopsided, run_trial, trainer_of

config, images = TrialConfig.model_validate(json.loads(sys.argv[3])), lopsided(make_images())
found = []
for parts in (1, 2, 3):
    trainer = trainer_of(Path(sys.argv[1]) / str(parts), images)
    found.append([dict(epoch.metrics) for epoch in run_trial(trainer, config, parts)])
print(json.dumps(found))
"""

# 52 training pictures: three batches of 16 and one of 4
SGD = {"optimizer": "sgd", "dropout": 0.0, "class_weight": "balanced", "augment": 0.5, "weight_decay": 0.01}


def lopsided(images: ImageSet) -> ImageSet:
    """Give the pictures with three of one class to one of the other, so that classes weigh differently."""
    return replace(images, labels=(np.arange(len(images.labels)) % 4 > 0).astype(np.int64))


def trainer_of(home: Path, images: ImageSet, told: Callable[..., None] = lambda *of: None) -> Trainer:
    store, rows, reuse = Store(home / "store"), Rows(home / "epochs"), Reuse(fold_batch_norm=False)
    return Trainer(store, rows, lambda px: images, lambda config: SHAPES_FILE, 0, told, reuse)


def segment(
    config: TrialConfig, stage: Stage, until: int, after: int = 0, accumulation: Accumulation | None = None
) -> Segment:
    return Segment(config, stage, until, after, 2, "val_loss", 0, accumulation=accumulation)


def run_trial(trainer: Trainer, config: TrialConfig, parts: int) -> list[Epoch]:
    """Run both stages with batches in parts from the first epoch on."""
    whole = Accumulation("head", 1, parts)
    return [
        epoch
        for stage in config.stages
        for epoch in trainer.run(segment(config, stage, 2, accumulation=whole)).epochs
    ]


def assert_close(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    assert len(found) == len(expected) == 4
    for one, other in zip(found, expected, strict=True):
        for metric in ("loss", "val_loss"):
            assert one[metric] == pytest.approx(other[metric], rel=1e-4), metric


def metrics_of(epochs: Any) -> list[dict[str, float]]:
    return [dict(epoch.metrics) for epoch in epochs]


@pytest.fixture
def make_trainer_of(images: ImageSet, workshop: object) -> Callable[..., Trainer]:
    """Make a trainer with a store of its own, which finds its networks built unless it is `alone`."""

    def make(home: Path, told: Callable[..., None] = lambda *of: None, alone: bool = False) -> Trainer:
        trainer = trainer_of(home, images, told)
        trainer.workshop = trainer.workshop if alone else workshop  # type: ignore[assignment]
        return trainer

    return make


def test_a_trial_in_parts_equals_one_of_whole_batches(
    tmp_path: Path, images: ImageSet, make_config: Callable, workshop: object
) -> None:
    config, found = make_config(**SGD, unfreeze=1.0), {}
    for parts in (1, 2, 3, 16):
        trainer = trainer_of(tmp_path / str(parts), lopsided(images))
        trainer.workshop = workshop  # type: ignore[assignment]
        found[parts] = metrics_of(run_trial(trainer, config, parts))
    assert found[1][0]["val_loss"] != pytest.approx(found[1][3]["val_loss"], rel=1e-2)
    for parts in (2, 3, 16):
        assert_close(found[parts], found[1])
        assert found[parts] != found[1], "another order of sums should round differently"


@pytest.mark.slow
def test_a_trial_in_parts_under_jax_equals_one_of_whole_batches(
    tmp_path: Path, make_config: Callable
) -> None:
    config = make_config(**SGD)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SCRIPT,
            str(tmp_path),
            str(Path(__file__).parent),
            json.dumps(config.flat()),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr
    whole, *in_parts = json.loads(done.stdout.splitlines()[-1])
    for found in in_parts:
        assert_close(found, whole)


# dropout and augmentation as well: what is random has to go on where it was
SWITCHES = {
    "in stage 2": Accumulation("tune", 2, 2),
    "in stage 1": Accumulation("head", 2, 3),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_trial_resumed_at_the_switch_equals_an_uninterrupted_one(
    name: str, tmp_path: Path, make_config: Callable, make_trainer_of: Callable
) -> None:
    switch = SWITCHES[name]
    config = make_config(dropout=0.3, augment=0.5, tune__epochs=3, optimizer="adam")
    stages: list[tuple[Stage, int]] = [("head", 1), ("head", 2), ("tune", 1), ("tune", 2), ("tune", 3)]
    whole = make_trainer_of(tmp_path / "whole")
    expected = [
        *metrics_of(whole.run(segment(config, "head", 2, 0, switch)).epochs),
        *metrics_of(whole.run(segment(config, "tune", 3, 0, switch)).epochs),
    ]
    found = []
    for stage, epoch in stages:
        at = (stage, epoch) >= (switch.stage, switch.epoch)
        trainer = make_trainer_of(tmp_path / "resumed")  # nothing in memory is left of the one before
        result = trainer.run(segment(config, stage, epoch, epoch - 1, switch if at else None))
        assert result.ran == {epoch}
        found += metrics_of(result.epochs)
    assert found == expected
    without = make_trainer_of(tmp_path / "without")
    plain = metrics_of(without.run(segment(config, "head", 2)).epochs)
    plain += metrics_of(without.run(segment(config, "tune", 3)).epochs)
    first = stages.index((switch.stage, switch.epoch))
    assert [one == other for one, other in zip(found, plain, strict=True)] == [
        number < first for number in range(5)
    ]


def test_epochs_before_the_switch_are_replayed(
    tmp_path: Path, make_config: Callable, make_trainer_of: Callable
) -> None:
    config = make_config(tune__epochs=3)
    make_trainer_of(tmp_path).run(segment(config, "head", 2))
    make_trainer_of(tmp_path).run(segment(config, "tune", 1))
    later = make_trainer_of(tmp_path)
    assert later.run(segment(config, "tune", 3, 0, Accumulation("tune", 2, 2))).ran == {2, 3}
    assert Rows(tmp_path / "epochs").runs() == 5


def too_much(*of: object) -> np.ndarray:
    """Ask the machine for 256 TB."""
    return np.ones((1 << 23, 1 << 23), np.float32)


def too_much_of_the_device() -> None:
    """Ask TensorFlow for 256 TB, which it tries to find for ten seconds."""
    import tensorflow as tf

    tf.zeros((1 << 23, 1 << 23))


@pytest.mark.slow
def test_a_segment_that_ran_out_of_memory_can_be_trained_again(
    tmp_path: Path, make_config: Callable, make_trainer_of: Callable
) -> None:
    config, asked = make_config(dropout=0.3), list[Callable[[], object]]()

    def fill(stage: Stage, epoch: int, share: float) -> None:
        if asked:
            asked.pop()()

    trainer, accumulation = make_trainer_of(tmp_path / "full", fill, alone=True), Accumulation("tune", 2, 2)
    trainer.run(segment(config, "head", 2))
    trainer.run(segment(config, "tune", 1))
    was_live = weakref.ref(trainer._live[1])
    asked.append(too_much_of_the_device)
    with pytest.raises(OutOfMemory, match="memory in stage tune at batch_size 16, parts 1") as caught:
        trainer.run(segment(config, "tune", 2, 1))
    # the error is still held here, as it may be where it is caught
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    gc.collect()
    assert was_live() is None, "what was being trained is still in memory"
    asked.append(too_much)
    with pytest.raises(OutOfMemory, match="memory in stage tune at batch_size 16, parts 2"):
        trainer.run(segment(config, "tune", 2, 1, accumulation))
    undisturbed = make_trainer_of(tmp_path / "undisturbed")
    undisturbed.run(segment(config, "head", 2))
    for again in (None, accumulation):
        found, expected = (one.run(segment(config, "tune", 2, 0, again)) for one in (trainer, undisturbed))
        assert metrics_of(found.epochs) == metrics_of(expected.epochs)
        assert 2 in found.ran


@pytest.mark.parametrize("program", ["frozen", "forward"])
def test_too_little_memory_for_features_or_validation_is_the_same_error(
    program: str, tmp_path: Path, make_config: Callable, make_trainer_of: Callable
) -> None:
    trainer, wanted = make_trainer_of(tmp_path / "full", alone=True), segment(make_config(), "head", 1)
    bench = trainer.workshop.bench(wanted.config, SHAPES_FILE, 2)
    setattr(bench.head, program, too_much)
    with pytest.raises(OutOfMemory, match="memory in stage head at batch_size 16, parts 1"):
        trainer.run(wanted)
    expected = make_trainer_of(tmp_path / "undisturbed").run(wanted)
    assert metrics_of(trainer.run(wanted).epochs) == metrics_of(expected.epochs)


def test_too_little_memory_for_a_prediction_is_the_same_error(
    tmp_path: Path, make_config: Callable, make_trainer_of: Callable
) -> None:
    trainer, last = make_trainer_of(tmp_path, alone=True), segment(make_config(), "head", 1)
    trainer.run(last)
    expected = trainer.predict_best(last, "test")
    trainer.workshop.bench(last.config, SHAPES_FILE, 2).whole.forward = too_much
    with pytest.raises(OutOfMemory, match="memory in stage head at batch_size 16, parts 1"):
        trainer.predict_best(last, "test")
    np.testing.assert_array_equal(trainer.predict_best(last, "test"), expected)


def test_what_is_sent_to_a_worker_can_be_pickled(make_config: Callable) -> None:
    sent = segment(make_config(), "tune", 2, 1, Accumulation("tune", 2, 4))
    assert pickle.loads(pickle.dumps(sent)) == sent
    error = pickle.loads(pickle.dumps(OutOfMemory("out of memory in stage tune at batch_size 16, parts 1")))
    assert isinstance(error, OutOfMemory)
