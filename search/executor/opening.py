"""Opening: the executor that a user asks for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from search.errors import MachineError
from search.executor.devices import Workers, devices_for
from search.executor.executor import Executor
from search.executor.inline import InlineExecutor
from search.executor.processes import ProcessExecutor


@contextmanager
def opened(
    workers: Workers, gpus: Sequence[str] | None = None, gpu_share: float = 1.0, ray: str | None = None
) -> Iterator[Executor]:
    """Start workers, and end them with the block, however it ends.

    Args:
        workers: How many processes; `auto` for one a GPU; `inline` for none, but the driver's own.
        gpus: The GPUs to take, by number or UUID; None for all.
        gpu_share: The share of a GPU that each takes, in (0, 1].
        ray: The address of a Ray cluster on whose machines they run; None for this machine.

    Raises:
        MachineError: The machine, or the cluster, has not what is asked for.
    """
    executor = _executor(workers, gpus, gpu_share, ray)
    try:
        yield executor
    finally:
        executor.close()


def _executor(workers: Workers, gpus: Sequence[str] | None, gpu_share: float, ray: str | None) -> Executor:
    if ray is None:
        return (
            InlineExecutor()
            if workers == "inline"
            else ProcessExecutor(devices_for(workers, gpus, gpu_share))
        )
    if workers == "inline" or gpus is not None:
        raise MachineError("--ray: Ray chooses machines and GPUs; leave --gpus and --workers inline out.")
    try:
        from search.executor.cluster import ClusterExecutor
    except ModuleNotFoundError as error:
        raise MachineError("--ray needs the extra ray; install fine-tune-search[ray].") from error
    return ClusterExecutor(ray, workers, gpu_share)
