"""Checkpoint: the state of a trial at an epoch of a stage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_ARRAYS = "arrays.npz"
_FACTS = "facts.json"

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Going on takes the running weights; the next stage and the final model take the best ones.

    Attributes:
        running: The variables that the stage trains, as they are.
        optimizer: The optimizer's variables, in its own order.
        dropout: The state of the dropout's random numbers, `(2,)`.
        best: The variables that differ from the pretrained ones, as they were after the best epoch so far.
        best_value: The objective after that epoch.
        best_stage: Its stage.
        best_epoch: Its number within the stage, from 1.
        callbacks: The state of the trial's callbacks; empty where it has none.
    """

    running: Arrays
    optimizer: tuple[np.ndarray, ...]
    dropout: np.ndarray
    best: Arrays
    best_value: float
    best_stage: str
    best_epoch: int
    callbacks: bytes = b""

    @property
    def n_bytes(self) -> int:
        """The size of its arrays."""
        arrays = [*self.running.values(), *self.optimizer, *self.best.values()]
        return sum(array.nbytes for array in arrays) + len(self.callbacks)

    def save(self, folder: Path) -> None:
        """Write the checkpoint into an empty folder."""
        arrays = {f"running/{name}": value for name, value in self.running.items()}
        arrays |= {f"best/{name}": value for name, value in self.best.items()}
        arrays |= {f"optimizer/{i:06}": value for i, value in enumerate(self.optimizer)}
        arrays["callbacks"] = np.frombuffer(self.callbacks, np.uint8)
        np.savez(folder / _ARRAYS, dropout=self.dropout, **arrays)  # type: ignore[arg-type]
        facts = {"value": self.best_value, "stage": self.best_stage, "epoch": self.best_epoch}
        (folder / _FACTS).write_text(json.dumps(facts))

    @classmethod
    def load(cls, folder: Path) -> "Checkpoint":
        """Read a checkpoint from the folder of a store entry."""
        facts = json.loads((folder / _FACTS).read_text())
        with np.load(folder / _ARRAYS) as arrays:
            names = sorted(arrays.files)
            return cls(
                running=_below("running/", names, arrays),
                optimizer=tuple(_below("optimizer/", names, arrays).values()),
                dropout=arrays["dropout"],
                best=_below("best/", names, arrays),
                best_value=facts["value"],
                best_stage=facts["stage"],
                best_epoch=facts["epoch"],
                callbacks=arrays["callbacks"].tobytes() if "callbacks" in names else b"",
            )


def _below(prefix: str, names: list[str], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): arrays[name] for name in names if name.startswith(prefix)}
