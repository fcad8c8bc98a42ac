"""Patience: waits for a database that does not answer, and then does again what was not done.

Only what may be done twice without a difference may be done this way.
"""

import functools
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import sqlalchemy

from search.errors import StudyError
from search.urls import without_password

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseAway(Exception):
    """The database cannot be reached, or another program keeps it locked; later it may answer."""


def watch(engine: sqlalchemy.Engine) -> None:
    """Have an engine say with exceptions of our own that its database is away or its disk full.

    Optuna takes the library's own for mistakes in the data: it wraps them, and adds a trial again without a
    look whether it is there already.
    """

    @sqlalchemy.event.listens_for(engine, "handle_error")
    def _tell(context: Any) -> None:
        error = context.original_exception
        if context.is_pre_ping or not isinstance(error, context.dialect.loaded_dbapi.Error):
            return
        if _primary_code(error) == sqlite3.SQLITE_FULL:
            raise StudyError(
                f"The disk is full: {engine.url.database} cannot be written; make room, and run the same "
                "command again to go on."
            )
        if _is_away(context):
            raise DatabaseAway(_first_line(error))


def _is_away(context: Any) -> bool:
    if context.dialect.name == "sqlite":
        return _primary_code(context.original_exception) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    # no connection: it could not be made
    return bool(context.is_disconnect or context.connection is None)


def _primary_code(error: Exception) -> int:
    """SQLite's code without what it says more, in the higher bits; 0 for errors of other databases."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return without_password(text.partition("\n")[0]).rstrip(".")


class Patience:
    """Does something with a database as often as it takes.

    Args:
        database: The database as it may be shown.

    Attributes:
        say: Is told when the waiting begins, and when it ends.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self.say: Callable[[str], None] = _to_standard_error

    def through(self, do: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Do something, and wait and do it again where the database is away.

        Args:
            do: What to do; it may have been done although the answer was lost.
            again: What to do after a wait, where that is not the same.
        """
        try:
            return do()
        except DatabaseAway as away:
            reason = str(away)
        began = time.monotonic()
        self.say(f"{self._database} does not answer ({reason}); the study waits for it, and then goes on.")
        for pause_s in _pauses():
            time.sleep(pause_s)
            try:
                found = (again or do)()
            except DatabaseAway:
                continue
            self.say(f"{self._database} answers again after {time.monotonic() - began:.0f} s.")
            return found
        raise AssertionError("pauses never end")


class HasPatience(Protocol):
    """Something that works with a database."""

    patience: Patience


S = TypeVar("S", bound=HasPatience)


def patiently(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Make a method wait for its database; called twice it must come to the same as called once."""

    @functools.wraps(method)
    def waiting(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.patience.through(lambda: method(self, *args, **kwargs))

    return waiting


def _to_standard_error(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _pauses() -> Iterator[float]:
    """The seconds between two tries: twice as many each time, up to a bound, for ever."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
