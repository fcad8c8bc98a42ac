import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from real_mlflow import Server, Stored

from search.errors import TrackingError
from search.recorder.spool import Spool
from search.recorder.tracking import Tracking

# Sending waits for the import of MLflow in the sending thread at most.
PATIENCE_S = 60
TIME_MS = 1_700_000_000_000


class Study:
    """One study's tracking, made again as a new process would make it."""

    def __init__(self, uri: str, home: Path, name: str) -> None:
        self.uri, self.home, self.name = uri, home, name
        self.stored = Stored(uri, name)

    def open(self) -> Tracking:
        spool = Spool(self.home / "studies" / f"{self.name}.spool.jsonl")
        return Tracking(self.uri, spool, self.name, f"uid{self.name}", self.home / "mlartifacts")


@pytest.fixture(params=["database", "server"])
def study(request: pytest.FixtureRequest, home: Path) -> Study:
    name = f"s{zlib.crc32(request.node.name.encode())}"
    if request.param == "database":
        return Study(f"sqlite:///{home}/mlflow.db", home, name)
    return Study(request.getfixturevalue("server").uri, home, name)


@pytest.fixture
def in_database(home: Path) -> Study:
    return Study(f"sqlite:///{home}/mlflow.db", home, "cats")


def log_trial(tracking: Tracking, number: int, steps: range) -> None:
    tracking.start_trial(number, f"trial {number}", {"head.lr": 1e-3}, {"search.recipe": "none"}, TIME_MS)
    for step in steps:
        tracking.log_epoch(number, step, TIME_MS + step, {"val_loss": 1 / (1 + step), "val_accuracy": 0.5})


def test_a_study_stands_in_mlflow_as_a_parent_run_with_a_child_run_a_trial(study: Study) -> None:
    tracking = study.open()
    tracking.start_study({"search.code": "1"}, {"seed": 1}, TIME_MS, "search.run --study cats")
    log_trial(tracking, 0, range(4, 20, 4))
    tracking.end_trial(0, "FINISHED", TIME_MS + 100, {"search.state": "complete"}, {"best_val_loss": 0.05})
    log_trial(tracking, 1, range(4, 8, 4))
    tracking.end_trial(1, "KILLED", TIME_MS + 200, {"search.pruned": "median at step 4"}, {})
    log_trial(tracking, 2, range(4, 4))
    tracking.end_trial(2, "FAILED", TIME_MS + 300, {}, {})
    tracking.end_study("FINISHED", {}, {"best_val_loss": 0.05}, TIME_MS + 400)
    assert tracking.close(PATIENCE_S) == 0
    assert tracking.problems == []

    runs = study.stored.runs()
    assert set(runs) == {None, "0", "1", "2"}
    assert [runs[n].info.status for n in (None, "0", "1", "2")] == [
        "FINISHED",
        "FINISHED",
        "KILLED",
        "FAILED",
    ]
    parent, first = runs[None], runs["0"]
    assert {runs[n].data.tags["mlflow.parentRunId"] for n in ("0", "1", "2")} == {parent.info.run_id}
    assert parent.data.tags["search.start.1"] == "2023-11-14T22:13:20.000+00:00 search.run --study cats"
    assert (first.info.run_name, first.info.start_time, first.info.end_time) == (
        "trial 0",
        TIME_MS,
        TIME_MS + 100,
    )
    assert first.data.params == {"head.lr": "0.001"}
    assert first.data.tags["search.state"] == "complete"
    assert first.data.metrics["best_val_loss"] == 0.05
    assert study.stored.history(0, "val_loss") == [(step, 1 / (1 + step)) for step in range(4, 20, 4)]
    assert tracking.run_id(0) == first.info.run_id
    assert tracking.run_id(None) == parent.info.run_id


