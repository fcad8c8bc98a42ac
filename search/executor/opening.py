"""Opening: the executor that a user asks for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from search.executor.devices import Workers, devices_for
from search.executor.executor import Executor
from search.executor.inline import InlineExecutor
from search.executor.processes import ProcessExecutor


@contextmanager
def opened(workers: Workers, gpus: Sequence[str] | None = None, gpu_share: float = 1.0) -> Iterator[Executor]:
    """Start workers, and end them with the block, however it ends.

    Args:
        workers: How many processes; `auto` for one a GPU; `inline` for none, but the driver's own.
        gpus: The GPUs to take, by number or UUID; None for all.
        gpu_share: The share of a GPU that each takes, in (0, 1].

    Raises:
        MachineError: The machine has not what is asked for.
    """
    executor: Executor
    if workers == "inline":
        executor = InlineExecutor()
    else:
        executor = ProcessExecutor(devices_for(workers, gpus, gpu_share))
    try:
        yield executor
    finally:
        executor.close()
