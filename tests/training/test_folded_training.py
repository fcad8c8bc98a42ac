"""Training through folded convolutions against `plain`, which goes through Keras' own layers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_oracle import run_segments

from search.data.image_set import ImageSet
from search.model.weights import SHAPES_FILE
from search.training.plain import run_plain
from search.training.segment import Segment
from search.training.workshop import Workshop


@pytest.fixture(scope="module")
def folding() -> Workshop:
    return Workshop(draw_seed=0, fold=True)


@pytest.mark.parametrize("unfreeze", [0.0, 0.5, 1.0])
def test_a_folded_trial_equals_plain_but_for_rounding(
    unfreeze: float,
    tmp_path: Path,
    images: ImageSet,
    make_trainer: Callable,
    make_config: Callable,
    folding: Workshop,
) -> None:
    config = make_config(unfreeze=unfreeze, augment=0.5, n_draws=2, weight_decay=0.01)
    trainer = make_trainer(tmp_path, fold_batch_norm=True)
    trainer.workshop = folding
    ours, last = run_segments(trainer, config)
    plain, model = run_plain(config, images, SHAPES_FILE, "val_loss", study_seed=0)
    assert len(ours) == len(plain)
    for got, expected in zip(ours, plain, strict=True):
        # Each layer rounds otherwise, at most 2 ** -23 of a number, and Adam carries that on: its first steps
        # are as long for a gradient of nearly nothing as for any other, with whatever sign. 1.3e-3 was seen.
        assert got.metrics["val_loss"] == pytest.approx(expected.metrics["val_loss"], rel=3e-3)
    logits = model.predict(images.images_of("test"), 64, verbose=0)
    np.testing.assert_allclose(trainer.predict_best(last, "test"), logits, atol=0.02)


def test_a_folded_trial_that_is_resumed_equals_the_undisturbed_one(
    tmp_path: Path, make_trainer: Callable, make_config: Callable, folding: Workshop
) -> None:
    config = make_config(unfreeze=1.0, augment=0.5)

    def trained(home: Path, is_resumed: bool) -> list[float]:
        trainer = make_trainer(home, fold_batch_norm=True)
        trainer.workshop = folding
        if is_resumed:
            trainer.run(Segment(config, "tune", 1, 0, config.head_epochs, "val_loss", 0))
            trainer = make_trainer(home, fold_batch_norm=True)
            trainer.workshop = folding
        return [epoch.metrics["val_loss"] for epoch in run_segments(trainer, config)[0]]

    assert trained(tmp_path / "resumed", True) == trained(tmp_path / "undisturbed", False)


def test_folded_and_unfolded_trials_share_nothing(
    tmp_path: Path, make_trainer: Callable, make_config: Callable, folding: Workshop, workshop: Workshop
) -> None:
    segment = Segment(make_config(unfreeze=0.0), "head", 2, 0, 2, "val_loss", 0)
    for fold, shop in ((True, folding), (False, workshop)):
        trainer = make_trainer(tmp_path, fold_batch_norm=fold)
        trainer.workshop = shop
        assert trainer.run(segment).ran == {1, 2}
    assert len(list(tmp_path.glob("store/features/*/features.npy"))) == 4
