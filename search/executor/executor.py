"""Executors: where the driver's work is done. All have the same few methods."""

from concurrent.futures import Future
from typing import Any, Protocol

from search.training.segment import Progress
from search.training.worker import Worker, WorkerPlan


class Executor(Protocol):
    """Slots that each do one call at a time."""

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        ...

    def submit(self, task: str, *arguments: Any) -> Future[Any]:
        """Call a method of `Worker`; what it raises comes out of the future."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


class InlineExecutor:
    """One worker in the driver's own process; a call is done when `submit` returns."""

    slots = 1

    def __init__(self, plan: WorkerPlan, progress: Progress) -> None:
        self._worker = Worker(plan, progress)

    def submit(self, task: str, *arguments: Any) -> Future[Any]:
        """Call a method of `Worker` now."""
        future: Future[Any] = Future()
        try:
            future.set_result(getattr(self._worker, task)(*arguments))
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(error)
        return future

    def close(self) -> None:
        """There is nothing to end."""
