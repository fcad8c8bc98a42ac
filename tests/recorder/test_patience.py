"""A database that goes away while a study is written: nothing is lost, and nothing is there twice."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from real_postgres import PASSWORD, Postgres
from studies import MOST_HEAD, drive, proposal, small_space, table, train

from search.errors import StudyError
from search.recorder import optuna_half, patience
from search.recorder.holder import Holder
from search.recorder.optuna_half import StoredStudy


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture
def url(server_of_studies: Postgres) -> str:
    return server_of_studies.new_database()


@pytest.fixture
def study(url: str) -> Iterator[StoredStudy]:
    with StoredStudy(url, small_space(), Holder.here()) as opened:
        yield opened


class Cut:
    """Ends a study's connection at its n-th commit: before it, or after it so that its answer is lost."""

    def __init__(self, study: StoredStudy, url: str, at: int, after: bool) -> None:
        self.n_commits = 0
        self._url, self._at, self._after = url, at, after
        sqlalchemy.event.listen(study._storage.engine, "commit", self._commit)

    def again(self) -> None:
        """Count from the beginning."""
        self.n_commits = 0

    def _commit(self, connection: sqlalchemy.Connection) -> None:
        self.n_commits += 1
        if self.n_commits != self._at:
            return
        raw: Any = connection.connection.dbapi_connection
        if self._after:
            raw.commit()
        with psycopg.connect(self._url) as other:
            other.execute("select pg_terminate_backend(%s, 10000)", (raw.info.backend_pid,))
        connection.exec_driver_sql("select 1")


@pytest.fixture(scope="module")
def undisturbed(server_of_studies: Postgres) -> tuple[dict[str, Any], int]:
    """What a study comes to that nothing happened to, and how many commits that takes."""
    url = server_of_studies.new_database()
    with StoredStudy(url, small_space(), Holder.here()) as study:
        cut = Cut(study, url, at=0, after=False)
        drive(study)
    return table(url), cut.n_commits


@pytest.mark.slow
@pytest.mark.parametrize(("after", "every"), [(False, 9), (True, 3)], ids=["before", "after"])
def test_a_connection_lost_at_any_commit_changes_nothing(
    server_of_studies: Postgres, undisturbed: tuple[dict[str, Any], int], after: bool, every: int
) -> None:
    expected, n_commits = undisturbed
    assert n_commits > 50
    wrong = []
    url = server_of_studies.new_database()
    for at in range(1, n_commits + 1, every):
        optuna_half.delete_study(url, "small")
        with StoredStudy(url, small_space(), Holder.here()) as study:
            said: list[str] = []
            study.patience.say = said.append
            Cut(study, url, at, after)
            drive(study)
        assert [sentence.split(" ", 1)[1][:14] for sentence in said] == ["does not answe", "answers again "]
        if table(url) != expected:
            wrong.append(at)
    assert wrong == []


def test_trials_whose_adding_was_not_answered_are_there_once_although_they_are_alike(
    study: StoredStudy, url: str
) -> None:
    study.patience.say = lambda sentence: None
    cut = Cut(study, url, at=1, after=True)
    assert study.add(proposal()).number == 0
    cut.again()
    assert study.add(proposal()).number == 1
    assert len(study.trials(MOST_HEAD)) == 2


def test_a_trial_whose_closing_was_not_answered_is_closed_once(study: StoredStudy, url: str) -> None:
    said: list[str] = []
    study.patience.say = said.append
    # the closing is one of a handful of commits; the connection is lost after each of them once
    for at in range(1, 6):
        trial = study.add(proposal())
        trial.run_id = "a" * 32
        trial.end("failed", "its loss is NaN", "val_loss")
        study.end(trial)
        Cut(study, url, at, after=True)
        study.close(trial)
    assert len(said) == 2 * 5
    assert {one.state.name for one in optuna.load_study(study_name="small", storage=url).trials} == {"FAIL"}


