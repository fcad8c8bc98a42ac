"""Dimensions as Optuna sees them, and configs made of what it suggests."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.config.dimensions import Choice, FloatRange, PerBackbone, Range
from search.config.space import Space
from search.config.trial_config import TrialConfig

Point = tuple[dict[str, Any], dict[str, BaseDistribution]]


def suggest(space: Space, trial: optuna.Trial) -> TrialConfig:
    """Ask a trial for every free dimension that its point has: none of `tune.*` where nothing is unfrozen."""
    settings: dict[str, Any] = {}
    for key in _keys_in_order(space):
        if key.startswith("tune.") and not space.config({**_first(space), **settings}).tunes:
            continue
        name, dimension = _named(space, key, settings)
        settings[key] = _ask(trial, name, dimension)
    return space.config(settings)


def params_of(space: Space, config: TrialConfig) -> Point | None:
    """Give the params and distributions of a config, or None where it is no point of the space.

    The number of draws is a setting of the study, not a dimension, and does not count.
    """
    settings = config.flat()
    if config.backbone not in space.backbones:
        return None
    same: dict[str, Any] = {"n_draws": config.n_draws}
    params, distributions = {}, {}
    for key in _keys_in_order(space):
        if key not in settings:
            continue
        name, dimension = _named(space, key, settings)
        if not dimension.holds(settings[key]):
            return None
        params[name], distributions[name] = settings[key], distribution_of(dimension)
        same[key] = settings[key]
    return (params, distributions) if space.config({**_first(space), **same}).flat() == settings else None


def names_of(space: Space, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give settings of a point, its backbone among them, the names that Optuna knows them by."""
    return {_named(space, key, dict(settings))[0]: value for key, value in settings.items()}


def in_order(space: Space, params: Mapping[str, Any]) -> list[str]:
    """List the names of params in the order in which they are suggested.

    A database gives them in another one, on which what samplers propose would depend.
    """
    keys = _keys_in_order(space)
    return sorted(params, key=lambda name: keys.index(name.partition("[")[0]))


def all_distributions(space: Space) -> dict[str, BaseDistribution]:
    """Give every distribution that a point of the space can have."""
    found: dict[str, BaseDistribution] = {}
    for backbone in space.backbones:
        for key in _keys_in_order(space):
            name, dimension = _named(space, key, {"backbone": backbone})
            found[name] = distribution_of(dimension)
    return found


def distribution_of(dimension: Range) -> BaseDistribution:
    """Give Optuna's distribution of a range. Its high end is on the grid: Optuna would move it and warn."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.choice)
    if isinstance(dimension, FloatRange):
        low, high = dimension.ends()
        return FloatDistribution(low, high, log=dimension.log, step=dimension.step)
    first, last = dimension.ends()
    return IntDistribution(first, last, log=dimension.log, step=dimension.step or 1)


def _keys_in_order(space: Space) -> list[str]:
    """List the dimensions, those on which others depend first."""
    return sorted(space.dimensions, key=lambda key: key not in ("backbone", "unfreeze"))


def _first(space: Space) -> dict[str, Any]:
    return {"backbone": space.backbones[0]}


def _named(space: Space, key: str, settings: dict[str, Any]) -> tuple[str, Range]:
    """Give a dimension its name in Optuna; one that differs by backbone is another one for each."""
    dimension = space.dimensions[key]
    if not isinstance(dimension, PerBackbone):
        return key, dimension
    backbone = str(settings.get("backbone", space.backbones[0]))
    found = dimension.of(backbone)
    assert found is not None, "the space was checked: each backbone has a range"
    return f"{key}[{backbone}]", found


def _ask(trial: optuna.Trial, name: str, dimension: Range) -> Any:
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, dimension.choice)
    if isinstance(dimension, FloatRange):
        low, high = dimension.ends()
        value = trial.suggest_float(name, low, high, log=dimension.log, step=dimension.step)
        return round(value, 12) if dimension.step else value
    first, last = dimension.ends()
    return trial.suggest_int(name, first, last, log=dimension.log, step=dimension.step or 1)
