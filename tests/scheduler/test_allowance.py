"""What is left of a study's epochs and seconds decides what starts."""

from collections.abc import Callable
from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import Stage
from search.scheduler.allowance import Allowance, Work
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch

MakeSpace = Callable[..., Space]
FREE: dict[str, Any] = {"dropout": {"float": [0.0, 0.5]}}
FIXED: dict[str, Any] = {"backbone": "a", "head.epochs": 2, "tune.epochs": 4}
PROMOTE: dict[str, Any] = {"name": "promote", "rungs": [1, 3], "long_shot_every": 0}


def by_number(trial: Trial, stage: Stage, epoch: int) -> float:
    """The later a trial, the worse."""
    return 0.5 + trial.number / 100 - (0.2 if stage == "tune" else 0.0)


@pytest.fixture
def space(make_space: MakeSpace) -> Space:
    return make_space(FREE, FIXED, pruner=PROMOTE)


def learned(space: Space, *epochs: tuple[str, float, Stage, float]) -> Allowance:
    """An allowance of 100 s that knows epochs: backbone, depth, stage, seconds."""
    allowance = Allowance(None, lambda: 100.0)
    for name, depth, stage, seconds in epochs:
        config = space.config({"backbone": name, "unfreeze": depth})
        allowance.learn(Trial(0, Proposal(config, {}, {}), 0), Epoch(stage, 1, {}, seconds, 1.0, 0))
    return allowance


@pytest.mark.parametrize(
    ("name", "depth", "stage", "seconds"),
    [
        ("a", 0.5, "tune", 15.0),
        ("a", 1.0, "tune", 40.0),
        # of no known depth: the median over all depths of the backbone
        ("a", 0.25, "tune", 20.0),
        # stage 1 is the same whatever comes after it
        ("a", 0.25, "head", 1.0),
        ("b", 0.5, "tune", 0.0),
        ("b", 0.5, "head", 0.0),
    ],
)
def test_work_takes_what_epochs_of_its_kind_took(
    make_space: MakeSpace, name: str, depth: float, stage: Stage, seconds: float
) -> None:
    space = make_space({**FREE, "backbone": {"choice": ["a", "b"]}}, {})
    allowance = learned(
        space,
        ("a", 0.5, "tune", 10.0),
        ("a", 0.5, "tune", 20.0),
        ("a", 1.0, "tune", 40.0),
        ("a", 1.0, "head", 1.0),
        ("a", 1.0, "tune", 0.0),
    )
    work = Work(space.config({"backbone": name, "unfreeze": depth}), stage, 2)

    assert allowance.seconds_of([work, work]) == pytest.approx(4 * seconds)
    assert allowance.covers([work], []) == (2 * seconds <= 100.0)


def test_a_trial_that_cannot_reach_its_first_rung_in_time_does_not_start(
    space: Space, fake_study: Any
) -> None:
    study = fake_study(space, by_number, time_s=5.5)
    for _ in range(2):
        trial = study.begin()
        while trial.state == "running":
            study.step(trial)
    # 1.5 s are left, and a head takes 2 s; the best of those that wait has time for one epoch, not for two
    assert study.begin() is study.trials[0]
    assert len(study.trials) == 2


def test_time_is_kept_to_bring_the_best_trial_to_its_end(space: Space, fake_study: Any) -> None:
    whole = fake_study(space, by_number, time_s=60.0).run()
    assert whole.trials[0].state == "complete"
    assert len(whole.trials) > 20
    assert 0.0 <= whole.time_s < 2.0
    for time_s in range(12, 24):
        study = fake_study(space, by_number, time_s=float(time_s)).run()
        assert [trial.state for trial in study.trials].count("complete") == 1, time_s
        assert not any(trial.state == "running" for trial in study.trials), time_s


def test_with_too_little_time_for_any_the_leading_trial_goes_as_far_as_it_comes(
    space: Space, fake_study: Any
) -> None:
    # a whole trial takes 6 s; the second head was begun before anything was known of stage 2
    study = fake_study(space, by_number, time_s=5.0).run()
    assert [trial.state for trial in study.trials] == ["running", "paused"]
    assert study.time_s == 0.0
    assert study.scheduler.best() is study.trials[0]


def test_the_finalists_are_left_their_time_where_two_can_run(make_space: MakeSpace, fake_study: Any) -> None:
    for time_share, left_s in ((0.25, 15.0), (0.15, 0.0)):
        # a trial takes 6 s
        space = make_space(
            FREE, FIXED, pruner="none", budget={"timeout": "60s"}, finalists={"time_share": time_share}
        )
        study = fake_study(space, by_number, time_s=60.0).run()
        assert study.time_s == left_s, time_share