def test_a_study_waits_for_a_server_that_is_down_and_says_so_once_without_the_password(
    server_of_studies: Postgres, study: StoredStudy, url: str
) -> None:
    trial = study.add(proposal())
    said: list[str] = []

    def start_after_the_first_word(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 1:
            server_of_studies.start()

    study.patience.say = start_after_the_first_word
    server_of_studies.stop()
    train(study, trial, "head", 1, [4])
    server_of_studies.kill()
    said.clear()
    again = study.add(proposal())

    assert (again.number, len(said)) == (1, 2)
    assert said[0].startswith("postgresql://night:***@/study_")
    assert "does not answer" in said[0]
    assert "answers again after" in said[1]
    assert PASSWORD not in "".join(said)
    assert [one.intermediate_values for one in optuna.load_study(study_name="small", storage=url).trials] == [
        {4: 0.2},
        {},
    ]


def test_the_waiting_has_an_upper_bound_between_two_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.undo()
    monkeypatch.setattr(patience.time, "sleep", slept.append)
    answers = iter([False] * 7 + [True])

    def ask() -> str:
        if not next(answers):
            raise patience.DatabaseAway("gone")
        return "here"

    waiting = patience.Patience("db")
    waiting.say = lambda sentence: None
    assert waiting.through(ask) == "here"
    assert slept == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_a_mistake_that_is_not_a_lost_connection_is_raised_at_once(study: StoredStudy, url: str) -> None:
    trial = study.add(proposal())
    with psycopg.connect(url) as other:
        other.execute("drop table trial_intermediate_values")
    study.patience.say = _never
    with pytest.raises(StorageInternalError) as caught:
        study.report(trial, [4], 0.5)
    assert "trial_intermediate_values" in str(caught.value.__cause__)


def test_a_trial_that_another_program_ended_is_told(study: StoredStudy, url: str) -> None:
    trial = study.add(proposal())
    optuna.load_study(study_name="small", storage=url).tell(0, state=optuna.trial.TrialState.FAIL)
    trial.end("pruned", "median", "val_loss")
    with pytest.raises(StudyError, match="another program ended trial 0 as FAIL"):
        study.close(trial)


def test_a_trial_that_somebody_else_adds_during_an_outage_is_not_taken_for_ours(
    server_of_studies: Postgres, study: StoredStudy, url: str
) -> None:
    def add_another(sentence: str) -> None:
        if "does not answer" in sentence:
            StoredStudy(url, small_space()).add(proposal(dropout=0.1))

    study.patience.say = add_another
    Cut(study, url, at=1, after=False)
    assert study.add(proposal()).number == 1
    assert [one.config.dropout for one in study.trials(MOST_HEAD)] == [0.1, 0.3]


def test_a_locked_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_half, "_LONGEST_LOCK_S", 0)
    path = tmp_path / "optuna.db"
    study = StoredStudy(f"sqlite:///{path}", small_space())
    other = sqlite3.connect(path, isolation_level=None)
    said: list[str] = []

    def unlock_after_the_first_word(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 1:
            other.execute("rollback")

    study.patience.say = unlock_after_the_first_word
    other.execute("begin immediate")
    assert study.add(proposal()).number == 0
    assert f"{path} does not answer (database is locked)" in said[0]
    assert len(study.trials(MOST_HEAD)) == 1


def test_a_full_disk_is_told_in_one_sentence_and_the_study_goes_on_later(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    study = StoredStudy(f"sqlite:///{path}", small_space())
    study.patience.say = _never
    trial = study.add(proposal())
    _allow_no_more_pages(study)
    with pytest.raises(StudyError, match=rf"^The disk is full: {path} cannot be written; make room, and run"):
        _fill(study)

    again = StoredStudy(f"sqlite:///{path}", small_space())
    found = again.trials(MOST_HEAD)
    assert [one.state for one in found] == ["running"] * len(found)
    assert found[0].config == trial.config
    assert again.add(proposal()).number == len(found)


def _allow_no_more_pages(study: StoredStudy) -> None:
    """SQLite then says of its file what it says of a full disk."""

    @sqlalchemy.event.listens_for(study._storage.engine, "connect")
    def _limit(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("pragma max_page_count = 1")

    study.disconnect()


def _fill(study: StoredStudy) -> None:
    for _ in range(1000):
        study.add(proposal())


def _never(sentence: str) -> None:
    raise AssertionError(sentence)


def test_a_database_that_is_not_there_at_the_start_is_not_waited_for(
    server_of_studies: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience.Patience, "through", _never_through)
    server_of_studies.stop()
    try:
        with pytest.raises(StudyError, match=r"^--storage: .* cannot be opened \("):
            StoredStudy(url, small_space(), Holder.here())
    finally:
        server_of_studies.start()


def _never_through(self: patience.Patience, do: Callable[[], Any], again: Any = None) -> Any:
    raise AssertionError("it waits")
