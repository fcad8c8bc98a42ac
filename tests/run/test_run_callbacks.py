"""Callbacks in the main job: their files in MLflow, over kills; what does not fit is told at once."""

import csv
from pathlib import Path

import pytest
from command import PROMOTE, Command, kill_after
from mlflow import MlflowClient
from reading import epochs_trained, table_of, trials_of

from search.run import main

pytestmark = pytest.mark.slow

OWN = """
import keras

def marking(folder, text):
    return keras.callbacks.LambdaCallback(on_train_end=lambda logs: (folder / "mark.txt").write_text(text))
"""
MOST_HEAD = 3  # epochs of stage 1 in the space of these tests
CALLBACKS = (
    "callbacks=[{keras.callbacks.EarlyStopping: {patience: 1}}, {keras.callbacks.TensorBoard: {}}, "
    "{keras.callbacks.CSVLogger: {filename: log.csv}}, "
    "{keras.callbacks.ReduceLROnPlateau: {patience: 1, min_delta: 0.1}}, "
    "{keras.callbacks.ModelCheckpoint: {filepath: best.keras, save_best_only: true}}, "
    "{own_marks:marking: {text: done}}]"
)


def files_of_runs(home: Path) -> dict[str, Path]:
    """Where the callbacks' files of each run are, by trial or by finalist and seed."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        tags = run.data.tags
        name = tags.get("search.trial") or f"{tags.get('search.finalist')}/{tags.get('search.replicate')}"
        found[name] = Path(run.info.artifact_uri.removeprefix("file://")) / "callbacks"
    return found


def logged(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.reader(file))


def with_module(command: Command) -> Command:
    folder = command.home.parent / "modules"
    folder.mkdir(exist_ok=True)
    (folder / "own_marks.py").write_text(OWN)
    return Command(command.space, command.data, command.home, {"PYTHONPATH": str(folder)})


def test_a_study_with_callbacks_that_is_killed_ends_as_an_undisturbed_one(tiny: Command) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seeds = ("--set", "finalists.seeds=2")
    options = ("--trials", "3", "--finalists", "2", *seeds, *PROMOTE, "--set", CALLBACKS)
    command = with_module(tiny)
    whole = with_module(Command(command.space, command.data, command.home.parent / "whole"))
    whole.summary(*options)
    assert kill_after(command, options, epochs=3, delay_s=0.3)
    command.summary(*options)
    assert table_of(command.home) == table_of(whole.home)

    found, undisturbed = files_of_runs(command.home), files_of_runs(whole.home)
    assert found.keys() == undisturbed.keys() >= {"0", "1", "2"}
    assert len(found) > 4  # finalists on fresh seeds, and the study itself
    for name, folder in found.items():
        if name == "None/None":
            continue
        assert logged(folder) == logged(undisturbed[name])
        epochs = [int(row[0]) for row in logged(folder)[1:]]
        assert epochs == list(range(len(epochs)))
        if name.isdigit():
            trial = trials_of(command.home)[int(name)]
            n_tune = sum(step > 4 * MOST_HEAD for step in trial.intermediate_values)
            assert len(epochs) == trial.user_attrs["head_epochs"] + n_tune
        assert (folder / "best.keras").is_file()
        assert (folder / "mark.txt").read_text() == "done"
        board = EventAccumulator(str(folder / "logs" / "train"))
        board.Reload()
        assert [event.step for event in board.Tensors("epoch_loss")] == epochs
    left = {path.name for path in (command.home / "store" / "files").iterdir()}
    assert all(
        trials_of(command.home)[int(name.split(".")[2])].user_attrs["state"] == "paused" for name in left
    )


def test_a_callback_that_does_not_fit_is_told_before_anything_is_trained(
    tiny: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for callbacks, told in (
        (
            "[{keras.callbacks.TensorBoard: {update_freq: batch}}]",
            "error: callbacks: keras.callbacks.TensorBoard has update_freq, which works batch by batch, but "
            "an epoch is one compiled program that calls nobody between its batches; leave it out.\n",
        ),
        (
            "[{no_such_module:f: {}}]",
            "error: callbacks: there is no module 'no_such_module'; put no_such_module.py into the working "
            "folder, or install it.\n",
        ),
        ("[{keras.callbacks.ReduceLROnPlateau: {}}]", "tune.lr_schedule: constant"),
    ):
        schedule = "free.tune.lr_schedule=[constant, cosine]"
        assert main(tiny.options("--set", f"callbacks={callbacks}", "--set", schedule)) == 2
        assert told in capsys.readouterr().err
    assert epochs_trained(tiny.home) == 0
