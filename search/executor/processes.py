"""Processes: workers on this machine, a process each, of which one can die or be ended without the others."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from search.config.trial_config import Stage
from search.errors import WorkerLost
from search.executor import process
from search.executor.answering import Answer
from search.executor.devices import Device
from search.executor.executor import SlotProgress
from search.executor.wear import Wear, most_bytes
from search.model.loading import environment
from search.training.worker import WorkerPlan

# Spawned, not forked: a fork of a process with threads may hang, and TensorFlow must not be loaded in it.
_SPAWN = multiprocessing.get_context("spawn")
_LONGEST_REAP_S = 5.0

_Tell = Callable[[Stage, int, float], None]


class ProcessExecutor:
    """One process a slot, each with a device of its own. They start to load Keras when this is made.

    A worker that died, was ended, or holds more than its share of the machine's memory is replaced at the
    slot's next call. Ctrl-C and SIGTERM reach the driver only, which then ends the workers.

    Args:
        devices: The slots' devices.
        most_memory_bytes: What a worker may hold before it is renewed; by default its share of the machine's.
    """

    def __init__(self, devices: Sequence[Device], most_memory_bytes: int | None = None) -> None:
        most = most_memory_bytes or most_bytes(len(devices))
        self._progress: SlotProgress = lambda slot, stage, epoch, share: None
        self._slots = [_Slot(device, most, self._tell(slot)) for slot, device in enumerate(devices)]

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        return len(self._slots)

    @property
    def pids(self) -> list[int]:
        """The process of each slot's worker."""
        return [slot.pid for slot in self._slots]

    def begin(self, plan: WorkerPlan, progress: SlotProgress) -> None:
        """Tell all workers what they work on."""
        self._progress = progress
        for slot in self._slots:
            slot.begin(plan)

    def submit(self, task: str, *arguments: Any, slot: int = 0) -> Future[Any]:
        """Call a method of `Worker` in a slot that is free."""
        return self._slots[slot].submit(task, arguments)

    def end(self, slot: int) -> None:
        """Kill a slot's worker."""
        self._slots[slot].kill()

    def close(self) -> None:
        """Kill all workers: what they were writing appears whole or not at all."""
        for slot in self._slots:
            slot.kill()
        for slot in self._slots:
            slot.close()

    def _tell(self, slot: int) -> _Tell:
        return lambda stage, epoch, share: self._progress(slot, stage, epoch, share)


class _Slot:
    """A pool of one process, and another one after that ended."""

    def __init__(self, device: Device, most_memory_bytes: int, tell: _Tell) -> None:
        self._device, self._most_bytes, self._tell = device, most_memory_bytes, tell
        self._plan: WorkerPlan | None = None
        self._start()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None, "it was started"
        return pid

    def begin(self, plan: WorkerPlan) -> None:
        self._plan = plan
        self._ask(process.begin, plan)

    def submit(self, task: str, arguments: tuple[Any, ...]) -> Future[Any]:
        asked = self._ask(process.call, task, arguments)
        answered: Future[Any] = Future()
        asked.add_done_callback(lambda done: self._answer(done, answered))
        return answered

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have the process do something, a new one where it ended."""
        if self._wear.is_over or not self._process.is_alive():
            self._renew()
        try:
            return self._pool.submit(function, *arguments)
        except BrokenProcessPool:  # it died just now
            self._renew()
            return self._pool.submit(function, *arguments)

    def _renew(self) -> None:
        self._pool.shutdown(wait=False)
        self._start()
        if self._plan is not None:
            self._pool.submit(process.begin, self._plan)

    def _start(self) -> None:
        self._wear = Wear(self._most_bytes)
        reader, writer = _SPAWN.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, _SPAWN, initializer=process.start, initargs=(writer,))
        before = set(multiprocessing.active_children())
        with _for_a_worker(self._device):
            self._pool.submit(process.prepare)
        (self._process,) = set(multiprocessing.active_children()) - before
        writer.close()  # the worker's end is its own: it closes when the worker ends
        threading.Thread(target=_listen, args=(reader, self._tell), name="listen", daemon=True).start()

    def _answer(self, done: Future[Answer], answered: Future[Any]) -> None:
        try:
            found = done.result()
        except (BrokenProcessPool, CancelledError):
            self._wear.died()
            answered.set_exception(WorkerLost(_ending(self._process)))
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            answered.set_exception(error)
        else:
            self._wear.called(found.memory_bytes)
            answered.set_result(found.value)


def _ending(worker: BaseProcess) -> str:
    """Say how a process ended."""
    worker.join(_LONGEST_REAP_S)
    code = worker.exitcode
    if code is None or code >= 0:
        return f"worker {worker.pid} ended with status {code}"
    name = signal.Signals(-code).name
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"worker {worker.pid} was ended by {name}{hint}"


def _listen(reader: Connection, tell: _Tell) -> None:
    """Pass on what a worker tells, until it ends."""
    with reader:
        while True:
            try:
                tell(*reader.recv())
            except (EOFError, OSError):
                return


@contextmanager
def _for_a_worker(device: Device) -> Iterator[None]:
    """Give the process that is started within its device, and signals that it does not hear.

    Both are inherited. The environment is set before the process begins, since what the user's main module
    imports there may load a library that looks for devices.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with environment(device.environment):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
