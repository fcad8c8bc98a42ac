"""Callbacks in trials of segments: as in Keras' `fit`, kept over a resume, refused where that cannot be."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from search.data.image_set import ImageSet
from search.errors import SpaceError, TrialError
from search.model.weights import SHAPES_FILE
from search.training.callback_making import check_callbacks
from search.training.callback_state import State, bring_back
from search.training.callback_state import written as files_below
from search.training.checkpoint import Checkpoint
from search.training.plain import run_plain
from search.training.segment import Epoch, Segment, stage_ended
from search.training.trainer import Trainer

FILES = "study.uid.7"
STOPPING = {"keras.callbacks.EarlyStopping": {"patience": 1, "restore_best_weights": True}}
REDUCING = {"keras.callbacks.ReduceLROnPlateau": {"factor": 0.1, "patience": 1, "min_delta": 0.05}}
SCHEDULING = {"keras.callbacks.LearningRateScheduler": {"schedule": "own_callbacks:falling"}}
LOGGING = {"keras.callbacks.CSVLogger": {"filename": "logs/epochs.csv"}}
BOARD: dict[str, Any] = {"keras.callbacks.TensorBoard": {}}
BACKUP = {"keras.callbacks.BackupAndRestore": {"backup_dir": "backup"}}
SAVING = {"keras.callbacks.ModelCheckpoint": {"filepath": "best.keras", "save_best_only": True}}
EACH = {"keras.callbacks.ModelCheckpoint": {"filepath": "{epoch:02d}-{val_loss:.2f}.keras"}}
COUNTING = {"own_callbacks:counting": {"start": 10}}

OWN = """
import json
import keras
import threading

def falling(epoch, rate):
    return 0.01 / (1 + epoch)

class Counting(keras.callbacks.Callback):
    def __init__(self, path, start):
        super().__init__()
        self.path, self.seen, self.name_of = path, [start], lambda epoch: f"epoch {epoch}"

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(epoch)
        self.path.write_text(json.dumps([self.seen, self.params, self.name_of(epoch)]))

    def on_train_end(self, logs=None):
        self.seen.append("end")

def counting(folder, start):
    return Counting(folder / "seen.json", start)

class PerBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass

def lambdas():
    return keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: None)

