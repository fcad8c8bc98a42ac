"""Answering: a call of a worker that came from another process, and what goes back."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.training.worker import Worker


@dataclass(frozen=True)
class Answer:
    """What a call gave.

    Attributes:
        value: What the worker's method returned.
        memory_bytes: The resident memory of the process after it.
    """

    value: Any
    memory_bytes: int


def answer(worker: Worker, task: str, arguments: tuple[Any, ...]) -> Answer:
    """Call a method of the worker.

    Raises:
        RuntimeError: The call raised what cannot be made again in the driver, which this names.
        Exception: Whatever else the call raised.
    """
    try:
        value = getattr(worker, task)(*arguments)
    except Exception as error:
        if not can_be_sent(error):
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise
    return Answer(value, _resident_bytes())


def can_be_sent(error: Exception) -> bool:
    """Tell whether an exception arrives at the driver; one of TensorFlow's own, say, cannot be made there."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever it is, the driver could not read the answer
        return False
    return True


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no Linux: the most that it ever held
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")
