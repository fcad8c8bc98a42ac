"""Journal: what an arm has reached and when, and the weights of its best epoch, on disk at once."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from peers.setting import Setting
from search.config.trial_config import TrialConfig


@dataclass(frozen=True)
class Best:
    """The epoch with the lowest validation loss so far.

    Attributes:
        value: That loss.
        n: How many epochs were the best one before, and itself.
        settings: Those of its trial.
    """

    value: float
    n: int
    settings: dict[str, Any]

    def weights_of(self, home: Path) -> Path:
        """Give the file of its weights."""
        return home / f"best-{self.n}.npz"


class Journal:
    """Notes every epoch's value; an arm may be ended at any moment.

    Args:
        setting: The run; of two journals of one run the second goes on where the first one is.
    """

    def __init__(self, setting: Setting) -> None:
        self._home, self._started = Path(setting.home), setting.started
        self._best = read_best(self._home)

    def note(self, config: TrialConfig, value: float, weights: list[np.ndarray]) -> None:
        """Note an epoch's validation loss, and keep its weights where none was better."""
        with (self._home / "epochs.jsonl").open("a") as lines:
            lines.write(json.dumps({"seconds": time.time() - self._started, "value": value}) + "\n")
        if self._best is None or value < self._best.value:
            self._keep(Best(value, self._best.n + 1 if self._best else 1, dict(config.flat())), weights)

    def _keep(self, best: Best, weights: list[np.ndarray]) -> None:
        # written under a new name and named last, since the process may be killed in between
        np.savez(best.weights_of(self._home), *weights)
        draft = self._home / "best.draft"
        draft.write_text(json.dumps(asdict(best)))
        draft.replace(self._home / "best.json")
        if self._best is not None:
            self._best.weights_of(self._home).unlink()
        self._best = best


def read_best(home: Path) -> Best | None:
    """Read which epoch was the best; None where none is known."""
    path = home / "best.json"
    return Best(**json.loads(path.read_text())) if path.exists() else None


def read_epochs(home: Path) -> list[tuple[float, float]]:
    """Read seconds and validation loss of every epoch."""
    path = home / "epochs.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(row["seconds"], row["value"]) for row in rows]
