"""Workers in processes: what dies costs one call, and nothing outlives the driver."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue

import psutil
import pytest
from small_work import MakePlan, segment

from search.config.trial_config import Stage
from search.errors import WorkerLost
from search.executor import wear
from search.executor.answering import can_be_sent
from search.executor.devices import Device, Gpu
from search.executor.processes import ProcessExecutor

LONGEST_S = 10.0


@pytest.fixture(scope="module")
def two() -> Iterator[ProcessExecutor]:
    with closing(ProcessExecutor([Device(), Device()])) as made:
        yield made


@pytest.fixture
def executor(two: ProcessExecutor, make_plan: MakePlan, tmp_path: Path) -> ProcessExecutor:
    two.begin(make_plan(tmp_path), lambda *what: None)
    return two


def test_each_slot_tells_how_far_it_is(two: ProcessExecutor, make_plan: MakePlan, tmp_path: Path) -> None:
    told: Queue[tuple[int, Stage, int, float]] = Queue()
    two.begin(make_plan(tmp_path), lambda *what: told.put(what))
    for slot in (0, 1):
        two.submit("run", segment(head__lr=1e-3 * (1 + slot)), slot=slot)
    wanted: set[tuple[int, Stage, int, float]] = {(0, "head", 1, 1.0), (1, "head", 1, 1.0)}
    while wanted:
        wanted.discard(told.get(timeout=60))


def test_a_killed_worker_costs_its_call_and_a_new_one_gives_the_same_numbers(
    executor: ProcessExecutor,
) -> None:
    asked = segment("head", 2)
    before = executor.submit("run", segment("head", 1)).result()
    other, killed = executor.pids[1], executor.pids[0]
    future = executor.submit("run", segment("head", 40, head__epochs=40))
    os.kill(killed, signal.SIGKILL)

    with pytest.raises(WorkerLost, match=f"worker {killed} was ended by SIGKILL"):
        future.result(timeout=LONGEST_S)
    again = executor.submit("run", asked).result()
    assert again.epochs[0] == before.epochs[0]
    assert again.ran == {2}
    assert executor.pids[0] != killed
    assert executor.pids[1] == other


def test_a_worker_that_died_between_two_calls_is_not_missed(executor: ProcessExecutor) -> None:
    (pid, _) = executor.pids
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([ended], [], [], LONGEST_S)[0]

    assert executor.submit("run", segment()).result().epochs


def test_a_call_that_is_ended_leaves_the_other_slot_alone(executor: ProcessExecutor) -> None:
    hanging = executor.submit("run", segment("head", 500, head__epochs=500))
    other = executor.submit("run", segment("head", 1, head__lr=2e-3), slot=1)
    executor.end(0)

    with pytest.raises(WorkerLost):
        hanging.result(timeout=LONGEST_S)
    assert other.result().epochs


def test_workers_do_not_hear_what_a_terminal_or_a_scheduler_sends_to_all(executor: ProcessExecutor) -> None:
    future = executor.submit("run", segment("head", 3, head__epochs=3))
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(executor.pids[0], number)

    assert len(future.result().epochs) == 3


def test_a_worker_that_has_grown_too_large_is_renewed_after_some_calls(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wear, "_FEWEST_CALLS", 3)
    with closing(ProcessExecutor([Device()], most_memory_bytes=1)) as executor:
        executor.begin(make_plan(tmp_path), lambda *what: None)
        first = executor.pids
        found = [executor.submit("run", segment()).result().epochs for _ in range(3)]
        assert executor.pids == first
        found.append(executor.submit("run", segment()).result().epochs)

        assert executor.pids != first
        assert found == [found[0]] * 4


def test_the_device_is_chosen_before_the_process_begins() -> None:
    devices = [Device(Gpu(name, f"GPU-{name}", 80 << 30), 0.5) for name in ("3", "4")]
    before = dict(os.environ)
    with closing(ProcessExecutor(devices)) as executor:
        for pid, name in zip(executor.pids, ("3", "4"), strict=True):
            environment = psutil.Process(pid).environ()

            assert environment["CUDA_VISIBLE_DEVICES"] == name
            assert environment["SEARCH_GPU_MEMORY_BYTES"] == str(36 << 30)
            assert environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.450"
    assert dict(os.environ) == before


def test_closing_ends_a_worker_in_the_middle_of_a_call(make_plan: MakePlan, tmp_path: Path) -> None:
    executor = ProcessExecutor([Device()])
    executor.begin(make_plan(tmp_path), lambda *what: None)
    (pid,) = executor.pids
    future = executor.submit("run", segment("head", 500, head__epochs=500))
    executor.close()

    assert not psutil.pid_exists(pid)
    with pytest.raises(WorkerLost):
        future.result(timeout=LONGEST_S)


DRIVER = """
import os, sys, time
from search.executor.devices import Device
from search.executor.processes import ProcessExecutor

if __name__ == "__main__":
    print(*ProcessExecutor([Device(), Device()]).pids, flush=True)
    sys.stdin.readline()
"""


def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    with subprocess.Popen([sys.executable, script], stdin=-1, stdout=-1, text=True) as driver:
        assert driver.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
        driver.kill()
    began = time.monotonic()
    _, alive = psutil.wait_procs(workers, timeout=LONGEST_S)

    assert len(workers) == 2
    assert not alive, f"after {time.monotonic() - began:.0f} s"


def test_an_exception_that_cannot_be_made_again_elsewhere_is_noticed() -> None:
    class Odd(Exception):
        def __init__(self, code: int, message: str) -> None:
            super().__init__(message)

    assert can_be_sent(ValueError("plain"))
    assert not can_be_sent(Odd(1, "two arguments, of which one is kept"))
