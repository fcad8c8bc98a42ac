"""One process at a time writes a study in a database that others can reach."""

import signal
import subprocess
import sys
from datetime import datetime
from itertools import count
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from real_postgres import Postgres
from studies import MOST_HEAD, proposal, small_space

from search.errors import StudyError
from search.recorder import patience
from search.recorder.exclusive import key_of
from search.recorder.holder import Holder
from search.recorder.optuna_half import StoredStudy, check_database, delete_study

OTHER = Holder("elsewhere", 4321, 1_700_000_000_000)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture
def url(server_of_studies: Postgres) -> str:
    return server_of_studies.new_database()


def _cut(url: str, study: StoredStudy) -> None:
    """End the connection of a study as the server's administrator can."""
    with study._storage.engine.connect() as connection:
        pid = connection.exec_driver_sql("select pg_backend_pid()").scalar()
    with psycopg.connect(url) as other:
        other.execute("select pg_terminate_backend(%s, 10000)", (pid,))


def _take(url: str, holder: Holder) -> psycopg.Connection:
    """Hold the study as another driver would."""
    connection = psycopg.connect(url, autocommit=True, application_name=holder.label())
    taken = connection.execute("select pg_try_advisory_lock(%s)", (key_of("small"),)).fetchone()
    assert taken == (True,)
    return connection


def test_a_second_driver_is_told_who_holds_the_study(url: str) -> None:
    since = datetime.fromtimestamp(1_700_000_000)
    sentence = (
        f"^Study small is being run by process 4321 on elsewhere since {since:%Y-%m-%d %H:%M:%S}; wait for it"
    )
    with StoredStudy(url, small_space(), OTHER):
        with pytest.raises(StudyError, match=sentence):
            StoredStudy(url, small_space(), Holder.here())
        with pytest.raises(StudyError, match=sentence):
            check_database(url, "small")
        with pytest.raises(StudyError, match=sentence):
            delete_study(url, "small")
    assert check_database(url, "small")
    StoredStudy(url, small_space(), Holder.here()).disconnect()


def test_who_only_reads_is_not_held_up(url: str) -> None:
    with StoredStudy(url, small_space(), OTHER) as study:
        study.add(proposal())
        assert len(StoredStudy(url, small_space()).trials(MOST_HEAD)) == 1


def test_another_study_in_the_same_database_is_free(url: str) -> None:
    with (
        StoredStudy(url, small_space(), OTHER),
        StoredStudy(url, small_space("large"), Holder.here()) as large,
    ):
        assert large.add(proposal()).number == 0


def test_the_database_itself_frees_a_study_whose_driver_was_killed(url: str) -> None:
    code = (
        "import os, signal, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}\n"
        "from studies import small_space, proposal\n"
        "from search.recorder.optuna_half import StoredStudy\n"
        "from search.recorder.holder import Holder\n"
        f"study = StoredStudy({url!r}, small_space(), Holder.here())\n"
        "study.add(proposal())\n"
        "print(os.getpid(), flush=True)\n"
        "signal.pause()\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    pid = driver.stdout.readline().strip()
    with pytest.raises(StudyError, match=f"is being run by process {pid} on "):
        StoredStudy(url, small_space(), Holder.here())
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    with psycopg.connect(url) as other:
        # waits until the server has noticed
        other.execute("select pg_advisory_lock(%s)", (key_of("small"),))
    with StoredStudy(url, small_space(), Holder.here()) as study:
        assert len(study.trials(MOST_HEAD)) == 1


def test_a_driver_that_lost_its_connection_takes_the_lock_again_before_it_writes(url: str) -> None:
    with StoredStudy(url, small_space(), OTHER) as study:
        study.patience.say = lambda sentence: None
        study.add(proposal())
        _cut(url, study)
        study.add(proposal())
        with pytest.raises(StudyError, match="is being run by process 4321 on elsewhere"):
            StoredStudy(url, small_space(), Holder.here())


def test_a_driver_whose_study_was_taken_up_by_another_in_an_outage_stops_and_writes_nothing(url: str) -> None:
    with StoredStudy(url, small_space(), Holder.here()) as study:
        study.patience.say = lambda sentence: None
        trial = study.add(proposal())
        _cut(url, study)
        with _take(url, OTHER):
            for write in (lambda: study.add(proposal()), lambda: study.report(trial, [4], 0.5)):
                with pytest.raises(StudyError, match="is being run by process 4321 on elsewhere"):
                    write()
    (found,) = StoredStudy(url, small_space()).trials(MOST_HEAD)
    assert found.reported == set()


def test_a_driver_waits_for_its_own_lost_connection_to_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the network broke, and the server has not noticed."""
    n_pauses = count(1)
    with StoredStudy(url, small_space(), OTHER) as study:
        study.patience.say = lambda sentence: None
        study.add(proposal())
        _cut(url, study)
        lost = _take(url, OTHER)

        def notice_in_the_third_pause(pause_s: float) -> None:
            if next(n_pauses) == 3:
                lost.close()

        monkeypatch.setattr(patience.time, "sleep", notice_in_the_third_pause)
        assert study.add(proposal()).number == 1
    assert next(n_pauses) > 3


def test_a_study_is_given_back_before_its_connection_is_closed(url: str) -> None:
    free = []

    def look(connection: object, record: object) -> None:
        with psycopg.connect(url) as other:
            row = other.execute("select count(*) from pg_locks where locktype = 'advisory'").fetchone()
        free.append(row == (0,))

    with StoredStudy(url, small_space(), OTHER) as study:
        study.add(proposal())
        sqlalchemy.event.listen(study._storage.engine, "close", look)
    assert free == [True]


def test_a_label_says_who_holds_a_study_and_is_short_enough_for_a_connection() -> None:
    here = Holder.here()
    assert Holder.of_label(here.label()) == here
    far = Holder("h" * 100, 2**22, 1_700_000_000_000)
    assert len(far.label()) == 63
    assert Holder.of_label(far.label()) == Holder("h" * 34, 2**22, 1_700_000_000_000)
    assert Holder.of_label("psql") is None


def test_a_key_is_the_same_on_every_machine() -> None:
    assert key_of("small") == -2314301718975898359
    assert key_of("large") != key_of("small")