def test_a_run_on_a_fresh_seed_stands_beside_that_of_its_trial_and_is_found_again(study: Study) -> None:
    for _ in range(2):
        tracking = study.open()
        log_trial(tracking, 7, range(4, 8, 4))
        tracking.start_trial("7/2", "trial 7 seed 2", {"head.lr": 1e-3}, {}, TIME_MS)
        tracking.log_epoch("7/2", 4, TIME_MS, {"val_loss": 0.25})
        tracking.end_trial("7/2", "FINISHED", TIME_MS + 100, {}, {})
        assert tracking.close(PATIENCE_S) == 0
        assert tracking.problems == []
    client = study.stored.client
    experiment = client.get_experiment_by_name(study.name)
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id], "tags.`search.role` = 'finalist'")
    assert (found.data.tags["search.finalist"], found.data.tags["search.replicate"]) == ("7", "2")
    assert found.data.metrics == {"val_loss": 0.25}
    assert found.info.run_id == tracking.run_id("7/2") != tracking.run_id(7)
    assert len(client.search_runs([experiment.experiment_id], "tags.`search.role` = 'trial'")) == 1


def test_a_study_that_goes_on_replays_its_epochs_without_doubling_anything(study: Study) -> None:
    for start in range(3):
        tracking = study.open()
        tracking.start_study({}, {"seed": 1}, TIME_MS + start, "search.run")
        tracking.log_data("cats", "/data/cats", "f" * 64, {"n_train": 9})
        log_trial(tracking, 0, range(4, 20 + 4 * start, 4))
        assert tracking.close(PATIENCE_S) == 0
        assert tracking.problems == []
    runs = study.stored.runs()
    assert set(runs) == {None, "0"}
    assert runs["0"].info.status == "RUNNING"
    assert study.stored.history(0, "val_loss") == [(step, 1 / (1 + step)) for step in range(4, 28, 4)]
    starts = {key: value for key, value in runs[None].data.tags.items() if key.startswith("search.start")}
    assert sorted(starts) == ["search.start.1", "search.start.2", "search.start.3"]
    assert starts["search.start.3"].startswith("2023-11-14T22:13:20.002")


def test_records_that_were_sent_but_not_noted_as_sent_are_sent_again_without_doubling(study: Study) -> None:
    spool_path = study.home / "studies" / f"{study.name}.spool.jsonl"
    tracking = study.open()
    tracking.start_study({}, {}, TIME_MS, "search.run")
    log_trial(tracking, 0, range(4, 40, 4))
    tracking.end_trial(0, "FINISHED", TIME_MS + 100, {}, {"best_val_loss": 0.05})
    lines = spool_path.read_bytes()
    assert tracking.close(PATIENCE_S) == 0
    before = {number: run.to_dictionary() for number, run in study.stored.runs().items()}
    spool_path.write_bytes(lines)
    assert study.open().close(PATIENCE_S) == 0
    assert {number: run.to_dictionary() for number, run in study.stored.runs().items()} == before
    assert study.stored.history(0, "val_loss") == [(step, 1 / (1 + step)) for step in range(4, 40, 4)]


def test_the_data_stand_as_input_of_the_study_and_of_its_trials(study: Study) -> None:
    tracking = study.open()
    tracking.start_study({}, {}, TIME_MS, "search.run")
    tracking.log_data("cats", "/data/cats", "ab" * 32, {"n_train": 9, "n_test": 3})
    log_trial(tracking, 0, range(4, 8, 4))
    assert tracking.close(PATIENCE_S) == 0
    runs = study.stored.runs()
    for number in (None, "0"):
        (data,) = runs[number].inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.digest) == ("cats", "ab" * 18)
        assert '"n_train": 9' in data.dataset.profile
    assert runs[None].data.tags["search.data_fingerprint"] == "ab" * 32


