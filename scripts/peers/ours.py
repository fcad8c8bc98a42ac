"""This program as an arm: its command, and what its databases say of when it was where."""

import sqlite3
from pathlib import Path

from peers.setting import Setting

# What a run needs before its time begins, for imports and pictures, and after it, for the champion
RESERVE_S = 30.0

WITHOUT_REUSE = ("reuse.enabled=false", "pruner.name=median")


def command(setting: Setting, changes: tuple[str, ...]) -> list[str]:
    """Write the command of a run."""
    assigned = [word for change in (*setting.assignments, *changes) for word in ("--set", change)]
    where = ["--data", setting.data, "--weights", setting.weights, "--home", setting.home]
    limits = ["--seed", str(setting.seed), "--timeout", f"{setting.seconds - RESERVE_S:.0f}s"]
    plenty = ["--trials", "1000"]
    return ["-m", "search.run", "--study", setting.study, "--json", *where, *limits, *plenty, *assigned]


def epochs(home: Path, started: float) -> list[tuple[float, float]]:
    """Read seconds and validation loss of every epoch, of search and finalists, in the order of time."""
    with sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True) as database:
        # step 0 is before training
        wanted = "select timestamp, value from metrics where key = 'val_loss' and step > 0"
        rows = database.execute(wanted).fetchall()
    return sorted((time_ms / 1000 - started, value) for time_ms, value in rows)
