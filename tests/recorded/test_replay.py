from collections.abc import Callable, Mapping
from typing import Any

import pytest
from optuna.samplers import BaseSampler, RandomSampler

from recorded.arms import backbones_in_turn, starting_at, tpe
from recorded.curves import Table
from recorded.replay import MakeSampler, Replay, replay
from search.config.space import Space
from search.seeds import seed_for

MakeTable = Callable[..., Table]
MakeSpace = Callable[..., Space]
UNPRUNED = ("sampler.name=random", "pruner.name=none")


def by_depth(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float:
    """Deep trainings are better by the first seed, by 0.01 an epoch; shallow ones by the second."""
    wins = (point.get("unfreeze") == 1.0) == (replicate == 0)
    return 1.0 if stage == "head" else 0.5 - 0.01 * epoch * wins


@pytest.fixture
def searched(make_table: MakeTable, make_space: MakeSpace) -> Callable[..., Replay]:
    """Replay a study whose losses, changes and limits are chosen."""

    def search(loss: Any, *changes: str, **limits: Any) -> Replay:
        return replay(make_space(*changes), make_table(loss), **limits)

    return search


@pytest.mark.parametrize("pruner", ["promote", "median", "hyperband", "successive_halving"])
def test_no_scheduler_sees_the_second_seed(searched: Callable[..., Replay], pruner: str) -> None:
    def other(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float:
        return by_depth(point, 0, stage, epoch) if replicate == 0 else 7.0 / epoch

    settings, seen = ("seed=3", f"pruner.name={pruner}"), []
    for loss in (by_depth, other):
        seen.append(searched(loss, *settings, most_trials=15))
    assert seen[0] == seen[1]
    assert seen[0].incumbents[-1].config.unfreeze == 1.0


def test_an_incumbent_is_the_best_value_so_far_and_since_when(searched: Callable[..., Replay]) -> None:
    found = searched(by_depth, *UNPRUNED, "free.unfreeze={choice: [1.0]}", most_trials=1)
    values = [incumbent.value for incumbent in found.incumbents]
    assert values == pytest.approx([1.0, 0.49, 0.48, 0.47])  # the second epoch of stage 1 is no better
    epochs = [(incumbent.head_epochs, incumbent.tune_epochs) for incumbent in found.incumbents]
    assert epochs == [(1, 0), (2, 1), (2, 2), (2, 3)]
    first, *_, last = found.incumbents
    assert last.since_s == found.seconds
    assert found.at(first.since_s - 1) is None
    assert found.at(first.since_s) is found.at(first.since_s + 1) is first
    assert found.at(last.since_s - 1) is found.incumbents[2]
    assert found.at(last.since_s + 1e9) is last


def test_a_study_ends_with_the_epoch_in_which_its_budget_does(searched: Callable[..., Replay]) -> None:
    whole = searched(by_depth, *UNPRUNED, most_trials=6)
    cut = searched(by_depth, *UNPRUNED, most_trials=6, most_s=0.5 * whole.seconds)
    assert cut.n_trials < whole.n_trials
    assert 0.5 * whole.seconds <= cut.seconds < whole.seconds
    assert cut.incumbents == whole.incumbents[: len(cut.incumbents)]


@pytest.mark.parametrize(("timed", "n_trials"), [(False, 2), (True, 1)])
def test_a_scheduler_that_knows_the_time_starts_nothing_that_it_cannot_show(
    searched: Callable[..., Replay], timed: bool, n_trials: int
) -> None:
    one_point = ("free.unfreeze={choice: [1.0]}", "free.backbone={choice: [mobilenet_025]}")
    first = searched(by_depth, *UNPRUNED, *one_point, most_trials=1)
    found = searched(by_depth, *UNPRUNED, *one_point, most_s=first.seconds + 1, timed=timed)
    assert found.n_trials == n_trials


def test_a_loss_that_is_not_finite_loses_the_trial_and_the_study_goes_on(
    searched: Callable[..., Replay],
) -> None:
    def lost(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float | None:
        diverges = stage == "tune" and epoch == 2 and point["unfreeze"] == 1.0
        return None if diverges else by_depth(point, 0, stage, epoch)

    shared = ("free.backbone={choice: [mobilenet_025]}", "free.augment={choice: [0.0]}")
    shared += ("free.tune.lr_ratio={choice: [0.1]}", "sampler.name=grid", "pruner.name=none")
    found = searched(lost, *shared)
    assert found.n_trials == 2
    # the epoch in which it was lost took its time, and no third one was trained
    whole = searched(by_depth, *shared)
    assert found.seconds == whole.seconds - 10
    assert found.incumbents[-1].value == pytest.approx(0.49)


def drawn(space: Space, number: int, attempt: int) -> BaseSampler:
    return RandomSampler(seed=seed_for(space.seed, f"sampler {attempt}", number))


BEST = {"backbone": "mobilenet_v2_035", "unfreeze": 1.0, "tune.lr_ratio": 0.3, "augment": 0.5}


@pytest.mark.parametrize("then", [drawn, tpe(startup=0), tpe(None, 1, multivariate=False)])
def test_a_competitor_may_bring_its_own_sampler(searched: Callable[..., Replay], then: MakeSampler) -> None:
    def by_point(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float:
        return 1.0 - 0.1 * sum(point.get(key) == value for key, value in BEST.items())

    settings = ("pruner.name=none", "seed=2")
    before = searched(by_point, *settings, most_trials=2)
    found = searched(by_point, *settings, most_trials=2, make_sampler=starting_at([BEST], then))
    assert found.incumbents[-1].config.flat().items() >= BEST.items()
    assert len(found.incumbents) == 2, "one in each stage of the first trial; the second is no better"
    assert found != before
    assert searched(by_point, *settings, most_trials=2) == before, "others keep what the product makes"


@pytest.mark.parametrize("seed", range(3))
def test_backbones_may_be_taken_in_turn(searched: Callable[..., Replay], seed: int) -> None:
    def by_backbone(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float:
        return 1.0 if point["backbone"] == "mobilenet_025" else 0.5

    in_turn = backbones_in_turn(1, tpe())
    found = searched(by_backbone, f"seed={seed}", most_trials=2, make_sampler=in_turn)
    backbones = [incumbent.config.backbone for incumbent in found.incumbents]
    assert backbones == ["mobilenet_025", "mobilenet_v2_035"]
