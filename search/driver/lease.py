"""Lease: one driver a study and home, by a lock that the system frees when its holder dies.

Who holds it stands in a small file beside the lock, which is read only while the lock is held.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from search.driver.request import Request
from search.errors import StudyError
from search.recorder.holder import Holder, refusal
from search.store.files import write_whole


@contextmanager
def held(request: Request) -> Iterator[None]:
    """Hold a request's study, so that no second driver works on it.

    Raises:
        StudyError: Another driver holds it.
    """
    with held_at(request.options.home, request.file.space.study):
        yield


@contextmanager
def held_at(home: Path, study: str) -> Iterator[None]:
    """Hold a study of a home.

    Raises:
        StudyError: Another process holds it, or the home cannot be written.
    """
    folder = home / "studies"
    lock, note = FileLock(folder / f"{study}.lock", timeout=0), folder / f"{study}.holder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise refusal(study, _noted(note)) from error
    except OSError as error:
        raise unwritable(home, error) from error
    try:
        write_whole(note, Holder.here().label())
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def is_held(home: Path, study: str) -> bool:
    """Tell whether a driver holds a study of a home; it is asked by taking the lock for a moment."""
    lock = FileLock(home / "studies" / f"{study}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # there is no such home
        return False
    lock.release()
    return False


def unwritable(home: Path, error: OSError) -> StudyError:
    """Say that a home cannot be written."""
    return StudyError(f"--home: {home} cannot be written ({error.strerror}); give another folder.")


def _noted(note: Path) -> Holder | None:
    """Read who holds a lock that is held; a holder that has not yet written it is not known."""
    try:
        return Holder.of_label(note.read_text(encoding="utf-8"))
    except OSError:
        return None
