"""Exclusive: one process at a time writes a study in a database that other machines can reach.

The lock is the database's own and belongs to the very connection that writes. Who dies loses it; who loses
his connection cannot write before he holds it again. SQLite has none: there the lock on the home must do.
"""

import contextlib
import hashlib
from collections.abc import Callable
from typing import Any

import sqlalchemy

from search.recorder.holder import Holder, refusal
from search.recorder.patience import DatabaseAway

# Says who holds the lock with a key, in the current database; the key is kept in two halves.
_WHO = """
select application_name from pg_locks as held join pg_stat_activity using (pid)
where held.locktype = 'advisory' and held.objsubid = 1 and held.granted
and held.database = (select oid from pg_database where datname = current_database())
and (held.classid::bigint << 32 | held.objid::bigint) = %s
"""
# Names the connection, and has the server ask a silent machine after a minute whether it is there, and drop
# it half a minute later: by itself it asks after two hours, so long a machine without power held studies.
_INTRODUCE = """
select set_config('application_name', %s, false), set_config('tcp_keepalives_idle', '60', false),
set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)
"""


def hold(engine: sqlalchemy.Engine, study: str, holder: Holder) -> None:
    """Have each new connection of an engine take a study's lock, before anything else is done with it.

    Where another process has it, whatever needed the connection raises a StudyError that says who.
    """
    take = _TAKE.get(engine.dialect.name)
    if take is None:
        return

    @sqlalchemy.event.listens_for(engine, "connect")
    def _take(connection: Any, record: Any) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            take(cursor, study, holder)
        connection.commit()

    @sqlalchemy.event.listens_for(engine, "close")
    def _give(connection: Any, record: Any) -> None:
        # or the server frees it a moment after the next connection asks for it
        with (
            contextlib.suppress(engine.dialect.loaded_dbapi.Error),
            contextlib.closing(connection.cursor()) as cursor,
        ):
            cursor.execute(_GIVE[engine.dialect.name])


def key_of(study: str) -> int:
    """Give the 64 bits, with a sign, that stand for a study in a database."""
    return int.from_bytes(hashlib.sha256(f"search {study}".encode()).digest()[:8], signed=True)


def _take_postgresql(cursor: Any, study: str, holder: Holder) -> None:
    cursor.execute(_INTRODUCE, (holder.label(),))
    cursor.execute("select pg_try_advisory_lock(%s)", (key_of(study),))
    if cursor.fetchone()[0]:
        return
    cursor.execute(_WHO, (key_of(study),))
    label = next((row[0] for row in cursor.fetchall()), None) or ""
    if label == holder.label():
        raise DatabaseAway("it has not yet let go of the connection that was lost")
    raise refusal(study, Holder.of_label(label))


def _take_mysql(cursor: Any, study: str, holder: Holder) -> None:
    # its names are the server's, not a database's, and at most 64 characters long
    cursor.execute("select get_lock(sha2(concat(database(), ' ', %s), 256), 0)", (f"search {study}",))
    if cursor.fetchone()[0] != 1:
        raise refusal(study, None)


_TAKE: dict[str, Callable[[Any, str, Holder], None]] = {
    "postgresql": _take_postgresql,
    "mysql": _take_mysql,
    "mariadb": _take_mysql,
}
_GIVE = {
    "postgresql": "select pg_advisory_unlock_all()",
    "mysql": "select release_all_locks()",
    "mariadb": "select release_all_locks()",
}
