"""A trial as Ray's worker runs it. The worker is kept from trial to trial, so it loads TensorFlow once."""

from functools import cache
from typing import Any

from ray import tune

from peers.setting import Setting


class TwoStageTrial(tune.Trainable):  # type: ignore[misc]
    """One epoch a step. Keras is loaded in the worker only."""

    def setup(self, config: dict[str, Any], dumped: str) -> None:
        """Begin a worker's first trial."""
        self._dumped = dumped
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin a trial, whatever the worker did before."""
        import keras

        from peers.journal import Journal
        from peers.two_stages import TwoStages

        setting = Setting.load(self._dumped)
        self._settings = setting.space.config(new_config)
        keras.utils.clear_session()
        pictures = _pictures(self._dumped, self._settings.image_size)
        self._journal, self._trial = Journal(setting), TwoStages(self._settings, setting, pictures)
        self._epochs, self._best = self._trial.train(), float("inf")
        self._left = sum(self._settings.epochs(stage) for stage in self._settings.stages)
        return True

    def step(self) -> dict[str, Any]:
        """Train an epoch."""
        value = next(self._epochs)
        self._left -= 1
        self._best = min(self._best, value)
        self._journal.note(self._settings, value, self._trial.model.get_weights())
        return {"val_loss": value, "best": self._best, "done": self._left == 0}


@cache
def _pictures(dumped: str, image_size_px: int) -> Any:
    from peers.two_stages import Pictures

    setting = Setting.load(dumped)
    return Pictures(setting.images(image_size_px), setting.seed)
