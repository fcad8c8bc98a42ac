"""Nights that go wrong in the databases: a server that restarts, a second driver, a disk that is full."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from command import Command
from mlflow import MlflowClient
from reading import table_at, table_of
from real_mlflow import Server, Stored, await_answer, free_port
from real_postgres import PASSWORD, Postgres, shared_postgres
from tiny_disk import disk_of

pytestmark = pytest.mark.slow

TRIALS = ("--trials", "3")


@pytest.fixture(scope="module")
def postgres() -> Postgres:
    return shared_postgres()


@pytest.fixture(scope="module")
def undisturbed(
    small_data: Path, small_space: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[object, ...]]:
    """The table of a study that nothing happened to."""
    command = Command(small_space, small_data, tmp_path_factory.mktemp("undisturbed") / "home")
    command.summary(*TRIALS)
    return table_of(command.home)


@contextmanager
def _started(command: Command, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs, both its streams in one."""
    process = subprocess.Popen(
        command.line(*TRIALS, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=command.env(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _until(process: subprocess.Popen[str], text: str) -> str:
    """Read what a process says up to a line that holds a text."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"never said {text!r}: {said}")


def _rest(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read()


@dataclass
class Night:
    """A study whose databases were restarted in the middle.

    Attributes:
        home: Its home.
        storage: Optuna's database.
        tracking: MLflow's.
        said: All that the command wrote.
        status: Its exit status.
    """

    home: Path
    storage: str
    tracking: str
    said: str
    status: int


@pytest.fixture(scope="module")
def night(
    postgres: Postgres, small_data: Path, small_space: Path, tmp_path_factory: pytest.TempPathFactory
) -> Night:
    command = Command(small_space, small_data, tmp_path_factory.mktemp("night") / "home")
    storage, tracking = postgres.new_database(), postgres.new_database()
    with _started(command, "--storage", storage, "--tracking-uri", tracking) as process:
        said = _until(process, "1/3 trial 0")
        postgres.stop()
        try:
            said += _until(process, "does not answer")
        finally:
            postgres.start()
        said += _until(process, "2/3 trial 1")
        postgres.kill()
        postgres.start()
        said += _rest(process)
        status = process.wait()
    return Night(command.home, storage, tracking, said, status)


def test_a_study_whose_server_restarts_twice_equals_an_undisturbed_one(
    night: Night, undisturbed: list[tuple[object, ...]]
) -> None:
    assert night.status == 0, night.said
    assert "Traceback" not in night.said
    # the second restart may fall between two operations of the last trial
    assert night.said.count("does not answer") == night.said.count("answers again after") in (1, 2)
    assert table_at(night.storage) == undisturbed


def test_every_epoch_is_once_in_an_mlflow_database_that_restarted(night: Night) -> None:
    stored = Stored(night.tracking, "small")
    runs = stored.runs()
    assert set(runs) == {None, "0", "1", "2"}
    for trial in optuna.load_study(study_name="small", storage=night.storage).trials:
        steps = [step for step, _ in stored.history(trial.number, "val_loss")]
        # step 0 is before training
        assert steps == [0, *sorted(trial.intermediate_values)]
        assert trial.user_attrs["mlflow_run_id"] == runs[str(trial.number)].info.run_id
    left = {path.suffix for path in (night.home / "studies").glob("*.spool.*")}
    assert left <= {".files"}, "records wait or were refused"
    assert int(stored.client.get_model_version_by_alias("small", "champion").version) == 1


def test_a_password_is_written_nowhere(night: Night) -> None:
    assert "night:***@" in night.said
    assert PASSWORD not in night.said
    files = [path for path in night.home.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    runs = Stored(night.tracking, "small").runs().values()
    kept = json.dumps([run.to_dictionary() for run in runs])
    assert "search.start.1" in kept
    assert PASSWORD not in kept
    study = optuna.load_study(study_name="small", storage=night.storage)
    assert PASSWORD not in json.dumps([study.user_attrs, *(trial.user_attrs for trial in study.trials)])


def test_ctrl_c_ends_the_waiting_for_a_database_and_the_same_command_goes_on(
    command: Command, postgres: Postgres, undisturbed: list[tuple[object, ...]]
) -> None:
    storage = postgres.new_database()
    with _started(command, "--storage", storage) as process:
        said = _until(process, "1/3 trial 0")
        postgres.stop()
        try:
            said += _until(process, "does not answer")
            process.send_signal(signal.SIGINT)
            said += _until(process, "stopping after what is running")
            process.send_signal(signal.SIGINT)
            said += _rest(process)
            assert process.wait(timeout=30) == 130, said
        finally:
            postgres.start()
    assert "stopped at once; the same command goes on from the last stored epoch" in said
    assert "Traceback" not in said
    command.summary(*TRIALS, "--storage", storage)
    assert table_at(storage) == undisturbed


def test_a_command_that_was_stopped_shows_how_to_go_on_without_the_password(
    command: Command, postgres: Postgres
) -> None:
    with _started(command, "--storage", postgres.new_database()) as process:
        said = _until(process, "1/3 trial 0")
        process.send_signal(signal.SIGINT)
        said += _rest(process)
        assert process.wait(timeout=60) == 130, said
    assert "stopped; go on with: python -m search.run" in said
    assert "--storage 'postgresql://night:***@" in said
    assert PASSWORD not in said


def test_a_second_home_is_refused_until_the_first_driver_dies_and_then_goes_on_with_its_study(
    command: Command, postgres: Postgres, tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    storage = postgres.new_database()
    other = replace(command, home=tmp_path / "other home")
    with _started(command, "--storage", storage) as process:
        _until(process, "1/3 trial 0")
        refused = other.run(*TRIALS, "--storage", storage)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert refused.returncode == 2
    assert f"error: Study small is being run by process {process.pid} on " in refused.stderr
    assert "Traceback" not in refused.stderr
    other.summary(*TRIALS, "--storage", storage)
    assert table_at(storage) == undisturbed


def test_dashboard_and_mlflow_server_can_look_on_while_a_study_runs(
    command: Command, postgres: Postgres, tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    storage, tracking = postgres.new_database(), postgres.new_database()
    # the servers want tables to look at
    optuna.storages.RDBStorage(storage).engine.dispose()
    server = Server(tmp_path, tracking)
    server.start()
    with (
        _dashboard(storage) as dashboard,
        _started(command, "--storage", storage, "--tracking-uri", tracking) as run,
    ):
        n_trials, n_runs = [0], [0]
        while run.poll() is None:
            n_trials.append(_trials_shown(dashboard))
            n_runs.append(_runs_shown(server.uri))
        said = _rest(run)
    server.kill()
    assert run.returncode == 0, said
    assert "does not answer" not in said
    assert len(n_trials) > 10
    assert (max(n_trials), max(n_runs)) == (3, 4)
    assert table_at(storage) == undisturbed


@contextmanager
def _dashboard(storage: str) -> Iterator[str]:
    port = free_port()
    program = Path(sys.executable).with_name("optuna-dashboard")
    process = subprocess.Popen([program, storage, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        await_answer(f"{address}/api/studies")
        yield address
    finally:
        process.kill()
        process.wait()


def _asked(address: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def _trials_shown(dashboard: str) -> int:
    studies = _asked(f"{dashboard}/api/studies")["study_summaries"]
    return sum(len(_asked(f"{dashboard}/api/studies/{one['study_id']}?after=0")["trials"]) for one in studies)


def _runs_shown(server: str) -> int:
    experiments = [
        one.experiment_id for one in MlflowClient(server).search_experiments() if one.name == "small"
    ]
    return len(MlflowClient(server).search_runs(experiments)) if experiments else 0


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(64, tmp_path / "tiny disk") as folder:
        yield folder


def _fill(disk: Path) -> None:
    with (disk / "film.mp4").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_full_disk_ends_a_study_in_one_sentence_and_the_same_command_goes_on_later(
    command: Command, tiny_disk: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    storage = f"sqlite:///{tiny_disk / 'optuna.db'}"
    with _started(command, "--storage", storage) as process:
        _until(process, "1/3 trial 0")
        _fill(tiny_disk)
        said = _rest(process)
        assert process.wait() == 2, said
    last = said.splitlines()[-1]
    assert last.startswith(f"error: The disk is full: {tiny_disk / 'optuna.db'} cannot be written; make room")
    assert "Traceback" not in said
    (tiny_disk / "film.mp4").unlink()
    command.summary(*TRIALS, "--storage", storage)
    assert table_at(storage) == undisturbed


def test_a_full_disk_under_the_home_ends_a_study_in_one_sentence_as_well(
    command: Command, tiny_disk: Path, tmp_path: Path, undisturbed: list[tuple[object, ...]]
) -> None:
    command = replace(command, home=tiny_disk / "home")
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    with _started(command, "--storage", storage) as process:
        _until(process, "1/3 trial 0")
        _fill(tiny_disk)
        said = _rest(process)
        assert process.wait() == 2, said
    assert said.splitlines()[-1].startswith("error: The disk is full"), said
    assert "Traceback" not in said
    (tiny_disk / "film.mp4").unlink()
    command.summary(*TRIALS, "--storage", storage)
    assert table_at(storage) == undisturbed
