"""Ray Tune: ASHA with OptunaSearch: python -m peers.ray_peer SETTING"""

import os
import sys
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from peers.setting import Setting
from search.scheduler.distributions import suggest


def train(params: dict[str, Any], dumped: str) -> None:
    """Train a trial in Ray's worker; the process that searches loads no Keras."""
    from peers.ray_trial import train_trial

    train_trial(params, dumped)


class Define:
    """Asks for the dimensions of the space; Ray writes it to disk with the state of the search."""

    def __init__(self, dumped: str) -> None:
        self._dumped = dumped

    def __call__(self, trial: optuna.Trial) -> None:
        """Ask a trial for every dimension that its point has."""
        suggest(Setting.load(self._dumped).space, trial)


def main(dumped: str) -> None:
    """Search until the process is ended."""
    setting = Setting.load(dumped)
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False, logging_level="error")
    found = OptunaSearch(
        Define(dumped),
        metric="best",
        mode="min",
        points_to_evaluate=setting.first_points,
        sampler=optuna.samplers.TPESampler(seed=setting.seed),
    )
    trainable = tune.with_resources(tune.with_parameters(train, dumped=dumped), {"cpu": os.cpu_count()})
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            metric="best",
            mode="min",
            search_alg=ConcurrencyLimiter(found, max_concurrent=1),
            scheduler=ASHAScheduler(max_t=setting.most_epochs, grace_period=1, reduction_factor=3),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(Path(setting.home) / "ray"),
            verbose=0,
            failure_config=tune.FailureConfig(fail_fast=True),
        ),
    ).fit()


if __name__ == "__main__":
    main(sys.argv[1])
