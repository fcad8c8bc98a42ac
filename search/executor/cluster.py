"""Cluster: workers on the machines of a Ray cluster, an actor a slot.

Ray places the actors and tells when one dies; it repeats nothing by itself, since the driver does.
"""

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.errors import MachineError, WorkerLost
from search.executor.answering import Answer, answer
from search.executor.devices import Device, visible_gpus
from search.executor.executor import SlotProgress
from search.executor.wear import Wear, most_bytes
from search.model.loading import load_keras
from search.training.worker import Worker, WorkerPlan

# What decides a worker's numbers beside its plan, and must be the same on all machines.
_DECIDING = ("KERAS_BACKEND", "OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS")


class ClusterExecutor:
    """One actor a slot, spread over the machines, each with its share of a GPU where there are any.

    How far an epoch is comes with its end, not on the way.

    Args:
        address: The cluster's, `HOST:PORT` of its head node, or `auto` for the one that this process runs in.
        workers: How many; `auto` for as many as the GPUs hold, without GPUs one a machine.
        gpu_share: The share of a GPU that each takes, in (0, 1].

    Raises:
        MachineError: There is no such cluster, or it has no room for the workers.
    """

    def __init__(self, address: str, workers: int | Literal["auto"], gpu_share: float) -> None:
        with _told(address):
            variables = {name: os.environ.get(name, "") for name in _DECIDING}
            environment = {"env_vars": {name: value for name, value in variables.items() if value}}
            ray.init(address=address, log_to_driver=False, logging_level="error", runtime_env=environment)
        has_gpus = ray.cluster_resources().get("GPU", 0) > 0
        share = gpu_share if has_gpus else 0.0
        n_workers = _fitting(address, workers, share)
        each_most = most_bytes(-(-n_workers // len(_nodes())))
        self._slots = [_Slot(share, each_most) for _ in range(n_workers)]

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        return len(self._slots)

    @property
    def hosts(self) -> Counter[str]:
        """How many workers each machine has, by its address."""
        return Counter(ray.get([slot.actor.host.remote() for slot in self._slots]))

    def begin(self, plan: WorkerPlan, progress: SlotProgress) -> None:
        """Tell all workers what they work on, after a look whether their machines see it.

        Raises:
            MachineError: A machine does not see the store, the pictures or the weights.
        """
        _check_places(plan)
        sent = ray.put(plan)
        for slot in self._slots:
            slot.begin(sent)

    def submit(self, task: str, *arguments: Any, slot: int = 0) -> Future[Any]:
        """Call a method of `Worker` in a slot that is free."""
        return self._slots[slot].submit(task, arguments)

    def end(self, slot: int) -> None:
        """Kill a slot's worker."""
        self._slots[slot].kill()

    def close(self) -> None:
        """Kill all workers and leave the cluster."""
        for slot in self._slots:
            slot.kill()
        ray.shutdown()


class _ClusterWorker:
    """What an actor does."""

    def __init__(self, share: float) -> None:
        # Ray has set which GPU it sees
        for gpu in visible_gpus()[:1]:
            os.environ.update(Device(gpu, share or 1.0).limits)
        self._worker: Worker | None = None

    def host(self) -> str:
        return str(ray.util.get_node_ip_address())

    def prepare(self) -> None:
        load_keras()

    def begin(self, plan: WorkerPlan) -> None:
        self._worker = Worker(plan, lambda stage, epoch, share: None)

    def call(self, task: str, arguments: tuple[Any, ...]) -> Answer:
        assert self._worker is not None, "begun first"
        return answer(self._worker, task, arguments)


class _Slot:
    """An actor, and another one after that died."""

    def __init__(self, share: float, most: int) -> None:
        self._share, self._most = share, most
        self._plan: Any = None
        self._start()

    def begin(self, plan: Any) -> None:
        self._plan = plan
        self.actor.begin.remote(plan)

    def submit(self, task: str, arguments: tuple[Any, ...]) -> Future[Any]:
        if self._wear.is_over:
            self.kill()
            self._start()
            self.begin(self._plan)
        answered: Future[Any] = Future()
        asked = self.actor.call.remote(task, arguments).future()
        asked.add_done_callback(lambda done: self._answer(done, answered))
        return answered

    def kill(self) -> None:
        ray.kill(self.actor, no_restart=True)

    def _start(self) -> None:
        self._wear = Wear(self._most)
        options = {"num_cpus": 1, "num_gpus": self._share, "scheduling_strategy": "SPREAD"}
        made = ray.remote(max_restarts=0, max_task_retries=0, **options)(_ClusterWorker)
        self.actor = made.remote(self._share)
        self.actor.prepare.remote()

    def _answer(self, done: Future[Answer], answered: Future[Any]) -> None:
        try:
            found = done.result()
        except RayTaskError as error:
            answered.set_exception(error.cause if isinstance(error.cause, Exception) else error)
        except RayError as error:
            self._wear.died()
            answered.set_exception(WorkerLost(_first_line(error)))
        else:
            self._wear.called(found.memory_bytes)
            answered.set_result(found.value)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".:")


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fitting(address: str, workers: int | Literal["auto"], share: float) -> int:
    """Say how many workers there are to be; Ray would wait for ever for room that a cluster has not."""
    has = ray.cluster_resources()
    n_cpus, n_gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
    room = min(n_cpus, n_gpus * int(1 / share + 1e-9)) if share else n_cpus
    wanted = (room if share else len(_nodes())) if workers == "auto" else workers
    if 0 < wanted <= room:
        return wanted
    raise MachineError(
        f"--workers: {wanted} do not fit the cluster at {address}, which has {n_cpus} CPUs and {n_gpus} "
        f"GPUs; write --workers {room} or fewer."
    )


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Tell in one line why there is no cluster."""
    try:
        yield
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise MachineError(
            f"--ray: there is no cluster at {address} ({_first_line(error)}); give HOST:PORT of its head "
            "node, and where it wants a token RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH."
        ) from error


def _check_places(plan: WorkerPlan) -> None:
    """Look from every machine at what all must see.

    Raises:
        MachineError: One does not see something.
    """
    plan.store.mkdir(parents=True, exist_ok=True)
    mark = plan.store / f".seen.{uuid.uuid4().hex}"
    mark.touch()
    first_picture = Path(plan.data.table["path"].iloc[0])
    places = {
        "--home": mark,
        "--data": first_picture,
        **({"--weights": plan.weights} if plan.weights else {}),
    }
    try:
        for node in _nodes():
            where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            look = ray.remote(num_cpus=0, scheduling_strategy=where)(_missing)
            for option in ray.get(look.remote(places)):
                shown = {**places, "--home": plan.store.parent, "--data": first_picture.parent}[option]
                raise MachineError(
                    f"{option}: {shown} is not seen from {node['NodeManagerAddress']}; "
                    "put it where all machines of the cluster find it under the same path."
                )
    finally:
        mark.unlink()


def _missing(places: dict[str, Path]) -> list[str]:
    return [option for option, place in places.items() if not place.exists()]
