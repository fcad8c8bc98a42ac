"""MLflow's own tables in a PostgreSQL whose connections are cut again and again while records are sent."""

import threading
from pathlib import Path

import psycopg
import pytest
from real_postgres import PASSWORD, Postgres
from test_tracking import TIME_MS, Study, log_trial

from search.recorder import tracking as tracking_module

STEPS = range(4, 400, 4)


@pytest.mark.slow
def test_epochs_sent_while_connections_are_cut_are_stored_once_and_none_is_refused(
    server_of_studies: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "_GATHER_S", 0.05)
    monkeypatch.setattr(tracking_module, "_MOST_RECORDS", 5)
    monkeypatch.setattr(tracking_module, "_FIRST_PAUSE_S", 0.05)
    study = Study(server_of_studies.new_database(), tmp_path, "cats")
    tracking = study.open()
    tracking.start_study({}, {"seed": 1}, TIME_MS, "search.run")
    assert tracking.flush(120) == 0
    over = threading.Event()
    cuts = _Cuts(study.uri, over)
    cuts.start()
    for number in range(3):
        log_trial(tracking, number, STEPS)
        tracking.end_trial(number, "FINISHED", TIME_MS + 1000, {}, {"best_val_loss": 0.05})
    assert tracking.flush(120) == 0
    over.set()
    cuts.join()
    assert tracking.close(120) == 0

    assert cuts.n > 10
    assert any("takes no records now" in problem for problem in tracking.problems)
    assert not any("refused" in problem for problem in tracking.problems), tracking.problems
    assert PASSWORD not in "".join(tracking.problems)
    assert set(study.stored.runs()) == {None, "0", "1", "2"}
    for number in range(3):
        assert study.stored.history(number, "val_loss") == [(step, 1 / (1 + step)) for step in STEPS]
        assert study.stored.runs()[str(number)].info.status == "FINISHED"


class _Cuts(threading.Thread):
    """Ends all other connections of a database, one after the other until it is over."""

    def __init__(self, url: str, over: threading.Event) -> None:
        super().__init__()
        self.n, self._url, self._over = 0, url, over

    def run(self) -> None:
        pause_s = 0.0
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(pause_s):
                # the pauses differ, so that the cuts fall everywhere
                pause_s = (pause_s + 0.037) % 0.4
                ended = connection.execute(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                ).fetchone()
                self.n += ended[0] if ended else 0
