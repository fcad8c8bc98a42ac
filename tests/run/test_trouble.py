"""What goes wrong while the command runs: an impatient user, a tracking server that is lost."""

import json
import signal
import subprocess
from pathlib import Path

import optuna
import pytest
from command import Command
from mlflow import MlflowClient
from reading import epochs_trained, table_of, trials_of
from real_mlflow import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(small_data: Path, tiny_space: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A study that nothing happened to."""
    command = Command(tiny_space, small_data, tmp_path_factory.mktemp("undisturbed") / "home")
    command.summary("--trials", "3")
    return command


def test_ctrl_c_twice_stops_at_once_and_loses_at_most_the_running_epoch(
    tiny: Command, undisturbed: Command
) -> None:
    process = subprocess.Popen(
        tiny.line("--trials", "3"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=tiny.env(),
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("1/3 trial 0") or line.startswith("stopping after"):
            process.send_signal(signal.SIGINT)
    text = "".join(lines)
    assert process.wait(timeout=60) == 130, text
    assert "stopped at once; the same command goes on from the last stored epoch" in text
    assert "Traceback" not in text
    assert [trial.state.name for trial in trials_of(tiny.home)] != ["COMPLETE"] * 3

    tiny.summary("--trials", "3")
    assert table_of(tiny.home) == table_of(undisturbed.home)
    assert epochs_trained(tiny.home) <= epochs_trained(undisturbed.home) + 1


def test_a_tracking_server_lost_in_the_middle_of_a_study_costs_nothing(
    tiny: Command, undisturbed: Command, tmp_path: Path
) -> None:
    server = Server(tmp_path)
    server.start()
    options = ("--trials", "3", "--json", "--tracking-uri", server.uri)
    try:
        process = subprocess.Popen(
            tiny.line(*options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=tiny.env(),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("1/3 trial 0"):
                server.kill()
        summary = json.loads(process.stdout.read())
        assert process.wait(timeout=120) == 0
        assert summary["tracking"]["waiting"] > 0
        assert any("MLflow" in problem for problem in summary["tracking"]["problems"])
        assert summary["champion"]["version"] is None
        assert table_of(tiny.home) == table_of(undisturbed.home)

        server.start()
        again = tiny.summary("--trials", "3", "--tracking-uri", server.uri)
        assert again["tracking"] == {"waiting": 0, "problems": []}
        assert again["champion"]["version"] == 1
        _assert_every_epoch_is_there_once(tiny.home, MlflowClient(server.uri))
    finally:
        server.kill()


def _assert_every_epoch_is_there_once(home: Path, client: MlflowClient) -> None:
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = {run.data.tags.get("search.trial"): run for run in client.search_runs([experiment.experiment_id])}
    trials = trials_of(home)
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{home / 'optuna.db'}")
    late = study.user_attrs.get("late_mlflow_run_ids", {})
    assert len(runs) == len(trials) + 1
    for trial in trials:
        run = runs[str(trial.number)]
        stored = sorted(metric.step for metric in client.get_metric_history(run.info.run_id, "val_loss"))
        # step 0 is before training
        assert stored == [0, *sorted(trial.intermediate_values)], f"epochs of trial {trial.number} are lost"
        assert run.info.status == {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}[trial.state.name]
        # a trial that ended in the outage was closed before its run had an id, which the study keeps
        known = trial.user_attrs.get("mlflow_run_id") or late[str(trial.number)]
        assert known == run.info.run_id
