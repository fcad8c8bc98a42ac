"""Measured: one run of an arm as a process: its epochs, its model's test figures, its memory."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from peers import ours
from peers.journal import read_epochs
from peers.setting import Setting

# An arm of this program ends by itself; this is how far past its time it may come
_GRACE = 1.5
_MEMORY_EVERY_S = 0.5

PEERS = {
    "optuna_median": ["-m", "peers.optuna_peer", "median"],
    "optuna_hyperband": ["-m", "peers.optuna_peer", "hyperband"],
    "keras_tuner": ["-m", "peers.keras_tuner_peer"],
    "ray_tune": ["-m", "peers.ray_peer"],
}
OURS = {"ours_without_reuse": ours.WITHOUT_REUSE, "ours": ()}
ARMS = (*PEERS, *OURS)


@dataclass(frozen=True)
class Measured:
    """What a run came to.

    Attributes:
        setting: Names the setting of the comparison.
        arm: The arm.
        seed: The seed.
        seconds: Wall time of the process.
        limit_s: The time that it had; epochs after it do not count.
        epochs: Seconds since the start of the process, and validation loss, of every epoch.
        test_loss: Of the model that the arm chose.
        test_accuracy: Of the same.
        peak_bytes: Most memory of the process and all that it started, summed.
    """

    setting: str
    arm: str
    seed: int
    seconds: float
    limit_s: float
    epochs: list[tuple[float, float]]
    test_loss: float
    test_accuracy: float
    peak_bytes: int

    def dump(self) -> str:
        """Write all fields as a line of JSON."""
        return json.dumps(asdict(self))

    @property
    def counted(self) -> list[tuple[float, float]]:
        """The epochs within the time."""
        return [(seconds, value) for seconds, value in self.epochs if seconds <= self.limit_s]

    @property
    def best(self) -> float:
        """The lowest validation loss within the time; infinity without an epoch."""
        return min((value for _, value in self.counted), default=float("inf"))

    def seconds_to(self, level: float) -> float | None:
        """How long it took to a validation loss; None where it was not reached."""
        return next((seconds for seconds, value in self.counted if value <= level), None)


def measure(name: str, arm: str, setting: Setting) -> Measured:
    """Run an arm.

    Raises:
        RuntimeError: It ended with an error.
    """
    home = Path(setting.home)
    home.mkdir(parents=True)
    words = [*PEERS[arm], setting.dump()] if arm in PEERS else ours.command(setting, OURS[arm])
    most_s = setting.seconds if arm in PEERS else setting.seconds * _GRACE
    with (home / "out.txt").open("wb") as out, (home / "err.txt").open("wb") as err:
        process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=err, env=_environment())
        peak_bytes = _watch(process, setting.started + most_s)
    seconds = time.time() - setting.started
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{arm} ended with {process.returncode}: {(home / 'err.txt').read_text()[-2000:]}")
    if arm in PEERS:
        epochs, test = read_epochs(home), _score(setting)
    else:
        epochs, test = (
            ours.epochs(home, setting.started),
            json.loads((home / "out.txt").read_text())["champion"],
        )
    figures = (test["test_loss"], test["test_accuracy"])
    return Measured(name, arm, setting.seed, seconds, setting.seconds, epochs, *figures, peak_bytes)


def _environment() -> dict[str, str]:
    scripts = Path(__file__).parents[1]
    given = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    paths = os.pathsep.join([str(scripts), str(scripts.parent), *given])
    return {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "2"}


def _watch(process: subprocess.Popen[bytes], until: float) -> int:
    """Wait for a process, end it and all that it started at a time, and give their most memory."""
    peak, tree = 0, [psutil.Process(process.pid)]
    while process.poll() is None and time.time() < until:
        tree = _tree(process.pid, tree)
        peak = max(peak, sum(_bytes(one) for one in tree))
        try:
            process.wait(min(_MEMORY_EVERY_S, max(0.0, until - time.time())))
        except subprocess.TimeoutExpired:
            continue
    for one in tree:
        if one.is_running():
            one.kill()
    process.wait()
    return peak


def _tree(pid: int, known: list[psutil.Process]) -> list[psutil.Process]:
    """The process and what it started, also what has lost its parent since."""
    try:
        now = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        now = []
    return list({one.pid: one for one in [*known, *now] if one.is_running()}.values())


def _bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _score(setting: Setting) -> dict[str, float]:
    words = [sys.executable, "-m", "peers.score", setting.dump()]
    done = subprocess.run(words, env=_environment(), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
