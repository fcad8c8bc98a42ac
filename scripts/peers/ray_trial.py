"""What Ray's worker does."""

from functools import cache
from typing import Any

import keras
from ray import tune

from peers.journal import Journal
from peers.setting import Setting
from peers.two_stages import Pictures, TwoStages
from search.config.trial_config import TrialConfig


class Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes and reports every epoch."""

    def __init__(self, config: TrialConfig, journal: Journal) -> None:
        super().__init__()
        self._config, self._journal, self._best = config, journal, float("inf")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note and report the epoch."""
        self._best = min(self._best, logs["val_loss"])
        self._journal.note(self._config, logs["val_loss"], self.model.get_weights())
        tune.report({"val_loss": logs["val_loss"], "best": self._best})


def train_trial(params: dict[str, Any], dumped: str) -> None:
    """Train a trial. The worker is kept from trial to trial and so imports TensorFlow once."""
    setting = Setting.load(dumped)
    config = setting.space.config(params)
    keras.utils.clear_session()
    report = Report(config, Journal(setting))
    TwoStages(config, setting, _pictures(dumped, config.image_size)).fit([report])


@cache
def _pictures(dumped: str, image_size_px: int) -> Pictures:
    setting = Setting.load(dumped)
    return Pictures(setting.images(image_size_px), setting.seed)
