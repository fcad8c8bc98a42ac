"""Ray Tune: ASHA with OptunaSearch: python -m peers.ray_peer SETTING"""

import os
import sys
from pathlib import Path

import optuna
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from peers.ray_trial import TwoStageTrial
from peers.setting import Setting
from search.scheduler.distributions import suggest


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
    trial = tune.with_parameters(TwoStageTrial, dumped=dumped)
    done = tune.Tuner(
        tune.with_resources(trial, {"cpu": os.cpu_count()}),
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
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    # it searches until it is ended, so it is here only where a trial failed
    print(*done.errors, file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