def test_epochs_are_kept_to_bring_the_best_trial_to_its_end(make_space: MakeSpace, fake_study: Any) -> None:
    for most in range(6, 30):
        space = make_space(FREE, FIXED, pruner=PROMOTE, budget={"epochs": most})
        study = fake_study(space, by_number).run()
        n_epochs = sum(trial.epochs_run for trial in study.trials)
        assert most - 2 < n_epochs <= most
        assert study.trials[0].state == "complete"
        broken = fake_study(space, by_number).run(most // 2).restarted().run()
        assert broken.table() == study.table()


def test_picture_passes_are_epochs_times_pictures(make_space: MakeSpace) -> None:
    def most(n_pictures: int, **budget: int) -> int | None:
        return make_space(FREE, FIXED, budget=budget).budget.most_epochs(n_pictures)

    assert most(100) is None
    assert most(100, picture_passes=999) == 9
    assert most(1000, picture_passes=999) == 0
    assert most(100, picture_passes=999, epochs=5) == 5
    space = make_space(FREE, FIXED, pruner="none", budget={"picture_passes": 900})
    scheduler = Scheduler(space, {}, [], 9, n_pictures=100)
    assert not scheduler.is_spent()
    scheduler.begin(Trial(0, Proposal(space.config({}), {}, {}), 0, epochs_run=9))
    assert scheduler.is_spent()


def test_a_running_trial_stays_running_where_the_epochs_are_spent(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, FIXED, pruner="none", budget={"epochs": 9})
    study = fake_study(space, by_number).run()
    assert [trial.state for trial in study.trials] == ["complete", "running"]
    assert study.scheduler.is_spent()


def test_a_recipe_that_cannot_come_to_its_end_in_time_does_not_start(space: Space, fake_study: Any) -> None:
    recipes = {name: space.config({"dropout": value}) for name, value in (("one", 0.1), ("two", 0.2))}
    study = fake_study(space, by_number, recipes, time_s=11.0).run()
    assert [trial.state for trial in study.trials] == ["complete"]
    assert study.time_s == 5.0


@pytest.mark.parametrize(("time_s", "first"), [(None, "the better"), (1e6, "the cheaper")])
def test_where_time_is_limited_the_cheaper_of_those_that_belong_on_goes_first(
    make_space: MakeSpace, fake_study: Any, time_s: float | None, first: str
) -> None:
    space = make_space({"unfreeze": {"choice": [0.5, 1.0]}, **FREE}, FIXED, pruner=PROMOTE)
    recipes = {f"{depth}": space.config({"unfreeze": depth}) for depth in (0.5, 1.0)}

    def cost(trial: Trial, stage: Stage) -> float:
        return {"head": 1.0, "tune": 10.0 + 40.0 * (trial.config.unfreeze == 1.0)}[stage]

    heights = dict.fromkeys(range(14), 0.9) | {0: 0.1, 1: 0.1}
    study = fake_study(space, lambda t, s, e: heights[t.number], recipes, time_s=time_s, cost=cost)
    # all start before the first of them is judged, so that two belong on when a slot is free
    trials = [study.begin() for _ in range(14)]
    deep, shallow = (next(t for t in trials[2:] if t.config.unfreeze == depth) for depth in (1.0, 0.5))
    heights |= {deep.number: 0.3, shallow.number: 0.4}
    for trial in sorted(trials, key=lambda trial: heights[trial.number]):
        while trial.state == "running":
            study.step(trial)

    assert [trial.state for trial in trials] == ["complete"] * 2 + ["paused"] * 12
    assert study.begin() is {"the better": deep, "the cheaper": shallow}[first]


def test_a_trial_over_its_time_is_pruned_with_the_reason(make_space: MakeSpace, fake_study: Any) -> None:
    for name in ("promote", "none"):
        space = make_space(FREE, FIXED, pruner=name, budget={"trial_timeout": "3s"})
        study = fake_study(space, by_number, most_trials=1).run()
        (trial,) = study.trials
        assert (trial.state, trial.stage, len(trial.epochs["tune"])) == ("pruned", "tune", 2)
        assert trial.reason == "budget.trial_timeout: 4 s of training, at most 3 s"
        assert not trial.closed


def test_a_trial_that_is_complete_is_not_over_its_time(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space(FREE, FIXED, pruner="none", budget={"trial_timeout": "5s"})
    assert fake_study(space, by_number, most_trials=1).run().trials[0].state == "complete"


@pytest.mark.parametrize(("stagnation", "n_trials"), [(None, 9), (3, 5), (1, 3)])
def test_a_study_stops_when_so_many_trials_in_a_row_were_no_better(
    make_space: MakeSpace, fake_study: Any, stagnation: int | None, n_trials: int
) -> None:
    heights = [0.9, 0.8, *([0.85] * 20)]
    space = make_space(FREE, FIXED, pruner="none", budget={"stagnation": stagnation})
    study = fake_study(space, lambda t, s, e: heights[t.number], most_trials=9).run()
    assert len(study.trials) == n_trials


def test_a_promoting_study_that_stops_brings_its_best_trial_to_its_end(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, FIXED, pruner=PROMOTE, budget={"stagnation": 4})
    study = fake_study(space, by_number, most_trials=20).run()
    assert len(study.trials) == 5
    assert study.trials[0].state == "complete"
