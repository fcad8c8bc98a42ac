"""Plain Optuna with Keras and a pruner: python -m peers.optuna_peer median|hyperband SETTING"""

import sys

import keras
import optuna

from peers.journal import Journal
from peers.setting import Setting
from peers.two_stages import Pictures, TwoStages
from search.config.trial_config import TrialConfig
from search.scheduler.distributions import suggest


class Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports every epoch, counted over both stages, and ends the trial where the pruner says so."""

    def __init__(self, trial: optuna.Trial, config: TrialConfig, journal: Journal) -> None:
        super().__init__()
        self._trial, self._config, self._journal = trial, config, journal
        self.best = float("inf")
        self._step = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note and report the epoch."""
        self._step += 1
        self.best = min(self.best, logs["val_loss"])
        self._journal.note(self._config, logs["val_loss"], self.model.get_weights())
        self._trial.report(logs["val_loss"], self._step)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def main(pruner: str, setting: Setting) -> None:
    """Search until the process is ended."""
    journal, space = Journal(setting), setting.space
    pictures = Pictures(setting.images(space.config(setting.first_points[0]).image_size), setting.seed)

    def objective(trial: optuna.Trial) -> float:
        config = suggest(space, trial)
        keras.utils.clear_session()
        report = Report(trial, config, journal)
        TwoStages(config, setting, pictures).fit([report])
        return report.best

    pruners = {
        "median": optuna.pruners.MedianPruner(),
        "hyperband": optuna.pruners.HyperbandPruner(min_resource=1, max_resource=setting.most_epochs),
    }
    sampler = optuna.samplers.TPESampler(seed=setting.seed)
    study = optuna.create_study(sampler=sampler, pruner=pruners[pruner])
    for point in setting.first_points:
        study.enqueue_trial(point)
    study.optimize(objective)


if __name__ == "__main__":
    main(sys.argv[1], Setting.load(sys.argv[2]))
