"""The command in processes of its own, and a small space for it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reading import epochs_trained

SPACE = """\
study: small
data: {source: small}
pruner: {name: median, startup_trials: 1}
sampler: {name: tpe, startup_trials: 2}
budget: {trials: 5}
finalists: {k: 0}
fixed: {backbone: mobilenet_025, weights: shapes, image_size: 32, batch_size: 16}
free:
  unfreeze: {float: [0.0, 1.0], step: 0.5}
  head.lr: {float: [1.0e-3, 1.0e-2], log: true}
  head.epochs: {int: [1, 3]}
  tune.lr_ratio: {float: [0.1, 1.0], log: true}
  tune.epochs: {int: [1, 3]}
  augment: {float: [0.0, 1.0], step: 0.5}
recipes: [short]
"""
RECIPE = """\
summary: a recipe that a test can wait for
fixed: {unfreeze: 1.0, head.lr: 3.0e-3, head.epochs: 2, tune.lr_ratio: 0.3, tune.epochs: 2, augment: 0.0}
"""
# Without the recipe the first trials are paused, since fewer than three have no best third.
PROMOTE = ("--set", "pruner={name: promote, rungs: [1, 2], long_shot_every: 3}", "--set", "recipes=[]")


# A network that is built and compiled in no time, where no test hangs on which it is
TINY = SPACE.replace("mobilenet_025, weights: shapes", '"tiny_net:branching", weights: imagenet')


@dataclass
class Command:
    """`python -m search.run` on a space file, with a home of its own; it finds `tiny_net`."""

    space: Path
    data: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    workers: str = "inline"

    @property
    def places(self) -> list[str]:
        return ["--study", str(self.space), "--data", str(self.data), "--home", str(self.home)]

    def options(self, *more: str) -> list[str]:
        return [*self.places, "--workers", self.workers, *more]

    def line(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "search.run", *self.options(*options)]

    def env(self) -> dict[str, str]:
        given = [place["PYTHONPATH"] for place in (self.environment, os.environ) if "PYTHONPATH" in place]
        modules = {"PYTHONPATH": os.pathsep.join([*given, str(Path(__file__).parents[1])])}
        return {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **self.environment, **modules}

    def run(self, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.line(*options),
            capture_output=True,
            text=True,
            env=self.env(),
            timeout=600,
            check=False,
            **more,
        )

    def summary(self, *options: str) -> dict[str, Any]:
        done = self.run("--json", *options)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 1, done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def kill_after(command: Command, options: tuple[str, ...], epochs: int, delay_s: float) -> bool:
    """Start a study and kill its process so many epochs and seconds later; False if it ended before."""
    before = epochs_trained(command.home)
    process = subprocess.Popen(
        command.line(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=command.env()
    )
    while process.poll() is None and epochs_trained(command.home) < before + epochs + 1:
        time.sleep(0.02)
    time.sleep(delay_s)
    if process.poll() is not None:
        return False
    process.kill()
    process.wait()
    return True
