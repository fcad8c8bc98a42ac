"""Kept: the checkpoints that a study still needs, pinned so that a full store does not drop them."""

import re
from collections.abc import Iterable
from pathlib import Path

from search.scheduler.trial import Trial
from search.store.entries import Store
from search.store.pins import Pins


class Kept:
    """Pins the last checkpoint of every trial that may go on, or whose best weights are still asked for.

    Args:
        store: Where checkpoints are.
        owner: What tells the study from all others that use the store.
    """

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._pins = store, Pins(store.root, owner)

    def hold(self, trial: Trial, checkpoint: str) -> None:
        """Pin a trial's checkpoint in place of the one before."""
        self._pins.hold(_name(trial), [("checkpoints", checkpoint)])

    def release(self, trial: Trial) -> None:
        """Let a trial's checkpoint go when room is needed."""
        self._pins.release(_name(trial))

    def keep_only(self, trials: Iterable[Trial]) -> None:
        """Let all go but those of some trials."""
        names = {_name(trial) for trial in trials}
        for name in self._pins.names():
            if name not in names:
                self._pins.release(name)

    def is_too_much(self) -> bool:
        """Tell whether what is pinned passes the store's limit by itself."""
        return self._store.unpinned_bytes() < 0


def forget_pins(store: Path, study: str) -> None:
    """Let go of all that a study of a name pinned, which is discarded."""
    for file in (store / "pins").glob(f"{study}.*.json"):
        if is_of_study(file.name, study):
            Pins(store, file.stem).discard()


def is_of_study(file_name: str, study: str) -> bool:
    """Tell whether a file belongs to a study and not to one whose name begins with it: `NAME.UID.*`."""
    return re.fullmatch(r"[0-9a-f]{32}", file_name.removeprefix(f"{study}.").split(".")[0]) is not None


def _name(trial: Trial) -> str:
    return f"trial {trial.key}"
