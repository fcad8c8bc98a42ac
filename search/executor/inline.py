"""Inline: one worker in the driver's own process, the way to debug."""

from concurrent.futures import Future
from typing import Any

from search.executor.executor import SlotProgress
from search.training.worker import Worker, WorkerPlan


class InlineExecutor:
    """A call is done when `submit` returns. What kills the worker kills the driver; no call can be ended."""

    slots = 1

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def begin(self, plan: WorkerPlan, progress: SlotProgress) -> None:
        """Make the worker."""
        self._worker = Worker(plan, lambda stage, epoch, share: progress(0, stage, epoch, share))

    def submit(self, task: str, *arguments: Any, slot: int = 0) -> Future[Any]:
        """Call a method of `Worker` now."""
        assert self._worker is not None, "begun first"
        future: Future[Any] = Future()
        try:
            future.set_result(getattr(self._worker, task)(*arguments))
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(error)
        return future

    def end(self, slot: int) -> None:
        """Nothing runs when this is called."""

    def close(self) -> None:
        """There is nothing to end."""


def inline(plan: WorkerPlan) -> InlineExecutor:
    """Make the executor of a command that trains nothing, and shows no progress."""
    executor = InlineExecutor()
    executor.begin(plan, lambda slot, stage, epoch, share: None)
    return executor
