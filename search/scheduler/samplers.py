"""Samplers by name, made anew for every point: what they know is the study, not their past."""

import math
import warnings

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, BruteForceSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search.config.extras import check_sampler
from search.config.space import Space
from search.scheduler.distributions import all_distributions
from search.seeds import seed_for


def make_sampler(space: Space, number: int, attempt: int = 0) -> BaseSampler:
    """Make the sampler that proposes trial `number`, seeded by (study seed, number).

    Another attempt at the same trial has another seed.

    `grid` is Optuna's brute force sampler, which knows conditional dimensions and passes over what was tried.

    Raises:
        SpaceError: The sampler needs a library that is not installed.
    """
    purpose = f"sampler, attempt {attempt}" if attempt else "sampler"
    seed, startup = seed_for(space.seed, purpose, number), space.sampler.startup_trials
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # gamma has no successor yet; the project holds Optuna below 6, which removes it
        warnings.simplefilter("ignore", FutureWarning)
        match space.sampler.name:
            case "tpe":
                # group: conditional dimensions would otherwise fall out of the joint model
                return TPESampler(
                    n_startup_trials=startup,
                    gamma=_n_good,
                    multivariate=True,
                    group=True,
                    constant_liar=True,
                    seed=seed,
                )
            case "gp":
                check_sampler("gp")
                return GPSampler(
                    n_startup_trials=startup,
                    deterministic_objective=True,
                    seed=seed,
                    warn_independent_sampling=False,
                )
            case "qmc":
                return _Sequence(seed_for(space.seed, purpose), number, all_distributions(space))
            case "grid":
                return BruteForceSampler(seed=seed, avoid_premature_stop=True)
            case "random":
                return RandomSampler(seed=seed)


def _n_good(n_trials: int) -> int:
    """Count the trials that TPE takes for good ones.

    Optuna's tenth is a single trial until the eleventh, too little to see a direction in studies of tens of
    trials. With two fifths, the second best of three trials counted as good, and the search stayed with its
    backbone. 25 at most, as in Optuna.
    """
    return min(math.ceil(0.25 * n_trials), 25)


class _Sequence(QMCSampler):
    """A scrambled Sobol sequence over all dimensions, whose place is the trial's number.

    Optuna's own keeps its place in the stored study and takes the first trial's dimensions for all.
    """

    def __init__(self, seed: int, place: int, space: dict[str, BaseDistribution]) -> None:
        super().__init__(qmc_type="sobol", scramble=True, seed=seed, warn_independent_sampling=False)
        self._place, self._all = place, space

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Give all dimensions, whatever earlier trials had."""
        return self._all

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._place
