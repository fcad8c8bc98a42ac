"""The comparison from end to end: processes of its own, a time limit, a table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_peers"
SMALL = [
    "fixed={backbone: 'tiny_net:branching', image_size: 32, batch_size: 16}",
    "free={unfreeze: {choice: [0.0, 1.0]}, head.epochs: {int: [1, 2]}, tune.epochs: {int: [1, 2]}}",
    "start=[{unfreeze: 1.0, head.epochs: 2, tune.epochs: 2}]",
    "finalists.k=0",
    "budget.trials=3",
]


def test_arms_run_once_each_and_are_compared(
    tmp_path: Path, small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where tiny_net is
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    out = tmp_path / "runs.jsonl"
    settings = [word for change in SMALL for word in ("--set", change)]
    words = ["--data", str(small_folder), "--weights", str(tmp_path), "--out", str(out), "--seconds", "45"]
    arms = ["--arms", "optuna_median", "ours", "--seeds", "3", "--plot", str(tmp_path / "plot.html")]
    command = [sys.executable, str(SCRIPT), *words, *arms, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peer, ours = (json.loads(line) for line in out.read_text().splitlines())

    assert (peer["arm"], ours["arm"]) == ("optuna_median", "ours")
    assert 44 < peer["seconds"] < 60
    for one in (peer, ours):
        assert one["seed"] == 3
        assert len(one["epochs"]) >= 4
        assert all(0 < seconds < 70 for seconds, _ in one["epochs"])
        assert 0.0 <= one["test_accuracy"] <= 1.0
        assert one["peak_bytes"] > 10**8
    assert "optuna_median: " in done.stdout.splitlines()[-1]
    assert (tmp_path / "plot.html").exists()

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert len(out.read_text().splitlines()) == 2
    assert again.stdout == done.stdout
