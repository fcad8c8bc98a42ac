"""Callbacks: those of a trial, called in each stage as one `fit` calls them, and kept over a resume.

Epochs are counted on from stage 1 to stage 2, as with `fit(initial_epoch=...)`. What the callbacks hold is
part of the checkpoint. Their model is the standard one, as it is saved at the end: whole, with the stage's
optimizer, but not compiled.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from search.config.callbacks import KERAS
from search.errors import SpaceError
from search.model.network import Network
from search.training.callback_making import make_callback, of_two_rates
from search.training.callback_state import KeptCallback, State, bring_back, written
from search.training.export import standard_model
from search.training.schedule import is_scheduled
from search.training.segment import Segment


class StageCallbacks:
    """The callbacks of one trial while a stage trains; without any, nothing is done.

    Args:
        segment: The trial and the stage.
        network: The network that is trained.
        optimizer: The stage's optimizer.
        folder: Where the trial's callbacks write; None where they write nothing.
        steps: Steps an epoch.
    """

    def __init__(
        self,
        segment: Segment,
        network: Network,
        optimizer: keras.optimizers.Optimizer,
        folder: Path | None,
        steps: int,
    ) -> None:
        self._config, self._stage, self._steps = segment.config, segment.stage, steps
        self._network, self._optimizer, self._folder = network, optimizer, folder
        self._before = 0 if segment.stage == "head" else segment.head_epochs
        self._is_scheduled = is_scheduled(segment.config, segment.stage)
        self._logs: dict[str, float] = {}
        self._all: list[KeptCallback] = []

    @property
    def stops(self) -> bool:
        """Whether one of them has ended the stage."""
        return bool(self._all) and bool(self._model.stop_training)

    def begin(self, state: bytes) -> None:
        """Begin the stage.

        Args:
            state: What was kept at the end of the stage before; empty in the first one.
        """
        known = self._make(state)
        for kept, attributes in zip(self._all, known.attributes, strict=False):
            kept.take(attributes)
        self._call("set_model", self._model)
        self._call("set_params", self._params)
        self._call("on_train_begin", {})

    def resume(self, state: bytes) -> None:
        """Go to where a checkpoint of this stage was taken; the stage does not begin again."""
        known = self._make(state)
        for kept, attributes in zip(self._all, known.attributes, strict=True):
            kept.resume(self._model, self._params, attributes)

    def begin_epoch(self, number: int) -> float | None:
        """Begin an epoch, counted from 1 within the stage.

        Returns:
            The learning rate that it is to have; None for that of the settings.

        Raises:
            SpaceError: One of them does what cannot be kept.
        """
        self._call("on_epoch_begin", self._before + number - 1, {})
        return None if self._is_scheduled or not self._all else self._rate()

    def end_epoch(self, number: int, metrics: dict[str, float]) -> dict[str, float]:
        """End an epoch, which is validated by now.

        Returns:
            Its metrics, and where there are callbacks its learning rate, that of the last step.

        Raises:
            SpaceError: One of them does what cannot be kept.
        """
        if not self._all:
            return metrics
        metrics = {**metrics, "learning_rate": self._rate()}
        self._logs = dict(metrics)
        validated = {name[4:]: value for name, value in metrics.items() if name.startswith("val_")}
        self._call("on_test_begin", {})
        self._call("on_test_end", validated)
        self._call("on_epoch_end", self._before + number - 1, self._logs)
        return metrics

    def end(self) -> None:
        """End the stage."""
        self._call("on_train_end", self._logs)

    def state(self) -> bytes:
        """Give what is kept of them at a checkpoint; empty where there are none.

        Raises:
            SpaceError: One of them holds what cannot be stored.
        """
        if not self._all:
            return b""
        attributes = [kept.attributes() for kept in self._all]
        return State(attributes, {} if self._folder is None else written(self._folder)).to_bytes()

    @cached_property
    def _model(self) -> keras.Model:
        model = standard_model(self._network, self._config)
        model.optimizer, model.stop_training = self._optimizer, False
        return model

    @property
    def _params(self) -> dict[str, int]:
        last = self._before + self._config.epochs(self._stage)
        return {"verbose": 0, "epochs": last, "steps": self._steps}

    def _make(self, state: bytes) -> State:
        known = State.from_bytes(state)
        if self._folder is not None and self._config.callbacks:
            bring_back(self._folder, known.files)
        self._all = [_kept(setting, self._folder) for setting in self._config.callbacks]
        return known

    def _rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))

    def _call(self, hook: str, *arguments: Any) -> None:
        for kept in self._all:
            variable, rate = self._optimizer.learning_rate, self._rate()
            weights = [] if kept.name.startswith(KERAS) else self._weights()
            getattr(kept.callback, hook)(*arguments)
            self._check(kept.name, hook, variable, rate, weights)

    def _check(self, name: str, hook: str, variable: Any, rate: float, weights: list[np.ndarray]) -> None:
        """Refuse what a callback must not do, which only its call tells."""
        if variable is not self._optimizer.learning_rate:
            raise SpaceError(
                f"callbacks: {name} puts another object in place of the learning rate; set it to a number."
            )
        if self._is_scheduled and self._rate() != rate:
            raise SpaceError(f"callbacks: {name} {of_two_rates(self._stage)}")
        if any(not np.array_equal(old, new) for old, new in zip(weights, self._weights(), strict=False)):
            raise SpaceError(
                f"callbacks: {name} changes weights in {hook}, but an epoch is stored and measured as the "
                "program trained it; leave the weights as they are."
            )

    def _weights(self) -> list[np.ndarray]:
        return [np.array(variable) for variable in self._model.variables]


def files_of(root: Path, segment: Segment) -> Path | None:
    """Give the folder of a trial's files, which its run gets; None where its callbacks write nothing."""
    return None if segment.files is None else root / "files" / segment.files


def folder_of(root: Path, segment: Segment) -> Path | None:
    """Give the folder in it in which the callbacks write, under whose name the run shows them."""
    files = files_of(root, segment)
    return None if files is None else files / "callbacks"


def _kept(setting: dict[str, dict[str, Any]], folder: Path | None) -> KeptCallback:
    callback = make_callback(setting, folder)
    if isinstance(callback, keras.callbacks.EarlyStopping):
        # Of every trial the program keeps the weights of the best epoch, which this would keep twice.
        callback.restore_best_weights = False
    (name,) = setting
    return KeptCallback(name, callback)
