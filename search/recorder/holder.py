"""Holder: the process that works on a study, as it is named to a second one that is refused."""

import os
import re
import socket
import time
from dataclasses import dataclass
from datetime import datetime

from search.errors import StudyError

# PostgreSQL keeps so many characters of a connection's name.
_LONGEST_LABEL = 63
_LABEL = re.compile(r"search (\d+) (\d+) (.+)")


@dataclass(frozen=True)
class Holder:
    """A process that holds a study.

    Attributes:
        host: The name of its machine.
        pid: Its process id there.
        since_ms: When it took the study, milliseconds since 1970.
    """

    host: str
    pid: int
    since_ms: int

    @classmethod
    def here(cls) -> "Holder":
        """Name this process, from now on."""
        return cls(socket.gethostname(), os.getpid(), time.time_ns() // 1_000_000)

    @classmethod
    def of_label(cls, label: str) -> "Holder | None":
        """Read a label; None where it is something else."""
        found = _LABEL.fullmatch(label.strip())
        return cls(found[3], int(found[1]), int(found[2])) if found else None

    def label(self) -> str:
        """Write it in one short line; a long host name loses its end."""
        return f"search {self.pid} {self.since_ms} {self.host}"[:_LONGEST_LABEL]

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since_ms / 1000)
        return f"process {self.pid} on {self.host} since {since:%Y-%m-%d %H:%M:%S}"


def refusal(study: str, holder: Holder | None) -> StudyError:
    """Say that a study is taken, and by whom if that is known."""
    who = "another process" if holder is None else str(holder)
    return StudyError(f"Study {study} is being run by {who}; wait for it, or stop it there.")
