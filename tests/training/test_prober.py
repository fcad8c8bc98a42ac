"""Probes: they take the features of stage 1, look at training pictures only, and move nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_features import files_of
from test_oracle import run_segments

from search.config.sections import Reuse
from search.data.image_set import ImageSet
from search.errors import DataError
from search.model.weights import SHAPES_FILE
from search.store.entries import Store
from search.training.prober import in_common_classes
from search.training.rows import Rows
from search.training.trainer import Trainer
from search.training.workshop import Workshop


def times_of(home: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in files_of(home)}


def test_a_trial_after_a_probe_computes_no_unchanged_features_again(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.0)
    probe = make_light_trainer(tmp_path).prober(config).probe(seed=0)
    probed = times_of(tmp_path)
    assert [len(np.load(file)) for file in probed] == [52]
    assert (probe.n_pictures, probe.width, probe.codes) == (52, 256, 1.0)
    run_segments(make_light_trainer(tmp_path), config)
    after = times_of(tmp_path)
    assert {file: after[file] for file in probed} == probed
    # the validation pictures come on top, at which the probe has not looked
    assert sorted(len(np.load(file)) for file in after) == [24, 52]


def test_a_probe_after_a_trial_takes_its_features_and_says_the_same(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.0)
    run_segments(make_light_trainer(tmp_path), config)
    before = times_of(tmp_path)
    late = make_light_trainer(tmp_path).prober(make_config(augment=0.5)).probe(seed=0)
    assert times_of(tmp_path) == before
    first = make_light_trainer(tmp_path / "apart").prober(config).probe(seed=0)
    assert replace(late, forward_s=0.0) == replace(first, forward_s=0.0)


def test_a_probe_sees_pretrained_weights_whatever_was_trained_before(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=1.0, head__epochs=1, tune__epochs=1)
    fresh = make_light_trainer(tmp_path / "fresh").prober(config).probe(seed=0)
    trainer = make_light_trainer(tmp_path / "used", enabled=False)
    expected = run_segments(make_light_trainer(tmp_path / "apart"), config)[0]
    run_segments(trainer, config)
    used = trainer.prober(config).probe(seed=0)
    assert replace(used, forward_s=0.0) == replace(fresh, forward_s=0.0)
    # and the trial is no other one for it
    found = run_segments(trainer, config.model_copy(update={"tune_epochs": 2}))[0]
    assert found[-2].metrics == expected[-1].metrics


def test_what_was_measured_is_kept_and_no_network_is_built_for_it_again(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config()
    prober = make_light_trainer(tmp_path).prober(config)
    found = prober.probe(0), prober.epoch_seconds()

    class Closed(Workshop):
        def bench(self, *asked: object) -> object:  # type: ignore[override]
            raise AssertionError("a network is built")

    trainer = make_light_trainer(tmp_path)
    trainer.workshop = Closed(draw_seed=0, fold=False)
    assert (trainer.prober(config).probe(0), trainer.prober(config).epoch_seconds()) == found
    with pytest.raises(AssertionError, match="a network is built"):
        trainer.prober(config).probe(1)


def test_without_reuse_nothing_is_kept(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    probe = make_light_trainer(tmp_path, enabled=False).prober(make_config()).probe(0)
    kept = make_light_trainer(tmp_path / "apart").prober(make_config()).probe(0)
    assert replace(probe, forward_s=0.0) == replace(kept, forward_s=0.0)
    assert not list(tmp_path.glob("store/*/*"))


def test_a_probe_hangs_on_the_training_pictures_only(
    tmp_path: Path, images: ImageSet, workshop: Workshop, make_config: Callable
) -> None:
    others = images.images.copy()
    others[52:] = 255 - others[52:]
    changed = replace(images, images=others, labels=np.where(np.arange(88) < 52, images.labels, 0))
    found = []
    for name, seen in (("as they are", images), ("changed", changed)):
        store, rows = Store(tmp_path / name / "store"), Rows(tmp_path / name / "epochs")
        reuse = Reuse(fold_batch_norm=False)
        trainer = Trainer(store, rows, lambda px, seen=seen: seen, lambda config: SHAPES_FILE, 0, reuse=reuse)
        trainer.workshop = workshop
        found.append(replace(trainer.prober(make_config()).probe(0), forward_s=0.0))
    assert found[0] == found[1]


def test_codes_are_judged_by_the_labels_of_their_own_pictures_and_one_that_is_alone_is_left_out(
    tmp_path: Path, images: ImageSet, workshop: Workshop, make_config: Callable
) -> None:
    order = np.concatenate([np.random.default_rng(0).permutation(52), np.arange(52, 88)])
    labels = images.labels[order]
    labels[7] = 2
    mixed = replace(images, images=images.images[order], labels=labels, classes=("red", "blue", "rare"))
    store, rows = Store(tmp_path / "store"), Rows(tmp_path / "epochs")
    reuse = Reuse(fold_batch_norm=False)
    trainer = Trainer(store, rows, lambda px: mixed, lambda config: SHAPES_FILE, 0, reuse=reuse)
    trainer.workshop = workshop
    probe = trainer.prober(make_config()).probe(seed=0)
    assert probe.n_pictures == 51
    # of 51 it is 42, and some 25 where pictures have the labels of others
    assert probe.accuracy > 0.75


def test_codes_of_earlier_layers_are_those_of_the_setting_and_stored_for_it(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    top = make_light_trainer(tmp_path).prober(make_config()).probe(seed=0)
    config = make_config(codes=0.5, unfreeze=0.0)
    probe = make_light_trainer(tmp_path).prober(config).probe(seed=0)
    assert (probe.codes, probe.layer) != (top.codes, top.layer)
    assert probe.width < top.width
    before = times_of(tmp_path)
    run_segments(make_light_trainer(tmp_path), config)
    after = times_of(tmp_path)
    assert {file: after[file] for file in before} == before
    assert len(after) == len(before) + 1


def test_of_a_large_set_a_sample_is_probed_and_nothing_is_stored_for_it(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.training.prober.MOST_PROBED", 20)
    config = make_config(unfreeze=0.0, augment=0.0)
    probe = make_light_trainer(tmp_path).prober(config).probe(seed=0)
    assert probe.n_pictures == 20
    assert not files_of(tmp_path)
    # where a trial has stored the features of all, they are taken, and they are the same
    run_segments(make_light_trainer(tmp_path / "apart"), config)
    other = make_light_trainer(tmp_path / "apart").prober(config).probe(seed=0)
    assert replace(other, forward_s=0.0) == replace(probe, forward_s=0.0)


@pytest.mark.parametrize("unfreeze", [0.5, 1.0])
def test_an_epoch_is_timed_and_moves_no_weight(
    unfreeze: float, tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer, config = make_light_trainer(tmp_path), make_config(unfreeze=unfreeze)
    bench = trainer.workshop.bench(config, SHAPES_FILE, 2)
    expected = run_segments(make_light_trainer(tmp_path / "apart"), config)[0]
    bench.network.reset(0)
    before = [np.array(variable) for variable in bench.network.variables.values()]
    assert 0 < trainer.prober(config).epoch_seconds() < 60
    after = [np.array(variable) for variable in bench.network.variables.values()]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    found = run_segments(trainer, config)[0]
    assert [one.metrics for one in found] == [one.metrics for one in expected]


def test_an_epoch_takes_as_long_as_all_its_steps_and_the_first_one_does_not_count(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([100.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    monkeypatch.setattr("search.training.prober._seconds", lambda work: next(seconds))
    prober = make_light_trainer(tmp_path).prober(make_config())
    assert prober.epoch_seconds() == 4 * 2.0  # 52 pictures, 16 a step


def test_a_class_of_one_picture_is_left_out_and_too_few_classes_are_told() -> None:
    assert in_common_classes(np.array([0, 1, 0, 2, 1])).tolist() == [True, True, True, False, True]
    with pytest.raises(DataError, match=r"two classes .* have 1 such; add pictures, or search without it"):
        in_common_classes(np.array([0, 0, 1, 2]))
