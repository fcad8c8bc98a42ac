"""The segment way against `plain`, each from an empty store of its own.

Both sides must give the same bits: on a CPU in float32 the search computes the same sums in the same order,
it only does not compute them twice. The training loss alone is summed differently (Keras keeps a running
float32 mean), so it agrees to float32's rounding.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.config.sections import Reuse
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from search.model.weights import SHAPES_FILE
from search.store.entries import Store
from search.training.plain import run_plain
from search.training.rows import Rows
from search.training.segment import Epoch, Segment
from search.training.trainer import Trainer
from search.training.workshop import Workshop

SETTINGS = {
    "as tutorials do it": {},
    "all unfrozen, augmented, decayed": {
        "unfreeze": 1.0,
        "augment": 0.5,
        "n_draws": 2,
        "weight_decay": 0.05,
    },
    "sgd with warm-up, cosine and label smoothing": {
        "optimizer": "sgd",
        "head_warmup": 0.3,
        "tune_warmup": 0.3,
        "head_lr_schedule": "cosine",
        "tune_lr_schedule": "cosine",
        "label_smoothing": 0.1,
    },
    "rmsprop without dropout, stopped early": {
        "optimizer": "rmsprop",
        "dropout": 0.0,
        "patience": 1,
        "head__epochs": 4,
        "head__lr": 0.3,
    },
    "features only": {"unfreeze": 0.0},
    "one output and hidden layers": {
        "classifier": "sigmoid",
        "head__hidden": "8,4",
        "optimizer": "adamw",
        "weight_decay": 0.01,
    },
    "stage 1 trains some of the backbone, more than stage 2": {
        "head__last_layers": 10,
        "unfreeze": "re:conv_pw_13/",
        "augment": 0.5,
        "n_draws": 2,
    },
    "codes from earlier in the network": {"codes": 0.5, "unfreeze": 0.5},
}


def run_segments(
    trainer: Trainer, config: TrialConfig, owner: str | None = None
) -> tuple[list[Epoch], Segment]:
    """Run a trial epoch by epoch, as the driver does."""
    from search.training.segment import stage_ended

    epochs: dict[str, list[Epoch]] = {"head": [], "tune": []}
    segment = None
    for stage in config.stages:
        while not stage_ended(
            config, stage, [epoch.metrics["val_loss"] for epoch in epochs[stage]], "val_loss"
        ):
            known = len(epochs[stage])
            segment = Segment(config, stage, known + 1, known, len(epochs["head"]), "val_loss", 0, 0, owner)
            epochs[stage] += trainer.run(segment).epochs
    assert segment is not None
    return epochs["head"] + epochs["tune"], segment


@pytest.mark.parametrize("name", SETTINGS)
def test_segments_equal_plain(
    name: str, tmp_path: Path, images: ImageSet, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(**SETTINGS[name])
    trainer = make_light_trainer(tmp_path)
    ours, last = run_segments(trainer, config)
    plain, model = run_plain(config, images, SHAPES_FILE, "val_loss", study_seed=0)
    assert [(epoch.stage, epoch.epoch) for epoch in ours] == [(epoch.stage, epoch.epoch) for epoch in plain]
    for got, expected in zip(ours, plain, strict=True):
        for metric in ("val_loss", "val_accuracy", "val_auc", "val_f1"):
            assert got.metrics[metric] == expected.metrics[metric], (got.stage, got.epoch, metric)
        assert got.metrics["loss"] == pytest.approx(expected.metrics["loss"], rel=1e-5)
    logits = model.predict(images.images_of("test"), 64, verbose=0)
    np.testing.assert_array_equal(trainer.predict_best(last, "test"), logits)


def test_balanced_classes_equal_plain(
    tmp_path: Path, images: ImageSet, make_config: Callable, workshop: Workshop
) -> None:
    lopsided = replace(images, labels=(np.arange(len(images.labels)) % 4 > 0).astype(np.int64))
    found = {}
    for how in ("none", "balanced"):
        config = make_config(unfreeze=1.0, class_weight=how)
        store, rows, reuse = Store(tmp_path / how), Rows(tmp_path / "rows"), Reuse(fold_batch_norm=False)
        trainer = Trainer(store, rows, lambda px: lopsided, lambda config: SHAPES_FILE, 0, reuse=reuse)
        trainer.workshop = workshop
        ours, _ = run_segments(trainer, config)
        plain, _ = run_plain(config, lopsided, SHAPES_FILE, "val_loss", study_seed=0)
        assert [e.metrics["val_loss"] for e in ours] == [e.metrics["val_loss"] for e in plain]
        np.testing.assert_allclose(
            [e.metrics["loss"] for e in ours], [e.metrics["loss"] for e in plain], rtol=1e-5
        )
        found[how] = [e.metrics["val_loss"] for e in ours]
    assert found["none"] != found["balanced"]


def test_two_stages_learn_what_is_there(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    epochs, _ = run_segments(make_light_trainer(tmp_path), make_config(head__epochs=6, head__lr=0.01))
    assert epochs[-1].metrics["val_accuracy"] > 0.9
