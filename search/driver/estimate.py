"""Estimate: what a study will take in time and disk, before it takes it."""

from dataclasses import dataclass
from statistics import mean
from typing import Any

from search.config.dimensions import PerBackbone
from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.data.table import DataSet
from search.driver.limits import Limits, measured_by
from search.driver.request import Request
from search.executor.executor import ask
from search.executor.inline import inline
from search.training.segment import Cost
from search.training.worker import WorkerPlan

# A training step goes forward through all, and back through what is unfrozen at about twice the cost of
# going forward (Kaplan et al. 2020, section 2.1).
_BACKWARD = 2.0

# Loading Keras, building and compiling, MLflow's start and the final evaluation: measured on two cores.
_START_S = 30.0
_COMPILE_S = 12.0

_FLOAT_BYTES = 4
# A checkpoint of stage 2: running and best weights, and Adam's two moments.
_COPIES = 4


@dataclass(frozen=True)
class Estimate:
    """What a study will take.

    Attributes:
        costs: What each backbone costs on this machine.
        trials: How many trials the study has in all; None for no limit.
        seconds: Of all trials, or of one where there is no limit; nothing is taken off for pruning.
        finalists_s: Of the finalists on their fresh seeds, if none stops early; not part of `seconds`.
        timeout_s: The wall time it may take, None for no limit.
        disk_bytes: What it leaves in the home.
    """

    costs: dict[str, Cost]
    trials: int | None
    seconds: float
    finalists_s: float
    timeout_s: float | None
    disk_bytes: float


def estimate(request: Request, data: DataSet) -> Estimate:
    """Estimate a study from one timed forward pass of each backbone; nothing is trained.

    Raises:
        SpaceError: No backbone keeps the space's constraints.
    """
    space, options = request.file.space, request.options
    plan = WorkerPlan(data, space.data.draw_seed, options.home / "store", options.weights, space.reuse)
    executor = inline(plan)
    Limits(space, {}, measured_by(executor), note=lambda network, size: None).check()
    configs = {name: _typical(space, name) for name in space.backbones}
    costs = {name: ask(executor, "cost", config) for name, config in configs.items()}
    trials, recipes = space.budget.trials, list(request.recipes.values())
    a_trial = mean(_trial_seconds(configs[name], costs[name], data) for name in space.backbones)
    seconds = a_trial
    if trials is not None:
        by_recipes = [_trial_seconds(config, costs[space.backbones[0]], data) for config in recipes]
        compiled = _COMPILE_S * 2 * len(space.backbones)
        shared = _START_S + compiled + _features_seconds(space, costs, data)
        seconds = shared + sum(by_recipes) + max(0, trials - len(recipes)) * a_trial
    finalists_s = space.finalists.k * space.finalists.seeds * a_trial
    disk = _disk_bytes(space, configs, costs, data, trials or 0)
    return Estimate(costs, trials, seconds, finalists_s, space.budget.timeout_s, disk)


def _typical(space: Space, backbone: str) -> TrialConfig:
    """The config in the middle of the space."""
    settings: dict[str, Any] = {"backbone": backbone}
    for key, dimension in space.dimensions.items():
        found = dimension.of(backbone) if isinstance(dimension, PerBackbone) else dimension
        if key == "backbone" or found is None:
            continue
        grid = found.values()
        if grid:
            settings[key] = grid[len(grid) // 2]
        else:
            middle = mean(float(end) for end in found.ends())
            whole = all(isinstance(end, int) for end in found.ends())
            settings[key] = round(middle) if whole else middle
    return space.config(settings)


def _trial_seconds(config: TrialConfig, cost: Cost, data: DataSet) -> float:
    """The time of stage 2; stage 1 trains on features, which are computed once for all trials."""
    n_train, n_validation = (len(data.indices(split)) for split in ("train", "validation"))
    depth = config.unfreeze if isinstance(config.unfreeze, float) else 0.5
    epoch_s = cost.seconds_a_picture * (n_train * (1 + _BACKWARD * depth) + n_validation)
    return epoch_s * config.tune_epochs if config.tunes else 0.0


def _features_seconds(space: Space, costs: dict[str, Cost], data: DataSet) -> float:
    n_pictures = len(data.indices("train")) * _draws(space) + len(data.indices("validation"))
    return sum(cost.seconds_a_picture * n_pictures for cost in costs.values())


def _draws(space: Space) -> int:
    """The draws that a study can come to: one without augmentation, some with each strength."""
    augment = space.dimensions.get("augment")
    strengths = len(getattr(augment, "values", list)() or [0]) if augment else 1
    return 1 + (strengths - 1) * space.reuse.n_draws


def _disk_bytes(
    space: Space, configs: dict[str, TrialConfig], costs: dict[str, Cost], data: DataSet, trials: int
) -> float:
    n_train, n_all = len(data.indices("train")), len(data.table)
    pictures = n_all * configs[space.backbones[0]].image_size ** 2 * 3
    features = sum(n_train * cost.width * _FLOAT_BYTES * _draws(space) for cost in costs.values())
    largest = max(cost.parameters for cost in costs.values())
    return pictures + features + trials * largest * _FLOAT_BYTES * _COPIES
