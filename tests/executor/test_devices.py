"""Which GPU each slot has, by what the driver of NVIDIA shows."""

import os
import stat
from pathlib import Path

import pytest

from search.errors import MachineError
from search.executor.devices import Device, devices_for, share_of, workers_of

SMI = """#!/bin/sh
echo "0, GPU-aaa, 81559"
echo "1, GPU-bbb, 81559"
"""


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text(SMI)
    smi.chmod(smi.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def names(devices: list[Device]) -> list[str | None]:
    return [device.gpu.name if device.gpu else None for device in devices]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("workers", "gpus", "share", "expected"),
    [
        ("auto", None, 1.0, ["0", "1"]),
        ("auto", None, 0.5, ["0", "1", "0", "1"]),
        ("auto", ["1"], 1.0, ["1"]),
        ("auto", ["GPU-bbb"], 0.3, ["1"] * 3),
        (1, None, 1.0, ["0"]),
        (3, None, 0.5, ["0", "1", "0"]),
    ],
)
def test_workers_take_turns_on_the_gpus(
    workers: int, gpus: list[str] | None, share: float, expected: list[str]
) -> None:
    assert names(devices_for(workers, gpus, share)) == expected  # type: ignore[arg-type]


@pytest.mark.usefixtures("two_gpus")
def test_what_is_not_visible_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbb")
    assert names(devices_for("auto", None, 1.0)) == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert names(devices_for("auto", None, 1.0)) == [None]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("workers", "gpus", "share", "message"),
    [
        (8, None, 1.0, "--workers: 8 do not fit 2 GPUs with 1 each; write --workers 2, or --gpu-share 0.25"),
        ("auto", ["2"], 1.0, "--gpus: this machine has no GPU 2; it has 0, 1"),
    ],
)
def test_what_the_gpus_cannot_hold_is_refused(
    workers: int, gpus: list[str] | None, share: float, message: str
) -> None:
    with pytest.raises(MachineError, match=message):
        devices_for(workers, gpus, share)


def test_without_a_gpu_there_is_one_worker_or_as_many_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert devices_for("auto", None, 1.0) == [Device()]
    assert devices_for(3, None, 1.0) == [Device()] * 3
    with pytest.raises(MachineError, match="--gpus: this machine has no GPU 0; it shows none"):
        devices_for("auto", ["0"], 1.0)
    with pytest.raises(MachineError, match="--gpu-share: this machine shows no GPU"):
        devices_for("auto", None, 0.5)


def test_a_whole_gpu_has_no_limit_of_memory() -> None:
    assert Device().environment == {}


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_a_wrong_number_of_workers_is_refused(text: str) -> None:
    with pytest.raises(MachineError, match=r"--workers: .* write one from 1, auto or inline"):
        workers_of(text)


@pytest.mark.parametrize("text", ["0", "1.1", "-0.5", "nan", "half"])
def test_a_wrong_share_is_refused(text: str) -> None:
    with pytest.raises(MachineError, match=r"--gpu-share: .* write a number such as 0.5, at most 1"):
        share_of(text)


def test_what_is_right_is_read() -> None:
    assert [workers_of(text) for text in ("auto", "inline", "12")] == ["auto", "inline", 12]
    assert share_of("0.25") == 0.25
