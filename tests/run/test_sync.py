"""The command that sends what studies have spooled while MLflow was away."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Command
from mlflow import MlflowClient
from reading import trials_of
from real_mlflow import Server, Stored, make_home

from search.driver import spooled
from search.driver.lease import held_at
from search.recorder.spool import Spool
from search.recorder.tracking import Tracking
from search.sync import main

TIME_MS = 1_700_000_000_000


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled, "_PATIENCE_S", 3.0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path)


def _spool(home: Path, study: str) -> Spool:
    """What a study leaves that never reached MLflow: two epochs of a trial, and its end."""
    spool = Spool(home / "studies" / f"{study}.{'a' * 32}.spool.jsonl")
    start = {"kind": "start", "number": 0, "name": "trial 0", "tags": {}, "time_ms": TIME_MS, "command": None}
    spool.append(start)
    for step in (4, 8):
        epoch = {"kind": "epoch", "number": 0, "step": step, "time_ms": TIME_MS + step, "tags": {}}
        spool.append({**epoch, "metrics": {"val_loss": 1 / step}})
    end = {"kind": "end", "number": 0, "status": "FINISHED", "time_ms": TIME_MS + 9, "tags": {}}
    spool.append({**end, "metrics": {}})
    return spool


def test_all_studies_of_a_home_are_sent_and_told_in_a_line_each(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in ("cats", "dogs.of.mine"):
        _spool(home, study)
    uri = f"sqlite:///{home / 'mlflow.db'}"
    assert main(["--home", str(home)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"cats: 4 records arrived at {uri}",
        f"dogs.of.mine: 4 records arrived at {uri}",
    ]
    for study in ("cats", "dogs.of.mine"):
        assert Stored(uri, study).history(0, "val_loss") == [(4, 0.25), (8, 0.125)]
    assert main(["--home", str(home)]) == 0
    assert capsys.readouterr().out == "nothing waits\n"
    assert not list((home / "studies").glob("*.spool.*"))


def test_one_study_can_be_named_and_the_others_wait(home: Path) -> None:
    for study in ("cats", "dogs"):
        _spool(home, study)
    assert main(["--home", str(home), "--study", "dogs"]) == 0
    assert Stored(f"sqlite:///{home / 'mlflow.db'}", "cats").runs() == {}
    assert set(Stored(f"sqlite:///{home / 'mlflow.db'}", "dogs").runs()) == {None, "0"}


def test_a_study_that_a_driver_holds_is_refused_and_the_others_are_sent(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in ("cats", "dogs"):
        _spool(home, study)
    with held_at(home, "cats"):
        assert main(["--home", str(home)]) == 2
    told = capsys.readouterr()
    assert "error: Study cats is being run by process " in told.err
    assert told.out.startswith("dogs: 4 records arrived at ")
    assert main(["--home", str(home)]) == 0
    assert capsys.readouterr().out.startswith("cats: 4 records arrived at ")


def test_records_go_where_the_study_itself_sent_them(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    shutil.copy(home / "mlflow.db", elsewhere)
    _spool(home, "cats").note_destination(f"sqlite:///{elsewhere}")
    assert main(["--home", str(home)]) == 0
    assert set(Stored(f"sqlite:///{elsewhere}", "cats").runs()) == {None, "0"}


def test_a_place_whose_password_is_kept_nowhere_has_to_be_given(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = Spool(home / "studies" / f"cats.{'a' * 32}.spool.jsonl")
    Tracking("http://me:hush@127.0.0.1:9", spool, "cats", "a" * 32).start_study({}, {}, TIME_MS, "run")
    assert main(["--home", str(home)]) == 2
    told = capsys.readouterr().err
    assert "error: Study cats was tracked at http://me:***@127.0.0.1:9, whose password is kept now" in told


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (lambda home: ["--home", str(home / "none")], "none holds no studies; give the folder"),
        (lambda home: ["--home", str(home), "--study", "birds"], "holds no study birds; leave --study out"),
    ],
)
def test_what_is_not_there_is_told(
    home: Path, capsys: pytest.CaptureFixture[str], options: Callable[[Path], list[str]], sentence: str
) -> None:
    _spool(home, "cats")
    assert main(options(home)) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_lost_for_the_rest_of_a_study_gets_every_epoch_once_when_it_is_back(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(tmp_path)
    server.start()
    line = command.line("--trials", "3", "--tracking-uri", server.uri)
    try:
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=command.env())
        assert process.stdout is not None
        for told in process.stdout:
            if told.startswith("1/3 trial 0"):
                server.kill()
        assert process.wait(timeout=180) == 0

        arguments = ["--home", str(command.home)]
        assert main(arguments) == 1
        told = capsys.readouterr()
        assert f"small: 0 records arrived at {server.uri}, " in told.out
        assert " wait still" in told.out
        assert f"MLflow at {server.uri} takes no records now" in told.err
        server.start()
        assert main(arguments) == 0
        assert main(arguments) == 0
        assert capsys.readouterr().out.endswith("nothing waits\n")
        _assert_every_epoch_is_there_once(command.home, server.uri)
    finally:
        server.kill()


def _assert_every_epoch_is_there_once(home: Path, uri: str) -> None:
    stored, trials = Stored(uri, "small"), trials_of(home)
    runs = stored.runs()
    assert set(runs) == {None, "0", "1", "2"}
    for trial in trials:
        steps = [step for step, _ in stored.history(trial.number, "val_loss")]
        # step 0 is before training
        assert steps == [0, *sorted(trial.intermediate_values)]
        assert (
            runs[str(trial.number)].info.status
            == {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}[trial.state.name]
        )
    assert runs[None].info.status == "FINISHED"
    assert MlflowClient(uri).get_run(runs[None].info.run_id).data.metrics["trials"] == 3
