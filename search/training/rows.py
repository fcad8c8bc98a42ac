"""Rows: the metrics of every epoch ever trained, by checkpoint key, kept for ever."""

import json
from dataclasses import replace
from pathlib import Path

from search.store.files import write_whole
from search.training.segment import Epoch


class Rows:
    """One small file an epoch, below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, key: str) -> Epoch | None:
        """Give the epoch that ends in this checkpoint, or None."""
        try:
            return Epoch.from_json(json.loads(self._file(key).read_text()))
        except FileNotFoundError:
            return None

    def put(self, key: str, epoch: Epoch) -> Epoch:
        """Keep an epoch. One that is there already keeps its seconds and its time and counts one run more."""
        known = self.get(key)
        kept = replace(known, runs=known.runs + 1) if known else epoch
        write_whole(self._file(key), json.dumps(kept.to_json()))
        return kept

    def runs(self) -> int:
        """Count the epochs that were trained, each as often as it was."""
        files = self._root.glob("*/*.json")
        return sum(json.loads(file.read_text())["runs"] for file in files)

    def _file(self, key: str) -> Path:
        return self._root / key[:2] / f"{key}.json"
