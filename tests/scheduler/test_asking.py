"""Points are asked of a study in memory, and none is asked twice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest

from search.config.space import Space
from search.config.trial_config import Stage
from search.scheduler.trial import Trial

MakeSpace = Callable[..., Space]
State = optuna.trial.TrialState


def _loss(trial: Trial, stage: Stage, epoch: int) -> float:
    return abs(trial.config.dropout - 0.3)


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
def test_no_point_comes_twice_while_others_are_left(
    make_space: MakeSpace, fake_study: Any, sampler: str
) -> None:
    free = {"dropout": {"float": [0.0, 0.4], "step": 0.1}, "unfreeze": {"choice": [0.5, 1.0]}}
    space = make_space(free, {"backbone": "a", "head.epochs": 1, "tune.epochs": 1}, sampler=sampler)
    study = fake_study(space, _loss, most_trials=8).run()
    assert len({trial.config for trial in study.trials}) == 8


def test_a_network_that_broke_a_constraint_is_asked_for_no_more(
    make_space: MakeSpace, fake_study: Any
) -> None:
    free = {"backbone": {"choice": ["a", "b"]}, "dropout": {"float": [0.0, 0.4]}}
    study = fake_study(make_space(free, {}, sampler="random"), _loss, most_trials=12)
    while (trial := study.begin()) is not None:
        over = 0.5 if trial.config.backbone == "b" else -0.5
        trial.proposal = replace(trial.proposal, constraints={"parameters": over})
        while trial.state == "running":
            study.end(trial, "pruned", "constraints") if over > 0 else study.step(trial)
    assert [trial.config.backbone for trial in study.trials].count("b") == 1


def test_a_point_that_comes_up_each_time_is_taken_again(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space({"dropout": {"choice": [0.1, 0.2]}}, {"backbone": "a"}, sampler="tpe")
    study = fake_study(space, _loss, most_trials=6).run()
    assert len(study.trials) == 6
    assert len({trial.config for trial in study.trials}) == 2


def test_a_point_at_which_the_search_begins_is_tried_even_if_a_recipe_had_it(
    make_space: MakeSpace, fake_study: Any
) -> None:
    free = {"dropout": {"choice": [0.1, 0.2]}}
    space = make_space(free, {"backbone": "a"}, start=[{"dropout": 0.2}])
    recipes = {"same": space.config({"dropout": 0.2})}
    study = fake_study(space, _loss, recipes, most_trials=3).run()
    assert [trial.config.dropout for trial in study.trials] == [0.2, 0.2, 0.1]


def test_tpe_keeps_away_from_points_that_break_a_constraint(make_space: MakeSpace, fake_study: Any) -> None:
    free = {"backbone": {"choice": ["a", "b"]}, "dropout": {"float": [0.0, 0.5]}}
    space = make_space(free, {"head.epochs": 1, "tune.epochs": 1}, sampler="tpe")
    study = fake_study(space, _loss, most_trials=30)
    while (proposal := study.scheduler.propose()) is not None:
        broken = proposal.config.backbone == "a"
        constraints = {"parameters": 0.5 if broken else -0.5}
        trial = Trial(len(study.trials), replace(proposal, constraints=constraints), 0)
        study.scheduler.begin(trial)
        if broken:
            study.end(trial, "pruned", "constraints")
        while trial.state == "running":
            study.step(trial)

    assert study.scheduler._asking.frozen(study.trials[0]).constraints
    assert sum(trial.config.backbone == "a" for trial in study.trials[10:]) <= 4


def test_where_trials_are_paused_one_without_stage_2_stands_beside_them(
    make_space: MakeSpace, fake_study: Any
) -> None:
    """Else TPE takes it for better than all that were paused, and the search stays with such."""
    free = {"unfreeze": {"choice": [0.0, 1.0]}, "head.lr": {"float": [1e-4, 1e-2], "log": True}}

    def tuning_helps(trial: Trial, stage: Stage, epoch: int) -> float:
        return 0.5 - (0.3 if stage == "tune" else 0.0) + trial.number / 1000

    for pruner, state in (("promote", State.PRUNED), ("none", State.COMPLETE)):
        space = make_space(free, {"backbone": "a"}, sampler="tpe", pruner=pruner)
        study = fake_study(space, tuning_helps, most_trials=30).run()
        frozen = [trial for trial in study.trials if not trial.config.tunes]
        assert {study.scheduler._asking.frozen(trial).state for trial in frozen} == {state}
        assert len(frozen) < 10
