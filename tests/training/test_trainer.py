"""Segments: replay, resume, reuse, and what is shared between trials."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_oracle import run_segments

from search.config.sections import Reuse
from search.data.image_set import ImageSet
from search.errors import TrialError
from search.store.entries import Store
from search.training import stage_training
from search.training.rows import Rows
from search.training.segment import Segment
from search.training.stage_training import StageTraining
from search.training.trainer import Trainer
from search.training.workshop import Workshop


def segment(config: object, stage: str, until: int, head_epochs: int = 2, **more: object) -> Segment:
    return Segment(config, stage, until, 0, head_epochs, "val_loss", 0, **more)  # type: ignore[arg-type]


def metrics_of(result: object) -> list[dict[str, float]]:
    return [dict(epoch.metrics) for epoch in result.epochs]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, images: ImageSet, make_config: Callable, workshop: Workshop
) -> tuple:
    """An undisturbed trial of 3 + 3 epochs: its home, config, metrics and best predictions."""
    from search.model.weights import SHAPES_FILE

    home = tmp_path_factory.mktemp("whole")
    config = make_config(head__epochs=3, tune__epochs=3, augment=0.5, weight_decay=0.01)
    store, rows, reuse = Store(home / "store"), Rows(home / "epochs"), Reuse(fold_batch_norm=False)
    trainer = Trainer(store, rows, lambda px: images, lambda config: SHAPES_FILE, 0, reuse=reuse)
    trainer.workshop = workshop
    epochs, last = run_segments(trainer, config)
    return home, config, [dict(epoch.metrics) for epoch in epochs], trainer.predict_best(last, "test")


def test_a_trial_resumed_after_every_epoch_equals_the_uninterrupted_one(
    whole: tuple, tmp_path: Path, make_trainer: Callable
) -> None:
    _, config, expected, logits = whole
    got = []
    for stage in ("head", "tune"):
        for epoch in (1, 2, 3):
            trainer = make_trainer(tmp_path)  # nothing in memory is left of the one before
            result = trainer.run(segment(config, stage, epoch, 3))
            got.append(dict(result.epochs[-1].metrics))
            assert result.ran == {epoch}
    assert got == expected
    np.testing.assert_array_equal(trainer.predict_best(segment(config, "tune", 3, 3), "test"), logits)


def test_a_head_whose_features_are_trained_on_in_parts_equals_one_call(
    whole: tuple, tmp_path: Path, make_light_trainer: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config, expected, _ = whole
    bytes_a_step = config.batch_size * 256 * 4
    monkeypatch.setattr(stage_training, "_MOST_BYTES_A_CALL", 2 * bytes_a_step)
    told: list[float] = []
    trainer = make_light_trainer(tmp_path)
    trainer._progress = lambda stage, epoch, share: told.append(share)
    assert metrics_of(trainer.run(segment(config, "head", 3, 3))) == expected[:3]
    # 52 pictures are 4 steps
    assert told == 3 * [32 / 52, 1.0]


def test_a_segment_of_many_epochs_equals_one_of_each(
    whole: tuple, tmp_path: Path, make_light_trainer: Callable
) -> None:
    _, config, expected, _ = whole
    trainer = make_light_trainer(tmp_path)
    got = metrics_of(trainer.run(segment(config, "head", 3, 3))) + metrics_of(
        trainer.run(segment(config, "tune", 3, 3))
    )
    assert got == expected


def test_a_stored_trial_is_replayed_without_training(whole: tuple, make_trainer: Callable) -> None:
    home, config, expected, _ = whole
    trainer = make_trainer(home)
    result = trainer.run(segment(config, "tune", 3, 3))
    assert result.ran == frozenset()
    assert metrics_of(result) == expected[3:]
    assert trainer.workshop.compiled == 0


def test_lost_checkpoints_are_trained_again_with_the_same_numbers(
    whole: tuple, tmp_path: Path, make_light_trainer: Callable
) -> None:
    home, config, _, logits = whole
    shutil.copytree(home, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "store" / "checkpoints")
    trainer = make_light_trainer(tmp_path / "copy")
    np.testing.assert_array_equal(trainer.predict_best(segment(config, "tune", 3, 3), "test"), logits)
    rows = Rows(tmp_path / "copy" / "epochs")
    assert rows.runs() == 12  # each of the six epochs once more


def test_a_damaged_checkpoint_is_noticed_and_trained_again(
    whole: tuple, tmp_path: Path, make_light_trainer: Callable
) -> None:
    home, config, expected, _ = whole
    shutil.copytree(home, tmp_path / "copy")
    files = list((tmp_path / "copy" / "store" / "checkpoints").glob("*/arrays.npz"))
    assert files
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    trainer = make_light_trainer(tmp_path / "copy")
    longer = config.model_copy(update={"tune_epochs": 4})
    assert metrics_of(trainer.run(segment(longer, "tune", 4, 3)))[:3] == expected[3:]


def test_trials_with_the_same_beginning_share_it(
    whole: tuple, tmp_path: Path, make_light_trainer: Callable
) -> None:
    home, config, expected, _ = whole
    shutil.copytree(home, tmp_path / "copy")
    trainer = make_light_trainer(tmp_path / "copy")
    other = config.model_copy(update={"tune_lr_ratio": 0.01, "head_epochs": 4})
    shared = trainer.run(segment(other, "head", 3, 3))
    assert (shared.ran, metrics_of(shared)) == (frozenset(), expected[:3])
    assert trainer.run(segment(other, "tune", 1, 3)).ran == {1}


def test_an_owner_shares_with_nobody(whole: tuple, tmp_path: Path, make_light_trainer: Callable) -> None:
    home, config, expected, _ = whole
    shutil.copytree(home, tmp_path / "copy")
    trainer = make_light_trainer(tmp_path / "copy")
    owned = trainer.run(segment(config, "head", 3, 3, owner="study/7"))
    assert owned.ran == {1, 2, 3}
    assert metrics_of(owned) == expected[:3]
    assert (
        make_light_trainer(tmp_path / "copy").run(segment(config, "head", 3, 3, owner="study/7")).ran
        == frozenset()
    )


def test_a_program_is_compiled_once_for_many_trials(
    tmp_path: Path, make_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_trainer(tmp_path)
    for lr in (1e-3, 3e-3, 1e-2):
        for dropout in (0.0, 0.4):
            run_segments(trainer, make_config(head__lr=lr, dropout=dropout, head__epochs=1, tune__epochs=1))
    assert trainer.workshop.compiled == 2


def test_trials_run_in_any_order_give_the_same_numbers(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    configs = [make_config(unfreeze=1.0), make_config(unfreeze=0.2, head__lr=0.01), make_config(unfreeze=0.0)]
    forward, backward = make_light_trainer(tmp_path / "a"), make_light_trainer(tmp_path / "b")
    first = [run_segments(forward, config)[0] for config in configs]
    second = [run_segments(backward, config)[0] for config in reversed(configs)][::-1]
    for one, other in zip(first, second, strict=True):
        assert [epoch.metrics for epoch in one] == [epoch.metrics for epoch in other]


def test_replicates_and_study_seeds_have_numbers_of_their_own(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer, config = make_light_trainer(tmp_path), make_config()
    losses = {
        (seed, replicate): trainer.run(Segment(config, "head", 1, 0, 2, "val_loss", seed, replicate))
        .epochs[0]
        .metrics["val_loss"]
        for seed in (0, 1)
        for replicate in (0, 1)
    }
    assert len(set(losses.values())) == 4


def test_a_loss_that_is_not_finite_loses_the_trial_and_names_the_epoch(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    with pytest.raises(TrialError, match="loss is nan in epoch 1 of stage head, learning rate"):
        trainer.run(segment(make_config(head__lr=1e38, optimizer="sgd"), "head", 2))
    fine = trainer.run(segment(make_config(), "head", 1))
    assert np.isfinite(fine.epochs[0].metrics["val_loss"])


def test_stage_2_leaves_batch_normalization_as_it_is(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    import keras

    trainer, config = make_light_trainer(tmp_path), make_config(unfreeze=1.0, tune__lr_ratio=10.0)
    trainer.run(segment(config, "head", 2))
    network = trainer.workshop.bench(config, trainer._weights(config), 2).network
    layers = [
        layer for layer in network.backbone.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before = [np.array(variable) for layer in layers for variable in layer.variables]
    kernel = np.array(network.backbone.layers[1].weights[0])
    trainer.run(segment(config, "tune", 2))
    after = [np.array(variable) for layer in layers for variable in layer.variables]
    assert len(before) == 4 * len(layers) > 0
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(kernel, np.array(network.backbone.layers[1].weights[0]))


def test_an_epoch_says_what_it_trained(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    epochs, _ = run_segments(trainer, make_config(unfreeze=1.0, head__epochs=1, tune__epochs=1))
    head, tune = epochs
    assert (head.trained_layers, head.trained_parameters) == (1, 256 * 2 + 2)
    assert tune.trained_layers == 1 + 27
    assert tune.trained_parameters > 200_000
    assert head.pictures_per_s > 0
    assert head.seconds > 0


def test_a_killed_checkpoint_leaves_the_one_before(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, config = make_light_trainer(tmp_path), make_config(head__epochs=3)
    trainer.run(segment(config, "head", 1, 3))

    def killed(self: StageTraining, number: int, value: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StageTraining, "checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            trainer.run(segment(config, "head", 2, 3))
    resumed = make_light_trainer(tmp_path).run(segment(config, "head", 3, 3))
    assert resumed.ran == {2, 3}
    assert Rows(tmp_path / "epochs").runs() == 4


def test_a_longer_trial_leaves_the_last_checkpoint_of_a_shorter_one(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer, short = make_light_trainer(tmp_path), make_config(tune__epochs=1)
    run_segments(trainer, short)
    run_segments(trainer, make_config(tune__epochs=3))
    trained = Rows(tmp_path / "epochs").runs()
    trainer.predict_best(segment(short, "tune", 1), "test")
    assert Rows(tmp_path / "epochs").runs() == trained == 2 + 3
