"""Executors: where the driver's work is done. All have the same few methods."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from search.config.trial_config import Stage
from search.errors import MachineError, OutOfMemory, WorkerLost
from search.training.worker import WorkerPlan

# told after each part of an epoch: slot, stage, epoch, share of the epoch done
SlotProgress = Callable[[int, Stage, int, float], None]


class Executor(Protocol):
    """Slots that each do one call at a time; each has a worker, and a new one where that died."""

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        ...

    def begin(self, plan: WorkerPlan, progress: SlotProgress) -> None:
        """Tell all workers what they work on; they get ready meanwhile.

        Args:
            plan: What a worker needs to know.
            progress: Told how far each is, from a thread of the executor's own.
        """
        ...

    def submit(self, task: str, *arguments: Any, slot: int = 0) -> Future[Any]:
        """Call a method of `Worker` in a slot that is free.

        What it raises comes out of the future; `WorkerLost` where the worker died of it.
        """
        ...

    def end(self, slot: int) -> None:
        """End the call that runs in a slot, with its worker; its future raises `WorkerLost`."""
        ...

    def close(self) -> None:
        """End all workers, at once."""
        ...


def ask(executor: Executor, task: str, *arguments: Any) -> Any:
    """Have one call done, where nothing else runs; if its worker dies of it, once more.

    Raises:
        MachineError: The worker died twice, or memory was too small twice.
    """
    try:
        return executor.submit(task, *arguments).result()
    except (WorkerLost, OutOfMemory):
        pass
    try:
        return executor.submit(task, *arguments).result()
    except (WorkerLost, OutOfMemory) as error:
        raise MachineError(
            f"One call ({task}) did not come to its end, nor when it was tried again: {error}; "
            "run the command again."
        ) from error
