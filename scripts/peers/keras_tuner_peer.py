"""KerasTuner's Hyperband with both stages: python -m peers.keras_tuner_peer SETTING"""

import sys
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from peers.journal import Journal
from peers.setting import Setting
from peers.two_stages import Pictures, TwoStages
from search.config.dimensions import Choice, Dimension, FloatRange, PerBackbone
from search.config.trial_config import Stage, TrialConfig


class Note(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes every epoch."""

    def __init__(self, config: TrialConfig, journal: Journal) -> None:
        super().__init__()
        self._config, self._journal = config, journal

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note the epoch."""
        self._journal.note(self._config, logs["val_loss"], self.model.get_weights())


class TwoStageModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """Spends the epochs of a rung on both stages, in the share that the trial gives them.

    A trial that Hyperband takes further goes on in its last stage, from the best weights, which KerasTuner
    loads.
    """

    def __init__(self, setting: Setting, pictures: Pictures, journal: Journal) -> None:
        super().__init__()
        self._setting, self._pictures, self._journal = setting, pictures, journal

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the network of a point."""
        asked = {key: _ask(hp, key, dimension) for key, dimension in self._setting.space.dimensions.items()}
        if asked["unfreeze"] == 0:
            asked = {key: value for key, value in asked.items() if not key.startswith("tune.")}
        keras.utils.clear_session()
        self._trial = TwoStages(self._setting.space.config(asked), self._setting, self._pictures)
        return self._trial.model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        callbacks: list[keras.callbacks.Callback],
        epochs: int,
        initial_epoch: int,
        **kwargs: Any,
    ) -> dict[str, float]:
        """Train from one rung to the next."""
        trial, best = self._trial, _Best()
        watching = [best, Note(trial.config, self._journal), *callbacks]
        for stage, done, until in plan(trial.config, initial_epoch, epochs):
            trial.fit_stage(stage, done, until, watching)
        return {"val_loss": best.value}


class _Best(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.value = float("inf")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.value = min(self.value, logs["val_loss"])


def plan(config: TrialConfig, done: int, until: int) -> list[tuple[Stage, int, int]]:
    """Divide the epochs of a rung between the stages of a trial.

    The first rung gives each stage its share of the trial's own epochs; a later one goes on with the last
    stage, since one that was left is not taken up again. A trial whose epochs are all done gets one more.

    Returns:
        For each stage that trains: the stage, the epochs done before, and the epoch that it comes to.
    """
    last, n_last = config.stages[-1], config.epochs(config.stages[-1])
    before = _share_of_last(config, done)
    if done > 0 or last == "head":
        return [(last, min(before, n_last - 1), min(n_last, before + until - done))]
    of_last = _share_of_last(config, until)
    parts: list[tuple[Stage, int, int]] = [
        ("head", 0, min(until - of_last, config.head_epochs)),
        (last, 0, of_last),
    ]
    return [part for part in parts if part[2] > 0]


def _share_of_last(config: TrialConfig, epochs: int) -> int:
    whole = sum(config.epochs(stage) for stage in config.stages)
    return min(epochs, whole) * config.epochs(config.stages[-1]) // whole


class FirstPoints:
    """Gives the first points before anything is drawn; KerasTuner has no way of its own for that."""

    def __init__(self, tuner: keras_tuner.Hyperband, points: list[dict[str, object]]) -> None:
        self._draw, self._points, self._oracle = tuner.oracle._random_values, list(points), tuner.oracle
        tuner.oracle._random_values = self.values

    def values(self) -> dict[str, Any] | None:
        """Give the values of the next point."""
        if not self._points:
            drawn: dict[str, Any] | None = self._draw()
            return drawn
        point: dict[str, Any] = dict(self._points.pop(0))
        self._oracle._tried_so_far.add(self._oracle._compute_values_hash(point))
        return point


def _ask(hp: keras_tuner.HyperParameters, key: str, dimension: Dimension) -> Any:
    assert not isinstance(dimension, PerBackbone), "KerasTuner gets one range for all backbones"
    if isinstance(dimension, Choice):
        return hp.Choice(key, dimension.choice)
    low, high = dimension.ends()
    sampling = "log" if dimension.log else "linear"
    if isinstance(dimension, FloatRange):
        return hp.Float(key, low, high, step=dimension.step, sampling=sampling)
    return hp.Int(key, low, high, step=dimension.step or 1, sampling=sampling)


def main(setting: Setting) -> None:
    """Search until the process is ended."""
    space = setting.space
    pictures = Pictures(setting.images(space.config(setting.first_points[0]).image_size), setting.seed)
    tuner = keras_tuner.Hyperband(
        TwoStageModel(setting, pictures, Journal(setting)),
        objective=keras_tuner.Objective("val_loss", "min"),
        max_epochs=setting.most_epochs,
        hyperband_iterations=1000,
        seed=setting.seed,
        directory=str(Path(setting.home) / "tuner"),
        project_name="peer",
    )
    FirstPoints(tuner, setting.first_points)
    tuner.search(verbose=0)


if __name__ == "__main__":
    main(Setting.load(sys.argv[1]))
