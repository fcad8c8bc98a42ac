"""Arms: the ways to search that are compared. To try another one, add a line."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, PartialFixedSampler, TPESampler

from recorded.replay import MakeSampler
from search.config.read import read_space
from search.config.space import Space
from search.model.backbones import BACKBONES
from search.seeds import seed_for

# The arm that has what the code base has by default, and begins where the shipped spaces let a search begin.
OURS = "ours"
_SHIPPED = "cats_dogs_cpu"


@dataclass(frozen=True)
class Arm:
    """One way to search.

    Attributes:
        name: Its name.
        changes: What differs from the space file, `KEY=VALUE` each as for `--set`.
        make_sampler: Makes its samplers, where no setting can say what is wanted.
        starts: Whether it begins where the shipped spaces let a search begin.
    """

    name: str
    changes: Sequence[str] = ()
    make_sampler: MakeSampler | None = None
    starts: bool = False

    def space(self, file: Path, changes: Sequence[str]) -> Space:
        """Read its space.

        Args:
            file: The space file.
            changes: Changes that all arms share; its own go before them.

        Raises:
            SpaceError: The file or a change says what cannot be.
        """
        given = [*changes, *self.changes]
        space = read_space(str(file), given, BACKBONES).space
        if not self.starts:
            return space
        points = [
            {key: value for key, value in point.items() if key in space.dimensions}
            for point in _shipped_starts()
        ]
        return read_space(str(file), [*given, f"start={json.dumps(points)}"], BACKBONES).space


def tpe(
    good: float | None = 0.25, startup: int = 2, multivariate: bool = True, candidates: int = 24
) -> MakeSampler:
    """Give a maker of TPE samplers.

    Args:
        good: The share of the trials that counts as good, 25 trials at most; None for Optuna's own.
        startup: Trials before the first suggestion.
        multivariate: Whether dimensions are looked at together, else each by itself.
        candidates: Points of which the best is taken.
    """

    def make(space: Space, number: int, attempt: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", FutureWarning)
            return TPESampler(
                n_startup_trials=startup,
                gamma=None if good is None else lambda n: min(math.ceil(good * n), 25),
                n_ei_candidates=candidates,
                multivariate=multivariate,
                group=multivariate,
                constant_liar=True,
                seed=seed_for(space.seed, f"sampler, attempt {attempt}" if attempt else "sampler", number),
            )

    return make


def starting_at(points: Sequence[Mapping[str, Any]], then: MakeSampler) -> MakeSampler:
    """Give a maker whose first trials are at given points; what a point leaves out is suggested."""

    def make(space: Space, number: int, attempt: int) -> BaseSampler:
        sampler = then(space, number, attempt)
        return _with(points[number], sampler) if number < len(points) else sampler

    return make


def backbones_in_turn(rounds: int, then: MakeSampler) -> MakeSampler:
    """Give a maker whose first trials take one backbone after the other, so many times round."""

    def make(space: Space, number: int, attempt: int) -> BaseSampler:
        sampler, backbones = then(space, number, attempt), space.backbones
        if number >= rounds * len(backbones):
            return sampler
        return _with({"backbone": backbones[number % len(backbones)]}, sampler)

    return make


def _with(point: Mapping[str, Any], sampler: BaseSampler) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return PartialFixedSampler(dict(point), sampler)


def _shipped_starts() -> list[dict[str, Any]]:
    points = read_space(_SHIPPED, [], BACKBONES).space.start
    return [point.model_dump(by_alias=True, exclude_unset=True) for point in points]


# The middle of the grid: what a tutorial would recommend.
_MIDDLE = {"unfreeze": 1.0, "head.lr": 1e-3, "tune.lr_ratio": 0.3, "augment": 0.5}

SCHEDULERS = (
    Arm("random", ("sampler.name=random", "pruner.name=none")),
    Arm("tpe", ("sampler.name=tpe", "pruner.name=none")),
    Arm("tpe+median", ("sampler.name=tpe", "pruner.name=median")),
    Arm("tpe+hyperband", ("sampler.name=tpe", "pruner.name=hyperband")),
    Arm("asha", ("sampler.name=random", "pruner.name=successive_halving")),
    Arm("tpe+asha", ("sampler.name=tpe", "pruner.name=successive_halving")),
    Arm("ours without start"),
    Arm(OURS, starts=True),
)

SAMPLERS = (
    Arm("random", ("sampler.name=random",)),
    Arm("qmc", ("sampler.name=qmc",)),
    Arm("gp", ("sampler.name=gp",)),
    Arm("optuna tpe", make_sampler=tpe(None, 10, multivariate=False)),
    Arm("optuna group tpe", make_sampler=tpe(None, 10)),
    Arm("tpe one by one", make_sampler=tpe(multivariate=False)),
    Arm("tpe good 0.1", make_sampler=tpe(0.1)),
    Arm("tpe good 0.15", make_sampler=tpe(0.15)),
    Arm("tpe good 0.4", make_sampler=tpe(0.4)),
    Arm("tpe startup 4", make_sampler=tpe(startup=4)),
    Arm("tpe startup 8", make_sampler=tpe(startup=8)),
    Arm("tpe candidates 96", make_sampler=tpe(candidates=96)),
    Arm("tpe in turn 1", make_sampler=backbones_in_turn(1, tpe())),
    Arm("tpe in turn 3", make_sampler=backbones_in_turn(3, tpe())),
    Arm("tpe from middle", make_sampler=starting_at([_MIDDLE], tpe())),
    Arm("tpe from middle each", make_sampler=backbones_in_turn(1, starting_at([_MIDDLE] * 2, tpe()))),
    Arm(OURS),
)
