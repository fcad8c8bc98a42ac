"""Spooled: what studies of a home have for MLflow and could not send, and its sending without a driver."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search.driver.lease import held_at
from search.driver.study_file import StudyFile
from search.errors import StudyError, TrackingError
from search.recorder.spool import Spool
from search.recorder.tracking import Tracking

_SUFFIX = ".spool.jsonl"
# A server that is silent for so long is left alone.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Sent:
    """What became of a study's records.

    Attributes:
        study: The study.
        sent: Records that arrived now.
        waiting: Records that wait still.
        place: Where they go, as it may be shown.
        problems: What went wrong, a sentence each.
    """

    study: str
    sent: int
    waiting: int
    place: str
    problems: list[str]


def find_spools(home: Path, study: str | None = None) -> list[tuple[str, str, Path]]:
    """Find what waits in a home: study, uid and spool, by the names of the studies.

    Args:
        home: The home.
        study: The one study to look for; None for all.

    Raises:
        StudyError: There is no such home, or no such study in it.
    """
    if not (home / "studies").is_dir():
        raise StudyError(f"--home: {home} holds no studies; give the folder that a study was run with.")
    names = [path.name.removesuffix(_SUFFIX) for path in (home / "studies").glob(f"*{_SUFFIX}")]
    found = [(*_parts(name), home / "studies" / f"{name}{_SUFFIX}") for name in sorted(names)]
    if study is None:
        return found
    of_study = [one for one in found if one[0] == study]
    if not of_study and not StudyFile.of(home, study).exists():
        raise StudyError(f"--study: {home} holds no study {study}; leave --study out to send all there is.")
    return of_study


def send(home: Path, study: str, uid: str, path: Path, uri: str | None) -> Sent:
    """Send what waits of a study, as long as MLflow takes any.

    Args:
        home: The home.
        study: The study.
        uid: What tells it from an earlier one of its name.
        path: Its spool.
        uri: The tracking URI; None for where the study itself sent its records.

    Raises:
        StudyError: A driver holds the study; it sends its records itself.
        TrackingError: Nothing says where to send them.
    """
    with held_at(home, study):
        spool = Spool(path)
        place = uri or _place(spool, study, home)
        before = spool.n_waiting
        tracking = Tracking(place, spool, study, uid, home / "mlartifacts")
        for left in _flushed(tracking, before):
            if left == 0:
                break
        waiting = tracking.close(wait_s=0)
        return Sent(study, before - waiting, waiting, tracking.shown_uri, tracking.problems)


def _flushed(tracking: Tracking, waiting: int) -> Iterator[int]:
    """Give how many records wait, again and again until none was taken."""
    before = waiting + 1
    while waiting < before:
        before, waiting = waiting, tracking.flush(_PATIENCE_S)
        yield waiting


def _place(spool: Spool, study: str, home: Path) -> str:
    place = spool.destination or f"sqlite:///{home / 'mlflow.db'}"
    if "***" in place:
        raise TrackingError(
            f"Study {study} was tracked at {place}, whose password is kept nowhere; "
            "give the whole of it with --tracking-uri."
        )
    return place


def _parts(name: str) -> tuple[str, str]:
    study, _, uid = name.rpartition(".")
    return study, uid
