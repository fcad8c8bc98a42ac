import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / "scripts" / "bench_schedulers"), *options]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def made_up(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float:
    if stage == "head":
        return 0.9 - 0.05 * epoch
    return 0.8 - 0.1 * math.log(1 + epoch * point["unfreeze"] * point["tune.lr_ratio"]) - 0.01 * replicate


def test_all_schedulers_are_compared_and_nothing_heavy_is_loaded(
    table_file: Callable[..., Path], space_file: Path, tmp_path: Path
) -> None:
    table, page = table_file(made_up), tmp_path / "regret.html"
    options = ["--table", str(table), "--space", str(space_file), "--seeds", "2", "--trials", "3"]
    done = bench(*options, "--html", str(page))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    arms = ["random", "tpe", "tpe+median", "tpe+hyperband", "asha", "tpe+asha"]
    arms += ["ours without start", "ours"]
    assert [line.rpartition("  ")[0].split("  ")[0] for line in lines[3:11]] == arms
    assert all(len(line.split()) == 2 + 3 * 4 for line in (*lines[3:9], lines[10]))
    assert lines[11].startswith("median regret of ours at a quarter of the budget")
    assert "tpe+hyperband" in page.read_text()
    some = bench(*options, "--only", "ours", "--only", "random").stdout.splitlines()
    assert [line.split() for line in some[3:5]] == [lines[10].split(), lines[3].split()]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--only", "grind"], "--only: no arm is called 'grind'; there are random, tpe, "),
        (["--set", "fixed.dropout=0.5"], "Only what was recorded can be replayed"),
        (["--set", "sampler.nam=tpe"], "nam"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    table_file: Callable[..., Path], space_file: Path, options: list[str], sentence: str
) -> None:
    done = bench("--table", str(table_file()), "--space", str(space_file), *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_simulator_loads_nothing_that_trains() -> None:
    code = "import sys, recorded.comparison; print(*sys.modules)"
    path = f"{ROOT}:{ROOT / 'scripts'}"
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env={"PYTHONPATH": path})
    assert {"keras", "tensorflow", "jax", "mlflow", "plotly"} & set(done.stdout.split()) == set()