class Locked(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

class Holding(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.kernel = self.model.trainable_variables[0]

class Moving(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([0.5 * weight for weight in self.model.get_weights()])

class Halving(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.5 * float(self.model.optimizer.learning_rate)

class Scheduling(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer._learning_rate = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9)

def no_callback():
    return 3
"""


@pytest.fixture(autouse=True)
def own_module(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "modules"
    folder.mkdir(exist_ok=True)
    (folder / "own_callbacks.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(folder))


def run_trial(
    make: Callable[[], Trainer], config: Any, files: str | None = FILES, metric: str = "val_loss"
) -> list[Epoch]:
    """Run a trial epoch by epoch, as the driver does, each on what `make` gives."""
    epochs: dict[str, list[Epoch]] = {"head": [], "tune": []}
    for stage in config.stages:
        done = epochs[stage]
        while not stage_ended(
            config, stage, [e.metrics[metric] for e in done], metric, bool(done) and done[-1].stops
        ):
            at = len(done)
            segment = Segment(config, stage, at + 1, at, len(epochs["head"]), metric, 0, files=files)
            done += make().run(segment).epochs
    return epochs["head"] + epochs["tune"]


def written(home: Path) -> Path:
    return home / "store" / "files" / FILES / "callbacks"


def rows_of(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars of a TensorBoard folder, by tag: steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return {
        tag: [(event.step, float(make_ndarray(event.tensor_proto))) for event in found.Tensors(tag)]
        for tag in found.Tags()["tensors"]
        if tag.startswith(("epoch_", "evaluation_"))
    }


def n_graphs(folder: Path) -> int:
    """How often the graph of the model stands in a TensorBoard folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return len(found.Tensors("keras"))


ORACLES = {
    "stopped early": ([STOPPING], {"head__lr": 0.3}),
    "on a plateau": ([REDUCING, LOGGING], {"head__lr": 0.03}),
    "on a schedule of the user's own": ([SCHEDULING, LOGGING, COUNTING], {}),
    "all of them, all unfrozen and augmented": (
        [
            STOPPING,
            REDUCING,
            LOGGING,
            BOARD,
            SAVING,
            BACKUP,
            COUNTING,
            {"keras.callbacks.TerminateOnNaN": {}},
        ],
        {"unfreeze": 1.0, "augment": 0.5, "n_draws": 2, "head__lr": 0.03},
    ),
    "accuracy, beside a patience and a schedule": (
        [{"keras.callbacks.EarlyStopping": {"monitor": "val_accuracy", "patience": 2}}, LOGGING],
        {"patience": 1, "head_lr_schedule": "cosine", "tune_warmup": 0.5, "head__lr": 0.1},
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_callbacks_do_in_segments_what_they_do_in_one_fit_a_stage(
    name: str, tmp_path: Path, images: ImageSet, make_light_trainer: Callable, make_config: Callable
) -> None:
    callbacks, settings = ORACLES[name]
    config = make_config(callbacks=callbacks, **{"head__epochs": 4, "tune__epochs": 3, **settings})
    trainer = make_light_trainer(tmp_path)
    ours = run_trial(lambda: trainer, config)
    plain, _ = run_plain(config, images, SHAPES_FILE, "val_loss", study_seed=0, folder=tmp_path / "plain")
    assert [(epoch.stage, epoch.epoch) for epoch in ours] == [(epoch.stage, epoch.epoch) for epoch in plain]
    for got, expected in zip(ours, plain, strict=True):
        for metric in ("val_loss", "val_accuracy", "val_auc", "learning_rate"):
            assert got.metrics[metric] == expected.metrics[metric], (got.stage, got.epoch, metric)
        assert got.metrics["loss"] == pytest.approx(expected.metrics["loss"], rel=1e-5)
    if LOGGING in callbacks:
        logged, expected_rows = (
            rows_of(place / "logs" / "epochs.csv") for place in (written(tmp_path), tmp_path / "plain")
        )
        assert [row["epoch"] for row in logged] == list(range(len(ours)))
        for row, expected_row in zip(logged, expected_rows, strict=True):
            assert row | expected_row == pytest.approx(row, rel=1e-5)
    if COUNTING in callbacks:
        seen = [(place / "seen.json").read_text() for place in (written(tmp_path), tmp_path / "plain")]
        counted, plainly = (json.loads(text)[0] for text in seen)
        assert counted == plainly == [10, *range(config.head_epochs), "end", *range(config.head_epochs, 7)]


def test_the_cases_above_stop_early_and_lower_the_rate(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    settings = {"head__epochs": 4, "tune__epochs": 3}
    stopped = run_trial(lambda: trainer, make_config(callbacks=[STOPPING], head__lr=0.3, **settings), None)
    assert len(stopped) < 7
    assert any(epoch.stops for epoch in stopped)
    lowered = run_trial(lambda: trainer, make_config(callbacks=[REDUCING], head__lr=0.03, **settings), None)
    assert len({epoch.metrics["learning_rate"] for epoch in lowered if epoch.stage == "head"}) > 1


EVERY = [STOPPING, REDUCING, LOGGING, BOARD, SAVING, EACH, BACKUP, COUNTING]


def test_a_trial_resumed_after_every_epoch_equals_the_uninterrupted_one_in_numbers_and_files(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(callbacks=EVERY, head__epochs=3, tune__epochs=3, head__lr=0.03)
    whole = make_light_trainer(tmp_path / "whole")
    expected = run_trial(lambda: whole, config)
    got = run_trial(lambda: make_light_trainer(tmp_path / "resumed"), config)
    assert [epoch.metrics for epoch in got] == [epoch.metrics for epoch in expected]
    assert [epoch.stops for epoch in got] == [epoch.stops for epoch in expected]
    at, other = written(tmp_path / "whole"), written(tmp_path / "resumed")
    for name in ("logs/epochs.csv", "seen.json"):
        assert (other / name).read_text() == (at / name).read_text()
    names = [{path.name for path in place.glob("*.keras")} for place in (at, other)]
    assert names[0] == names[1]
    assert len(names[0]) == 1 + len(expected)
    assert not (at / "backup").exists()
    for split in ("train", "validation"):
        scalars = scalars_of(at / "logs" / split)
        assert scalars == scalars_of(other / "logs" / split)
        assert [step for step, _ in scalars["epoch_loss"]] == list(range(len(expected)))
    # once a stage, and not where a stage goes on
    assert [n_graphs(place / "logs" / "train") for place in (at, other)] == [2, 2]


def test_a_log_that_is_not_to_be_appended_to_is_begun_anew_by_a_stage_and_not_where_it_goes_on(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    anew = {"keras.callbacks.CSVLogger": {"filename": "log.csv", "append": False}}
    run_trial(lambda: make_light_trainer(tmp_path), make_config(callbacks=[anew]))
    assert [row["epoch"] for row in rows_of(written(tmp_path) / "log.csv")] == [2, 3]


def test_only_what_was_appended_to_a_file_is_taken_away_again(tmp_path: Path) -> None:
    texts = {"appended": "one,", "longer and other": "one,", "other": "one,", "as it was": "one,"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = files_below(tmp_path)
    later = {"appended": "one,two", "longer and other": "two,three", "other": "two,", "new": "x"}
    for name, text in later.items():
        (tmp_path / name).write_text(text)
    bring_back(tmp_path, files)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {**texts, "longer and other": "two,three", "other": "two,"}


def test_the_weights_of_the_best_epoch_are_not_kept_a_second_time(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(callbacks=[STOPPING], unfreeze=0.0)
    run_trial(lambda: make_light_trainer(tmp_path), config)
    kept = [Checkpoint.load(place) for place in (tmp_path / "store" / "checkpoints").glob("[0-9a-f]*")]
    held = [State.from_bytes(one.callbacks).attributes[0] for one in kept]
    assert held
    assert all(one["best"] < 10 and one.get("best_weights") is None for one in held)


def test_a_callback_that_is_refused_leaves_the_program_to_others_as_it_was(
    tmp_path: Path, make_trainer: Callable, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_trainer(tmp_path / "spoilt")
    with pytest.raises(SpaceError, match="puts another object in place of the learning rate"):
        run_trial(lambda: trainer, make_config(callbacks=[{"own_callbacks:Scheduling": {}}]))
    config = make_config(unfreeze=0.0)
    expected = run_trial(lambda: make_light_trainer(tmp_path / "other"), config, None)
    got = run_trial(lambda: trainer, config, None)
    assert [one.metrics for one in got] == [one.metrics for one in expected]


def test_what_an_epoch_wrote_whose_checkpoint_a_kill_prevented_is_taken_away(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(callbacks=[LOGGING, BOARD, COUNTING], head__epochs=3, unfreeze=0.0)
    trainer = make_light_trainer(tmp_path)
    trainer.run(Segment(config, "head", 1, 0, 3, "val_loss", 0, files=FILES))
    # nothing waits in memory once there is a checkpoint
    assert scalars_of(written(tmp_path) / "logs" / "train")["epoch_loss"][0][0] == 0

    def killed(self: Trainer, *arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save", killed)
        with pytest.raises(KeyboardInterrupt):
            trainer.run(Segment(config, "head", 2, 1, 3, "val_loss", 0, files=FILES))
    log = written(tmp_path) / "logs" / "epochs.csv"
    assert [row["epoch"] for row in rows_of(log)] == [0, 1]
    run_trial(lambda: make_light_trainer(tmp_path), config)
    assert [row["epoch"] for row in rows_of(log)] == [0, 1, 2]
    scalars = scalars_of(written(tmp_path) / "logs" / "train")
    assert [step for step, _ in scalars["epoch_loss"]] == [0, 1, 2]
    assert json.loads((written(tmp_path) / "seen.json").read_text())[0] == [10, 0, 1, 2]


def test_tensorboard_shows_what_the_epochs_gave(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    with_weights = {"keras.callbacks.TensorBoard": {"histogram_freq": 1}}
    config = make_config(callbacks=[with_weights, REDUCING])
    trainer = make_light_trainer(tmp_path)
    epochs = run_trial(lambda: trainer, config)
    train, validation = (scalars_of(written(tmp_path) / "logs" / split) for split in ("train", "validation"))
    for scalars, prefix, names in (
        (train, "", ("loss", "accuracy", "learning_rate")),
        (validation, "val_", ("loss", "accuracy")),
    ):
        for name in names:
            shown = [value for _, value in scalars[f"epoch_{name}"]]
            assert shown == pytest.approx([epoch.metrics[prefix + name] for epoch in epochs], rel=1e-6)
    assert len(validation["evaluation_loss_vs_iterations"]) == len(epochs)


def test_a_model_that_was_saved_on_the_way_is_the_standard_one_of_the_best_epoch(
    tmp_path: Path, images: ImageSet, make_light_trainer: Callable, make_config: Callable
) -> None:
    weights = {"filepath": "w/{epoch}.weights.h5", "save_weights_only": True}
    config = make_config(callbacks=[SAVING, {"keras.callbacks.ModelCheckpoint": weights}])
    trainer = make_light_trainer(tmp_path)
    epochs = run_trial(lambda: trainer, config)
    logits = trainer.predict_best(Segment(config, "tune", 2, 0, 2, "val_loss", 0, files=FILES), "test")
    model = keras.models.load_model(written(tmp_path) / "best.keras")
    found = model.predict(images.images_of("test"), verbose=0)
    np.testing.assert_allclose(found, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-6)
    best = min(range(4), key=lambda i: epochs[i].metrics["val_loss"])
    model.load_weights(written(tmp_path) / "w" / f"{best + 1}.weights.h5")
    np.testing.assert_array_equal(model.predict(images.images_of("test"), verbose=0), found)


def test_callbacks_that_leave_only_numbers_are_shared_and_others_share_features_only(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    for callbacks, files, again in (([REDUCING], None, set()), ([REDUCING, LOGGING], "study.uid.8", {1, 2})):
        config = make_config(callbacks=callbacks, unfreeze=0.0)
        run_trial(lambda: trainer, config, files and FILES)
        features = set((tmp_path / "store" / "features").iterdir())
        second = trainer.run(Segment(config, "head", 2, 0, 2, "val_loss", 0, files=files))
        assert second.ran == again
        assert set((tmp_path / "store" / "features").iterdir()) == features
    assert len(rows_of(tmp_path / "store" / "files" / "study.uid.8" / "callbacks/logs/epochs.csv")) == 2


def test_a_loss_that_is_not_finite_loses_the_trial_with_terminate_on_nan_as_without(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    terminating = {"keras.callbacks.TerminateOnNaN": {}}
    config = make_config(head__lr=1e38, optimizer="sgd", callbacks=[terminating])
    with pytest.raises(TrialError, match="loss is nan in epoch 1 of stage head"):
        run_trial(lambda: make_light_trainer(tmp_path), config, None)


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"own_callbacks:PerBatch": {}}, {}, "has on_train_batch_end, but an epoch is one compiled program"),
    ({"own_callbacks:lambdas": {}}, {}, "has on_train_batch_begin, but an epoch"),
    ({"own_callbacks:Locked": {}}, {}, "Locked holds something in its attribute lock that cannot be stored"),
    ({"own_callbacks:no_callback": {}}, {}, "gives a int, which is no keras.callbacks.Callback"),
    ({"own_callbacks:missing": {}}, {}, "callbacks: module own_callbacks has no 'missing'"),
    ({"own_callbacks:counting": {}}, {}, "counting: missing a required argument: 'start'"),
    ({"own_callbacks:counting": {"strat": 1}}, {}, "has no argument strat; there are folder, start"),
    (
        {"keras.callbacks.ModelCheckpoint": {"filepath": "a.keras", "save_freq": 10}},
        {},
        "ModelCheckpoint has save_freq, which works batch by batch",
    ),
    ({"keras.callbacks.BackupAndRestore": {"backup_dir": "b", "save_freq": 3}}, {}, "has save_freq"),
    ({"keras.callbacks.TensorBoard": {"update_freq": "batch"}}, {}, "TensorBoard has update_freq"),
    ({"keras.callbacks.TensorBoard": {"profile_batch": 2}}, {}, "TensorBoard has profile_batch"),
    ({"keras.callbacks.EarlyStopping": {"monitor": "val_acc"}}, {}, "monitors val_acc, which no epoch has"),
    ({"keras.callbacks.EarlyStopping": {"patiance": 3}}, {}, "EarlyStopping has no argument patiance"),
    ({"keras.callbacks.ReduceLROnPlateau": {"facter": 0.5}}, {}, "has no argument facter"),
    ({"keras.callbacks.ReduceLROnPlateau": {"factor": 2.0}}, {}, "takes no such arguments: .*factor >= 1.0"),
    ({"keras.callbacks.ModelCheckpoint": {"filepath": "best"}}, {}, "must end in `.keras`"),
    ({"keras.callbacks.ModelCheckpoint": {"filepath": "{val_acc}.keras"}}, {}, "cannot be filled in"),
    (
        {"keras.callbacks.EarlyStopping": {"monitor": "val_accuracy", "restore_best_weights": True}},
        {},
        "restores the weights of the best val_accuracy, but a trial keeps those of its best val_loss",
    ),
    (REDUCING, {"tune_lr_schedule": "cosine"}, "sets the learning rate, which tune.lr_schedule or tune"),
    (SCHEDULING, {"head_warmup": 0.1}, "sets the learning rate, which head.lr_schedule or head.warmup"),
]  # fmt: skip


@pytest.mark.parametrize(("callback", "settings", "message"), WRONG, ids=[row[2][:40] for row in WRONG])
def test_what_does_not_fit_is_refused_by_name(
    callback: dict[str, Any], settings: dict[str, Any], message: str, make_config: Callable
) -> None:
    with pytest.raises(SpaceError, match=message):
        check_callbacks(make_config(callbacks=[callback], **settings), "val_loss", 2)


@pytest.mark.parametrize("callback", [*EVERY, SCHEDULING, {"own_callbacks:Halving": {}}], ids=str)
def test_what_fits_is_not_refused(callback: dict[str, Any], make_config: Callable) -> None:
    check_callbacks(make_config(callbacks=[callback]), "val_loss", 2)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("Holding", {}, "Holding holds something in its attribute kernel that cannot be stored"),
        ("Moving", {}, "Moving changes weights in on_epoch_end"),
        ("Halving", {"head_lr_schedule": "cosine"}, "Halving sets the learning rate, which head.lr_schedule"),
        ("Scheduling", {}, "Scheduling puts another object in place of the learning rate"),
    ],
)
def test_what_only_training_tells_is_refused_by_name_too(
    name: str,
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
    make_trainer: Callable,
    make_light_trainer: Callable,
    make_config: Callable,
) -> None:
    config = make_config(callbacks=[{f"own_callbacks:{name}": {}}], **settings)
    # some spoil the network or its optimizer, which others must not have then
    make = make_trainer if name in ("Moving", "Scheduling") else make_light_trainer
    with pytest.raises(SpaceError, match=message):
        run_trial(lambda: make(tmp_path), config)


def test_a_rate_that_a_users_callback_sets_is_that_of_the_next_epoch(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(
        callbacks=[{"own_callbacks:Halving": {}}], head__epochs=3, head__lr=0.5, unfreeze=0.0
    )
    epochs = run_trial(lambda: make_light_trainer(tmp_path), config)
    assert [epoch.metrics["learning_rate"] for epoch in epochs] == [0.5, 0.25, 0.125]


def test_names_arguments_and_sources_of_callbacks_are_in_the_key(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.training import callback_making
    from search.user_function import UserFunction

    trainer = make_light_trainer(tmp_path)

    def key(callbacks: list[dict[str, Any]], files: str | None = None) -> str:
        config = make_config(callbacks=callbacks)
        return trainer._stage(Segment(config, "head", 1, 0, 2, "val_loss", 0, files=files)).key(1)

    slower = {"keras.callbacks.ReduceLROnPlateau": {"factor": 0.1, "patience": 2}}
    keys = [key([]), key([REDUCING]), key([slower]), key([STOPPING]), key([SCHEDULING]), key([COUNTING])]
    keys += [key([COUNTING], "a.b.1"), key([COUNTING], "a.b.2")]
    for digest in ("other", None):
        changed = UserFunction("own_callbacks:falling", lambda epoch: 0.1, digest)
        monkeypatch.setattr(callback_making, "_function", lambda name, changed=changed: changed)
        keys += [key([SCHEDULING]), key([COUNTING])]
    assert len(set(keys)) == len(keys)