def test_artifacts_are_taken_from_the_folder_as_it_was(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "of trial 0"
    (folder / "pictures").mkdir(parents=True)
    (folder / "history.csv").write_text("step,val_loss\n4,0.5\n")
    (folder / "pictures" / "ä.txt").write_text("x")
    tracking = study.open()
    tracking.start_study({}, {}, TIME_MS, "search.run")
    log_trial(tracking, 0, range(4, 8, 4))
    tracking.log_artifacts(0, folder)
    (folder / "history.csv").unlink()
    assert tracking.close(PATIENCE_S) == 0
    assert tracking.problems == []
    run_id = study.stored.runs()["0"].info.run_id
    place = Path(study.stored.client.download_artifacts(run_id, "", str(tmp_path)))
    with (place / "history.csv").open() as file:
        assert list(csv.reader(file)) == [["step", "val_loss"], ["4", "0.5"]]
    assert (place / "pictures" / "ä.txt").read_text() == "x"
    assert not any((study.home / "studies").glob("*.files/*"))


def test_a_record_that_mlflow_refuses_is_set_aside_and_the_others_go_on(study: Study) -> None:
    tracking = study.open()
    tracking.start_study({}, {}, TIME_MS, "search.run")
    log_trial(tracking, 0, range(4, 8, 4))
    tracking.log_epoch(0, 8, TIME_MS, {"no:such/name?!": 1.0})
    tracking.log_epoch(0, 12, TIME_MS, {"val_loss": 0.25})
    log_trial(tracking, 1, range(4, 8, 4))
    assert tracking.close(PATIENCE_S) == 0
    assert study.stored.history(0, "val_loss") == [(4, 0.2), (12, 0.25)]
    assert study.stored.history(1, "val_loss") == [(4, 0.2)]
    (problem,) = tracking.problems
    assert "refused a record (epoch of trial 0)" in problem
    assert "no:such/name" in (study.home / "studies" / f"{study.name}.spool.rejected").read_text()


def test_a_parameter_that_changed_is_reported_and_costs_nothing_else(in_database: Study) -> None:
    tracking = in_database.open()
    tracking.start_trial(0, "trial 0", {"head.lr": 0.1}, {}, TIME_MS)
    assert tracking.flush(PATIENCE_S) == 0
    tracking.start_trial(0, "trial 0", {"head.lr": 0.2}, {"search.state": "running"}, TIME_MS)
    assert tracking.close(PATIENCE_S) == 0
    run = in_database.stored.runs()["0"]
    assert run.data.params == {"head.lr": "0.1"}
    assert run.data.tags["search.state"] == "running"
    assert len(tracking.problems) == 1


def test_parameters_that_are_known_later_stand_beside_the_first(in_database: Study) -> None:
    tracking = in_database.open()
    tracking.start_trial(0, "trial 0", {"head.lr": 0.1}, {}, TIME_MS)
    tracking.log_params(0, {"tune.trained_layers": 12})
    assert tracking.close(PATIENCE_S) == 0
    assert in_database.stored.runs()["0"].data.params == {"head.lr": "0.1", "tune.trained_layers": "12"}


def test_a_start_shows_its_command_without_passwords(in_database: Study) -> None:
    tracking = in_database.open()
    tracking.start_study({}, {}, TIME_MS, "search.run --storage postgresql://me:hush@host/db --trials 3")
    assert tracking.close(PATIENCE_S) == 0
    start = in_database.stored.runs()[None].data.tags["search.start.1"]
    assert start.endswith("search.run --storage postgresql://me:***@host/db --trials 3")
    assert b"hush" not in (in_database.home / "mlflow.db").read_bytes()


def test_nan_and_infinity_go_to_a_tag_and_not_into_the_charts(in_database: Study) -> None:
    tracking = in_database.open()
    tracking.start_trial(0, "trial 0", {}, {}, TIME_MS)
    tracking.log_epoch(0, 4, TIME_MS, {"val_loss": float("nan"), "loss": float("inf"), "val_auc": 0.5})
    assert tracking.close(PATIENCE_S) == 0
    run = in_database.stored.runs()["0"]
    assert run.data.metrics == {"val_auc": 0.5}
    assert run.data.tags["search.not_finite"] == "val_loss at step 4 is nan, loss at step 4 is inf"


def test_a_deleted_experiment_is_restored_while_the_study_runs(in_database: Study) -> None:
    tracking = in_database.open()
    tracking.start_study({}, {}, TIME_MS, "search.run")
    log_trial(tracking, 0, range(4, 8, 4))
    assert tracking.flush(PATIENCE_S) == 0
    client = in_database.stored.client
    client.delete_experiment(client.get_experiment_by_name("cats").experiment_id)
    tracking.log_epoch(0, 8, TIME_MS, {"val_loss": 0.5})
    log_trial(tracking, 1, range(4, 8, 4))
    assert tracking.close(PATIENCE_S) == 0
    assert set(in_database.stored.runs()) == {None, "0", "1"}
    assert in_database.stored.history(0, "val_loss") == [(4, 0.2), (8, 0.5)]
    assert tracking.problems == []


def test_many_waiting_epochs_are_sent_together(in_database: Study) -> None:
    tracking = in_database.open()
    tracking.start_study({}, {}, TIME_MS, "search.run")
    assert tracking.flush(PATIENCE_S) == 0
    begun = time.monotonic()
    for number in range(20):
        log_trial(tracking, number, range(4, 84, 4))
        tracking.end_trial(number, "FINISHED", TIME_MS + 100, {}, {})
    assert tracking.close(PATIENCE_S) == 0
    # 460 records at 30 ms each would take 14 s.
    assert time.monotonic() - begun < 10
    assert len(in_database.stored.history(19, "val_loss")) == 20


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back_in_mid_trial_loses_and_doubles_nothing(
    server: Server, home: Path
) -> None:
    study = Study(server.uri, home, "outage")
    tracking = study.open()
    tracking.start_study({}, {}, TIME_MS, "search.run")
    log_trial(tracking, 0, range(4, 40, 4))
    assert tracking.flush(PATIENCE_S) == 0
    server.kill()
    try:
        slowest_s = 0.0
        for step in range(40, 80, 4):
            begun = time.monotonic()
            tracking.log_epoch(0, step, TIME_MS + step, {"val_loss": 1 / (1 + step), "val_accuracy": 0.5})
            slowest_s = max(slowest_s, time.monotonic() - begun)
            time.sleep(0.1)
        assert slowest_s < 0.5
        assert tracking.flush(3) > 0
        assert tracking.run_id(1) is None
    finally:
        server.start()
    log_trial(tracking, 1, range(4, 8, 4))
    tracking.end_trial(0, "FINISHED", TIME_MS + 100, {}, {})
    assert tracking.close(PATIENCE_S) == 0
    assert study.stored.history(0, "val_loss") == [(step, 1 / (1 + step)) for step in range(4, 80, 4)]
    assert set(study.stored.runs()) == {None, "0", "1"}
    assert [
        problem for problem in tracking.problems if "takes no records now" in problem
    ] == tracking.problems
    assert len(tracking.problems) == 1


LOG_FOR_EVER = f"""
import itertools, sys, time
from pathlib import Path
from search.recorder.spool import Spool
from search.recorder.tracking import Tracking
uri, home, first = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
tracking = Tracking(uri, Spool(home / "studies" / "killed.spool.jsonl"), "killed", "uidkilled", home / "arts")
tracking.start_study({{}}, {{}}, {TIME_MS}, "search.run")
tracking.start_trial(0, "trial 0", {{"a": 1}}, {{}}, {TIME_MS})
for step in itertools.count(first):
    tracking.log_epoch(0, step, {TIME_MS} + step, {{"val_loss": 1 / (1 + step)}})
    print(step, flush=True)
    time.sleep(0.003)  # no faster than MLflow takes them, or the end would have to send thousands
"""


@pytest.mark.slow
def test_a_process_killed_while_it_logs_loses_and_doubles_nothing(home: Path) -> None:
    uri = f"sqlite:///{home}/mlflow.db"
    stored = Stored(uri, "killed")
    n_logged = 0
    # The sending begins after the import of MLflow: kills before it, in the first batch, and well after.
    for n_sent_before in (0, 1, 600):
        n_logged = _log_until(uri, home, n_logged, n_sent_before)
    tracking = Study(uri, home, "killed").open()
    tracking.end_trial(0, "FINISHED", TIME_MS, {}, {})
    assert tracking.close(PATIENCE_S) == 0
    assert tracking.problems == []
    history = stored.history(0, "val_loss")
    # The kill may come between the append and the print of one step.
    assert len(history) >= n_logged
    assert history == [(step, 1 / (1 + step)) for step in range(len(history))]
    assert set(stored.runs()) == {None, "0"}


def _log_until(uri: str, home: Path, first: int, n_sent_before: int) -> int:
    """Log in a process of its own, kill it when so many more are stored; say how many it has logged."""
    output = home / "output.txt"
    with output.open("w") as file:
        command = [sys.executable, "-c", LOG_FOR_EVER, uri, str(home), str(first)]
        process = subprocess.Popen(command, stdout=file, cwd=Path(__file__).parents[2])
    until = time.monotonic() + PATIENCE_S
    n_stored = _n_stored(home)
    while process.poll() is None and time.monotonic() < until:
        if output.stat().st_size and _n_stored(home) - n_stored >= n_sent_before:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    printed = output.read_text().rpartition("\n")[0].splitlines()
    assert printed
    return int(printed[-1]) + 1


def _n_stored(home: Path) -> int:
    """Count without MLflow's client, which takes its time while another process writes."""
    with closing(sqlite3.connect(home / "mlflow.db", timeout=PATIENCE_S)) as database:
        return int(database.execute("select count(*) from metrics").fetchone()[0])


@pytest.fixture
def at_no_server(home: Path) -> Iterator[Tracking]:
    tracking = Study("http://user:hush@127.0.0.1:9", home, "cats").open()
    yield tracking
    tracking.close(0)


def test_an_outage_is_told_once_and_shows_no_password(at_no_server: Tracking) -> None:
    at_no_server.start_study({}, {}, TIME_MS, "search.run")
    for _ in range(2):
        assert at_no_server.flush(3) == 2
    (problem,) = at_no_server.problems
    assert "MLflow at http://user:***@127.0.0.1:9 takes no records now" in problem
    assert "hush" not in problem


def test_a_server_that_was_silent_for_long_is_tried_once_more_and_not_waited_for(
    at_no_server: Tracking,
) -> None:
    at_no_server.start_study({}, {}, TIME_MS, "search.run")
    started = time.monotonic()
    assert at_no_server.flush(4) == 2
    waited_s = time.monotonic() - started
    started = time.monotonic()
    assert at_no_server.run_id(0, 4) is None
    assert at_no_server.flush(4) == 2
    assert waited_s >= 3.5
    assert time.monotonic() - started < 3.5


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("./mlruns", "is a folder, and MLflow keeps no runs in folders any more"),
        ("/tmp/mlruns", "is a folder"),
        ("file:///tmp/mlruns", "is a folder"),
        ("file:mlruns", "is a folder"),
        ("databricks", "must start with sqlite:///"),
        ("ftp://host/x", "must start with sqlite:///"),
        ("", "must start with sqlite:///"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////no/such/folder/mlflow.db", "which is no folder"),
        ("http://", "names no host and port"),
        ("http://host:port", "names no host and port"),
        ("mssql://sa:hush@host/db", r"got 'mssql://sa:\*\*\*@host/db'"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_in_one_sentence(tmp_path: Path, uri: str, sentence: str) -> None:
    with pytest.raises(TrackingError, match=sentence) as caught:
        Tracking(uri, Spool(tmp_path / "s.jsonl"), "cats", "uid")
    assert len(caught.value.sentences) == 1


def test_the_database_of_optuna_is_refused(tmp_path: Path) -> None:
    import optuna

    uri = f"sqlite:///{tmp_path}/optuna.db"
    optuna.create_study(storage=uri)
    with pytest.raises(TrackingError, match="database of Optuna studies"):
        Tracking(uri, Spool(tmp_path / "s.jsonl"), "cats", "uid")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all, but text of some length" * 100)
    with pytest.raises(TrackingError, match="cannot be read: file is not a database"):
        Tracking(f"sqlite:///{tmp_path}/mlflow.db", Spool(tmp_path / "s.jsonl"), "cats", "uid")


def test_opening_the_tracking_imports_no_mlflow_in_the_calling_thread(home: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from search.recorder.spool import Spool\n"
        "from search.recorder.tracking import Tracking\n"
        "home = pathlib.Path(sys.argv[1]); begun = time.monotonic()\n"
        "tracking = Tracking(f'sqlite:///{home}/mlflow.db', Spool(home / 's.jsonl'), 'cats', 'uid')\n"
        "assert 'mlflow' not in sys.modules\n"
        "print(time.monotonic() - begun)\n"
    )
    root = Path(__file__).parents[2]
    output = subprocess.run(
        [sys.executable, "-c", code, str(home)], cwd=root, capture_output=True, text=True, check=True
    )
    assert float(output.stdout) < 0.5
