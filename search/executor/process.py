"""Process: what runs in a worker's own process. One worker lives in it, and it ends with the driver."""

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from typing import Any

from search.config.trial_config import Stage
from search.executor.answering import Answer, answer
from search.model.loading import load_keras
from search.training.worker import Worker, WorkerPlan

# Whoever is told how far an epoch is need not know of less than this share of it.
_SMALLEST_STEP = 0.01


class _Process:
    """What the process holds."""

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
    return answer(_Process.worker, task, arguments)


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
