"""The main job in processes of its own: summary, Optuna, MLflow, registry, going on, stopping."""

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from command import Command
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from reading import epochs_trained, trials_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def done(
    small_data: Path, small_space: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, dict[str, Any]]:
    """A study of five trials that ran to its end: the command and its summary."""
    command = Command(small_space, small_data, tmp_path_factory.mktemp("done") / "home")
    return command, command.summary()


def runs_of(home: Path, study: str = "small") -> tuple[MlflowClient, dict[int | None, Run]]:
    """The runs of a study by trial; None is the study's own."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    numbered = [(run.data.tags.get("search.trial"), run) for run in runs]
    found = {None if number in (None, "") else int(number): run for number, run in numbered}
    assert len(found) == len(runs), "a trial has two runs"
    return client, found


def test_the_summary_holds_what_is_promised(done: tuple[Any, dict[str, Any]]) -> None:
    _, summary = done
    assert summary["study"] == "small"
    assert summary["trials"] == {
        "complete": 5 - summary["trials"]["pruned"],
        "pruned": summary["trials"]["pruned"],
        "failed": 0,
        "paused": 0,
        "running": 0,
    }
    data = summary["data"]
    assert (data["n_train"] + data["n_validation"] + data["n_test"], data["classes"]) == (
        80,
        ["cats", "dogs"],
    )
    assert len(data["fingerprint"]) == 64
    assert data["quarantined"] == []
    assert summary["advice"] is None  # there is one backbone
    best, champion = summary["best"], summary["champion"]
    assert best["params"]["backbone"] == "mobilenet_025"
    assert math.isfinite(best["val_loss"])
    assert (champion["name"], champion["version"], champion["alias"]) == ("small", 1, "champion")
    low, high = champion["test_accuracy_interval"]
    assert low <= champion["test_accuracy"] <= high
    assert [row["recipe"] for row in summary["baselines"]] == ["short"]
    assert summary["baselines"][0]["test_accuracy"] is not None
    assert summary["left_out"] == []
    assert summary["epochs_run"] > 0


def test_the_summary_and_mlflow_say_what_reuse_saved(done: tuple[Any, dict[str, Any]]) -> None:
    command, summary = done
    assert summary["epochs_run"] == epochs_trained(command.home)
    assert 0 < summary["seconds_training"] < summary["seconds"]
    assert summary["seconds_saved"] > 0
    stored = sum(file.stat().st_size for file in (command.home / "store").rglob("*") if file.is_file())
    assert 0.5 * stored < summary["store_bytes"] <= stored
    metrics = runs_of(command.home)[1][None].data.metrics
    for name in ("epochs_run", "epochs_reused", "seconds_training", "seconds_saved", "store_bytes"):
        assert metrics[name] == summary[name]


def test_optuna_holds_every_value_at_its_step(done: tuple[Any, dict[str, Any]]) -> None:
    command, summary = done
    trials = trials_of(command.home)
    best = trials[summary["best"]["number"]]
    assert best.value == summary["best"]["val_loss"] == min(best.intermediate_values.values())
    recipe = trials[0]
    assert recipe.user_attrs["recipe"] == "short"
    assert list(recipe.intermediate_values) == [4, 8, 12, 16, 20]  # 2 epochs, the boundary at 3, 2 epochs
    assert recipe.intermediate_values[8] == recipe.intermediate_values[12]
    for trial in trials:
        assert trial.user_attrs["config"]["backbone"] == "mobilenet_025"
        has_tune = any(name.startswith("tune.") for name in trial.params)
        assert has_tune == (trial.user_attrs["config"]["unfreeze"] != 0)


def test_mlflow_holds_the_same_at_the_same_steps(done: tuple[Any, dict[str, Any]]) -> None:
    command, _ = done
    client, runs = runs_of(command.home)
    trials = trials_of(command.home)
    assert runs[None].info.status == "FINISHED"
    assert set(runs) == {None, *range(5)}
    statuses = {optuna.trial.TrialState.COMPLETE: "FINISHED", optuna.trial.TrialState.PRUNED: "KILLED"}
    for trial in trials:
        run = runs[trial.number]
        assert trial.user_attrs["mlflow_run_id"] == run.info.run_id
        assert run.info.status == statuses[trial.state]
        assert run.data.tags["mlflow.parentRunId"] == runs[None].info.run_id
        history = client.get_metric_history(run.info.run_id, "val_loss")
        logged = {metric.step: metric.value for metric in history}
        before = logged.pop(0)
        assert logged == trial.intermediate_values
        assert before == trial.user_attrs["stages"][0]["metrics"]["val_loss"]
        assert run.data.params["head.trained_layers"] == "1"
        assert run.data.tags["search.data_fingerprint"]
        if trial.state == optuna.trial.TrialState.PRUNED:
            assert run.data.tags["search.reason"].startswith("median at epoch")
    tuned = runs[0].data.params
    assert float(tuned["tune.lr"]) == pytest.approx(3e-3 * 0.3)
    assert int(tuned["tune.trained_parameters"]) > int(tuned["head.trained_parameters"])


def test_the_best_few_have_artifacts_to_look_at(done: tuple[Any, dict[str, Any]]) -> None:
    command, summary = done
    client, runs = runs_of(command.home)
    for number in (0, summary["best"]["number"]):
        names = {item.path for item in client.list_artifacts(runs[number].info.run_id)}
        assert {"history.csv", "confusion_validation.png"} <= names


def test_the_champion_loads_without_this_package(done: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    command, summary = done
    import mlflow

    uri = f"sqlite:///{command.home / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    folder = mlflow.artifacts.download_artifacts("models:/small@champion", dst_path=str(tmp_path))
    code = (
        "import sys, keras, numpy as np\n"
        "assert not any('search' in name for name in sys.modules if name.startswith('search.'))\n"
        f"model = keras.models.load_model({str(Path(folder) / 'data' / 'model.keras')!r})\n"
        "out = model.predict(np.zeros((2, 32, 32, 3), 'uint8'), verbose=0)\n"
        "print(out.shape, float(out.sum()))\n"
    )
    done_loading = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert "(2, 2) " in done_loading.stdout, done_loading.stderr
    assert summary["champion"]["test_loss"] > 0


def test_more_trials_go_on_where_the_study_ended(done: tuple[Any, dict[str, Any]]) -> None:
    command, first = done
    before = [(t.number, t.params, t.value) for t in trials_of(command.home)]
    summary = command.summary("--trials", "7")
    after = [(t.number, t.params, t.value) for t in trials_of(command.home)]
    assert after[:5] == before
    assert len(after) == 7
    assert sum(summary["trials"].values()) == 7
    assert summary["epochs_run"] >= first["epochs_run"]


def test_ctrl_c_finishes_the_epoch_and_the_study_goes_on(command: Any) -> None:
    process = subprocess.Popen(
        command.line(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=command.env()
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("1/5 trial 0"):
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130, "".join(lines)
    text = "".join(lines)
    assert "stopping after what is running" in text
    assert "stopped; go on with: python -m search.run" in text
    assert "Traceback" not in text
    _, runs = runs_of(command.home)
    assert runs[None].info.status == "KILLED"
    summary = command.summary()
    assert sum(summary["trials"].values()) == 5
    assert summary["trials"]["running"] == 0


def test_a_timeout_ends_the_study_with_a_champion(command: Any) -> None:
    started = time.monotonic()
    summary = command.summary("--trials", "200", "--timeout", "25s")
    assert 1 <= summary["trials"]["complete"] < 200
    assert summary["champion"]["version"] == 1
    assert time.monotonic() - started < 180


def test_trials_whose_loss_is_nan_fail_and_the_study_goes_on(command: Any) -> None:
    far = "free.head.lr={float: [1.0e+37, 1.0e+38], log: true}"
    done = command.run("--json", "--trials", "3", "--set", far, "--set", "fixed.optimizer=sgd")
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert summary["trials"]["failed"] == 3
    assert (summary["best"], summary["champion"]) == (None, None)
    assert [item["recipe"] for item in summary["left_out"]] == ["short"]
    assert "Traceback" not in done.stderr
    for trial in trials_of(command.home):
        assert "in epoch 1 of stage head" in trial.user_attrs["reason"]
    _, runs = runs_of(command.home)
    assert {runs[number].info.status for number in range(3)} == {"FAILED"}


def test_a_second_driver_is_refused(command: Any) -> None:
    lock = command.home / "studies" / "small.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        done = command.run()
    assert done.returncode == 2
    assert "is being run by another process" in done.stderr


def test_fresh_asks_and_discards(done: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    command, _ = done
    copy = replace(command, home=tmp_path / "home")
    shutil.copytree(command.home, copy.home)
    kept = copy.run("--fresh", input="n\n")
    assert "nothing was discarded" in kept.stderr
    assert len(trials_of(copy.home)) >= 5
    other = copy.run("--fresh", "--json", "--trials", "1", "--set", "fixed.batch_size=8", input="y\n")
    assert other.returncode == 0, other.stderr
    assert len(trials_of(copy.home)) == 1


def test_a_dry_run_trains_nothing(command: Any) -> None:
    done = command.run("--dry-run", "--finalists", "2")
    assert done.returncode == 0, done.stderr
    for text in (
        '"study": "small"',
        "cats",
        "ms a picture forward",
        "time: about",
        "finalists: about",
        "disk: about",
        "nothing was trained",
    ):
        assert text in done.stdout
    assert not (command.home / "optuna.db").exists()


def test_a_layer_that_a_backbone_does_not_have_is_told_before_anything_is_trained(command: Any) -> None:
    done = command.run("--set", "free.unfreeze=[0.5, block5_conv1]")
    assert done.returncode == 2, done.stderr
    assert "block5_conv1" in done.stderr
    assert "Traceback" not in done.stderr
    assert epochs_trained(command.home) == 0


def test_fresh_finds_a_study_that_only_the_database_knows(
    done: tuple[Any, dict[str, Any]], tmp_path: Path
) -> None:
    command, _ = done
    copy = replace(command, home=tmp_path / "home")
    shutil.copytree(command.home, copy.home)
    (copy.home / "studies" / "small.json").unlink()
    accuracy = ("--set", "objective.metric=val_accuracy", "--trials", "1")
    refused = copy.run(*accuracy)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    other = copy.run("--fresh", "--json", *accuracy, input="y\n")
    assert other.returncode == 0, other.stderr
    assert json.loads(other.stdout)["best"]["val_accuracy"] == trials_of(copy.home)[0].value
