"""kill -9 of the driver at random moments: the table is that of an undisturbed study, and little is lost."""

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command import Command
from reading import epochs_trained, table_of

pytestmark = pytest.mark.slow

KILLS = 5


def test_a_study_killed_five_times_equals_an_undisturbed_one(
    small_data: Path, small_space: Path, tmp_path: Path
) -> None:
    undisturbed = Command(small_space, small_data, tmp_path / "undisturbed")
    summary = undisturbed.summary("--trials", "8")
    killed = Command(small_space, small_data, tmp_path / "killed")
    moments = random.Random(7)
    n_killed = 0
    while n_killed < KILLS:
        # counted in finished epochs, so that a slow machine is killed at the same places
        if not kill_after(killed, epochs=moments.randint(0, 3), delay_s=moments.random() * 0.3):
            break
        n_killed += 1
    final = killed.summary("--trials", "8")
    assert n_killed == KILLS
    assert table_of(killed.home) == table_of(undisturbed.home)
    assert final["best"] == summary["best"]
    assert final["champion"]["test_loss"] == summary["champion"]["test_loss"]
    assert epochs_trained(killed.home) <= epochs_trained(undisturbed.home) + KILLS


def kill_after(command: Any, epochs: int, delay_s: float) -> bool:
    """Start the study and kill its process so many epochs later; False if it ended before."""
    import time

    before = epochs_trained(command.home)
    process = subprocess.Popen(
        command.line("--trials", "8"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=command.env()
    )
    while process.poll() is None and epochs_trained(command.home) < before + epochs + 1:
        time.sleep(0.02)
    time.sleep(delay_s)
    if process.poll() is not None:
        return False
    process.kill()
    process.wait()
    return True
