"""Devices: which GPU each slot has, chosen before any library looks for one."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from search.errors import MachineError
from search.model.loading import GPU_MEMORY_BYTES

_JAX_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
# The rest of a GPU's memory goes to what CUDA itself needs, a few hundred megabytes a process.
_USABLE = 0.9

Workers = int | Literal["auto", "inline"]


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        name: What `CUDA_VISIBLE_DEVICES` calls it, a number.
        uuid: What it is called there too.
        memory_bytes: Its memory.
    """

    name: str
    uuid: str
    memory_bytes: int


@dataclass(frozen=True)
class Device:
    """What a slot computes on.

    Attributes:
        gpu: The GPU; None for the processor.
        share: The share of the GPU's memory that it may take, 1 for as much as it needs.
    """

    gpu: Gpu | None = None
    share: float = 1.0

    @property
    def environment(self) -> dict[str, str]:
        """What must stand in a process's environment before it loads TensorFlow or JAX."""
        return {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu.name, **self.limits}

    @property
    def limits(self) -> dict[str, str]:
        """What of that limits the memory."""
        if self.gpu is None or self.share == 1:
            return {}
        part = _USABLE * self.share
        return {GPU_MEMORY_BYTES: str(int(part * self.gpu.memory_bytes)), _JAX_FRACTION: f"{part:.3f}"}


def workers_of(text: str) -> Workers:
    """Read how many workers there are to be.

    Raises:
        MachineError: It is neither a number from 1, nor `auto` or `inline`.
    """
    if text == "auto":
        return "auto"
    if text == "inline":
        return "inline"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise MachineError(f"--workers: {text!r} is no number of processes; write one from 1, auto or inline.")


def share_of(text: str) -> float:
    """Read which share of a GPU a worker takes.

    Raises:
        MachineError: It is no number above 0 and at most 1.
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if 0 < share <= 1:
        return share
    raise MachineError(f"--gpu-share: {text!r} is no share of a GPU; write a number such as 0.5, at most 1.")


def devices_for(workers: int | Literal["auto"], names: Sequence[str] | None, share: float) -> list[Device]:
    """Give each worker its device.

    Args:
        workers: How many; `auto` for as many as the GPUs hold, 1 without a GPU.
        names: The GPUs to take; None for all that are visible.
        share: The share of a GPU that a worker takes, in (0, 1].

    Raises:
        MachineError: There is no such GPU, or there are more workers than the GPUs hold.
    """
    gpus = _chosen(visible_gpus(), names)
    if not gpus:
        if share < 1:
            raise MachineError("--gpu-share: this machine shows no GPU to share; leave it out.")
        return [Device()] * (1 if workers == "auto" else workers)
    most_each = int(1 / share + 1e-9)
    room = most_each * len(gpus)
    n_workers = room if workers == "auto" else workers
    if n_workers > room:
        raise MachineError(
            f"--workers: {n_workers} do not fit {len(gpus)} GPUs with {most_each} each; "
            f"write --workers {room}, or --gpu-share {len(gpus) / n_workers:.2g} for more workers a GPU."
        )
    return [Device(gpus[slot % len(gpus)], share) for slot in range(n_workers)]


def _chosen(gpus: Sequence[Gpu], names: Sequence[str] | None) -> list[Gpu]:
    if names is None:
        return list(gpus)
    by_name = {name: gpu for gpu in gpus for name in (gpu.name, gpu.uuid)}
    missing = [name for name in names if name not in by_name]
    if missing:
        there = f"it has {', '.join(gpu.name for gpu in gpus)}" if gpus else "it shows none"
        raise MachineError(f"--gpus: this machine has no GPU {', '.join(missing)}; {there}.")
    return [by_name[name] for name in names]


def visible_gpus() -> list[Gpu]:
    """List the GPUs that the driver of NVIDIA shows, and `CUDA_VISIBLE_DEVICES` leaves."""
    if shutil.which("nvidia-smi") is None:
        return []
    fields = "--query-gpu=index,uuid,memory.total"
    asked = ["nvidia-smi", fields, "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return []
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    gpus = [Gpu(index, uuid, int(mib) << 20) for index, uuid, mib in rows]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return gpus
    names = [name.strip() for name in visible.split(",")]
    return [gpu for gpu in gpus if gpu.name in names or gpu.uuid in names]
