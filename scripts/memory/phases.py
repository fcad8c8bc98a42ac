"""Phases of a study over many pictures, each with its seconds and its peak of resident memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search.config.sections import Reuse
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet, image_set
from search.data.split import SplitRule
from search.data.table import DataSet, read_pictures
from search.model.weights import SHAPES_FILE
from search.store.entries import Store
from search.training.rows import Rows
from search.training.segment import Segment
from search.training.trainer import Trainer

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # of clear_refs, see proc(5)


@dataclass(frozen=True)
class Phase:
    """What a phase took.

    Attributes:
        name: Its name.
        seconds: Wall time.
        peak_bytes: The most memory that was resident at a time, pages of files that are mapped included.
    """

    name: str
    seconds: float
    peak_bytes: int


class Phases:
    """Measures phases one after the other.

    Args:
        home: Where the store is.
        px: Side of the pictures in the array.
        tunes: Whether an epoch of stage 2 follows.
    """

    def __init__(self, home: Path, px: int, tunes: bool) -> None:
        self.found: list[Phase] = []
        self._home, self._px, self._tunes = home, px, tunes
        self._store = Store(home / "store", Reuse().limit_bytes)

    def run(self, folder: Path) -> list[Phase]:
        """Read a folder of pictures, decode it, and train an epoch of each stage."""
        with self._measured("hash, check, split"):
            data = read_pictures(folder, SplitRule(), store=self._store)
        with self._measured("decode into the array"):
            images = image_set(data, self._px, 0, self._store)
        self._train(images)
        with self._measured("start again: hash, split, array"):
            self._again(folder, data)
        return self.found

    def _train(self, images: ImageSet) -> None:
        epochs = {"head.epochs": 1, "tune.epochs": 1, "batch_size": 64, "augment": 0.5, "n_draws": 1}
        settings = {"backbone": "mobilenet_025", "weights": "shapes", "image_size": self._px, **epochs}
        config = TrialConfig.model_validate(settings)
        rows = Rows(self._home / "epochs")
        trainer = Trainer(self._store, rows, lambda px: images, lambda config: SHAPES_FILE, draw_seed=0)
        with self._measured("one epoch of stage 1"):
            trainer.run(Segment(config, "head", 1, 0, 1, "val_loss", 0))
        if self._tunes:
            with self._measured("one epoch of stage 2, all unfrozen"):
                trainer.run(Segment(config, "tune", 1, 0, 1, "val_loss", 0))

    def _again(self, folder: Path, before: DataSet) -> None:
        store = Store(self._home / "store", Reuse().limit_bytes)
        data = read_pictures(folder, SplitRule(), store=store)
        image_set(data, self._px, 0, store)
        assert data.fingerprint == before.fingerprint, "the same pictures have another fingerprint"

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        _RESET.write_text(_RESET_PEAK)
        started = time.perf_counter()
        yield
        self.found.append(Phase(name, time.perf_counter() - started, resident_bytes("VmHWM")))


def resident_bytes(field: str = "VmRSS") -> int:
    """Give this process's resident memory, `VmRSS` now or `VmHWM` at its peak."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
