"""Process: what runs in a worker's own process. One worker lives in it, and it ends with the driver."""

import multiprocessing
import os
import pickle
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from search.config.trial_config import Stage
from search.model.loading import load_keras
from search.training.worker import Worker, WorkerPlan

# Whoever is told how far an epoch is need not know of less than this share of it.
_SMALLEST_STEP = 0.01


@dataclass(frozen=True)
class Answer:
    """What a call gave.

    Attributes:
        value: What the worker's method returned.
        memory_bytes: The resident memory of the process after it.
    """

    value: Any
    memory_bytes: int


class _Process:
    """The process's worker, once it was told what to work on."""

    worker: Worker | None = None
    teller: Connection | None = None
    told: tuple[Stage, int, float] = ("head", 0, 0.0)


def start(teller: Connection) -> None:
    """Begin: from now on the process ends when the driver does, whatever it is doing."""
    _Process.teller = teller
    threading.Thread(target=_end_with_driver, name="end with driver", daemon=True).start()


def prepare() -> None:
    """Load Keras ahead, so that the first segment need not wait for it."""
    load_keras()


def begin(plan: WorkerPlan) -> None:
    """Make the worker."""
    _Process.worker = Worker(plan, _tell)


def call(task: str, arguments: tuple[Any, ...]) -> Answer:
    """Call a method of the worker."""
    assert _Process.worker is not None, "begun first"
    try:
        value = getattr(_Process.worker, task)(*arguments)
    except Exception as error:
        if not _can_be_sent(error):
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise
    return Answer(value, resident_bytes())


def resident_bytes() -> int:
    """Give the memory that this process holds."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no Linux: the most that it ever held
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def _can_be_sent(error: Exception) -> bool:
    """Tell whether an exception arrives at the driver; one of TensorFlow's own, say, cannot be made there."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever it is, the pool would break of it
        return False
    return True


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    assert driver is not None, "a worker's process has a parent"
    driver.join()
    os._exit(1)


def _tell(stage: Stage, epoch: int, share: float) -> None:
    """Tell how far an epoch is; a driver that does not listen any more is about to end this process."""
    told = _Process.told
    if (stage, epoch) == told[:2] and share - told[2] < _SMALLEST_STEP and share < 1:
        return
    _Process.told = (stage, epoch, share)
    assert _Process.teller is not None, "started first"
    try:
        _Process.teller.send((stage, epoch, share))
    except OSError:
        return
