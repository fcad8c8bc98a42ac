"""The scheduler: recipes first, segments in order, steps, the best trial."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import Stage
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Trial
from search.training.segment import Epoch

MakeSpace = Callable[..., Space]
FREE: dict[str, Any] = {"unfreeze": {"choice": [0.0, 1.0]}, "head.epochs": {"int": [1, 3]}}
FIXED: dict[str, Any] = {"backbone": "a", "tune.epochs": 2}


def _falling(trial: Trial, stage: Stage, epoch: int) -> float:
    return 1.0 - epoch / 10 - (0.5 if stage == "tune" else 0.0)


def test_recipes_come_first_and_once(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space(FREE, FIXED)
    recipes = {
        "point": space.config({"unfreeze": 1.0, "head.epochs": 2, "n_draws": 9}),
        "other": space.config({"unfreeze": 0.25, "head.epochs": 2}),
    }
    study = fake_study(space, _falling, recipes, most_trials=4).run(5).restarted().run()

    assert [trial.proposal.recipe for trial in study.trials] == ["point", "other", None, None]
    assert study.trials[0].proposal.params == {"unfreeze": 1.0, "head.epochs": 2}
    assert study.trials[1].proposal.params == {}
    assert study.trials[1].config == recipes["other"]


def test_the_search_begins_at_the_named_points_and_draws_what_they_leave_out(
    make_space: MakeSpace, fake_study: Any
) -> None:
    dropout = {"per_backbone": {"a": {"float": [0.0, 0.5]}, "other": {"float": [0.0, 0.9]}}}
    free = {**FREE, "backbone": {"choice": ["a", "b"]}, "dropout": dropout}
    start = [{"unfreeze": 1.0, "dropout": 0.4}, {"backbone": "b", "dropout": 0.8}]
    space = make_space(free, {"tune.epochs": 2}, start=start)
    recipes = {"own": space.config({"backbone": "a", "unfreeze": 0.0})}
    study = fake_study(space, _falling, recipes, most_trials=9).run(4).restarted().run()

    configs = [trial.config for trial in study.trials]
    assert [(config.backbone, config.dropout) for config in configs[1:4]] == [
        ("a", 0.4),
        ("b", 0.4),
        ("b", 0.8),
    ]
    assert [config.unfreeze for config in configs[1:3]] == [1.0, 1.0]
    assert len({config.dropout for config in configs[4:]}) == 5
    other = fake_study(
        make_space(free, {"tune.epochs": 2}, start=start, seed=1), _falling, most_trials=3
    ).run()
    assert len({trial.config.head_epochs for trial in [*study.trials[1:4], *other.trials]}) > 1


def test_a_failed_recipe_is_not_tried_again(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space(FREE, FIXED)
    study = fake_study(space, _falling, {"own": space.config({})}, most_trials=2)
    study.end(study.begin(), "failed", "its loss is NaN")
    assert study.begin().proposal.recipe is None


def test_failed_trials_count_and_samplers_and_pruners_live_with_them(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space({**FREE, "dropout": {"float": [0.0, 0.5]}}, FIXED, sampler="tpe", pruner="median")
    study = fake_study(space, _falling, most_trials=20)
    for _ in range(5):
        failing = study.begin()
        study.step(failing)
        if failing.state == "running":
            study.end(failing, "failed", "its loss is NaN")
    study = study.restarted().run()

    assert len(study.trials) == 20
    assert study.scheduler.propose() is None


def test_segments_are_one_epoch_long_and_go_through_both_stages(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, FIXED, seed=7)
    study = fake_study(space, _falling, {"own": space.config({"head.epochs": 2, "unfreeze": 1.0})})
    trial, seen = study.begin(), []
    while (segment := study.scheduler.next_segment(trial)) is not None:
        seen.append((segment.stage, segment.after, segment.until, segment.head_epochs))
        study.step(trial)

    assert seen == [("head", 0, 1, 0), ("head", 1, 2, 1), ("tune", 0, 1, 2), ("tune", 1, 2, 2)]
    last = study.scheduler.last_segment(trial)
    assert (last.stage, last.after, last.until, last.head_epochs) == ("tune", 2, 2, 2)
    again = study.scheduler.segment_from_start(trial, "head")
    assert (again.stage, again.after, again.until) == ("head", 0, 2)
    assert (last.study_seed, last.owner, last.metric) == (7, None, "val_loss")


def test_without_reuse_a_segment_belongs_to_its_trial(make_space: MakeSpace, fake_study: Any) -> None:
    study = fake_study(make_space(FREE, FIXED, reuse={"enabled": False}), _falling)
    owners = [study.scheduler.next_segment(study.begin()).owner for _ in range(2)]
    assert owners == ["/0", "/1"]  # after the name that no other study has


WRITING = {"keras.callbacks.CSVLogger": {"filename": "log.csv"}}


def test_a_trial_whose_callbacks_write_has_a_folder_of_its_own(
    make_space: MakeSpace, fake_study: Any
) -> None:
    study = fake_study(make_space(FREE, FIXED, callbacks=[WRITING]), _falling)
    segments = [study.scheduler.next_segment(study.begin()) for _ in range(2)]
    assert [(segment.files, segment.owner) for segment in segments] == [
        ("small..0", None),
        ("small..1", None),
    ]
    again = replace(study.trials[0].proposal, repeats=0, replicate=2)
    assert study.scheduler.next_segment(Trial(0, again, 0)).files == "small..0.seed2"
    goes_on = Trial(2, replace(study.trials[1].proposal, continues=1), 0)
    assert study.scheduler.next_segment(goes_on).files == "small..1"

    quiet = make_space(FREE, FIXED, callbacks=[{"keras.callbacks.EarlyStopping": {}}])
    study = fake_study(quiet, _falling)
    assert study.scheduler.next_segment(study.begin()).files is None


def test_a_stage_that_a_callback_ends_is_over_for_the_scheduler_and_the_steps(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, FIXED)
    study = fake_study(space, _falling, {"own": space.config({"head.epochs": 3, "unfreeze": 1.0})})
    trial = study.begin()
    study.step(trial)
    stops = Epoch("head", 2, {"val_loss": 0.5}, 1.0, 1.0, 0, stops=True)
    assert study.scheduler.observe(trial, stops) is None
    assert len(study.scheduler.steps(trial, stops)) == 2  # its own, and the boundary after stage 1
    segment = study.scheduler.next_segment(trial)
    assert (segment.stage, segment.until, segment.head_epochs) == ("tune", 1, 2)
    study.step(trial)
    study.scheduler.observe(trial, replace(stops, stage="tune"))
    assert study.scheduler.next_segment(trial) is None


def test_a_stage_that_gets_no_better_ends_early_and_the_next_begins(
    make_space: MakeSpace, fake_study: Any
) -> None:
    def rising(trial: Trial, stage: Stage, epoch: int) -> float:
        return float(epoch)

    space = make_space({}, {"backbone": "a", "head.epochs": 5, "tune.epochs": 5, "patience": 2})
    (trial,) = fake_study(space, rising).run().trials

    assert [len(trial.epochs[stage]) for stage in ("head", "tune")] == [3, 3]
    assert trial.value("val_loss") == 1.0
    assert trial.outcome is not None
    assert (trial.outcome.stage, trial.outcome.epoch) == ("head", 1)


@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        ({"head.epochs": 3, "unfreeze": 1.0}, [4, 8, 12, 16, 20]),
        ({"head.epochs": 2, "unfreeze": 1.0}, [4, 8, 12, 16, 20]),
        ({"head.epochs": 1, "unfreeze": 1.0}, [4, 12, 16, 20]),
        ({"head.epochs": 1, "unfreeze": 0.0}, [4, 12]),
    ],
)
def test_every_trial_reports_where_its_stage_1_ended_at_one_step(
    make_space: MakeSpace, fake_study: Any, settings: dict[str, Any], reported: list[int]
) -> None:
    space = make_space(FREE, FIXED)
    study = fake_study(space, _falling, {"own": space.config(settings)})
    trial, steps = study.begin(), []
    while trial.state == "running":
        study.step(trial)
        epoch = trial.epochs[trial.stage][-1]
        steps += study.scheduler.steps(trial, epoch)

    assert sorted(steps) == reported
    assert len(steps) == len(set(steps))


def test_recipes_that_are_left_out_still_count_for_the_steps(make_space: MakeSpace) -> None:
    space = make_space(FREE, FIXED)

    assert Scheduler(space, {}, [], None).most_head == 3
    assert Scheduler(space, {"long": space.config({"head.epochs": 8})}, [], None).most_head == 8
    assert Scheduler(space, {}, [], None, most_head=8).most_head == 8


@pytest.mark.parametrize(("metric", "best"), [("val_loss", 1), ("val_accuracy", 2)])
def test_the_best_trial_is_the_first_of_the_best_complete_ones(
    make_space: MakeSpace, fake_study: Any, metric: str, best: int
) -> None:
    values = [0.5, 0.0, 0.9, 0.0, 0.9, -1.0, 2.0]

    def curve(trial: Trial, stage: Stage, epoch: int) -> float:
        return values[trial.number]

    free = {"dropout": {"float": [0.0, 0.5]}}
    space = make_space(free, {"backbone": "a"}, objective={"metric": metric})
    study = fake_study(space, curve, most_trials=5).run()
    study.most_trials = None
    study = study.restarted()
    for _ in range(2):
        trial = study.begin()
        study.step(trial)
        study.end(trial, "failed", "its loss is NaN")

    assert study.scheduler.best().number == best
    assert Scheduler(space, {}, [], None).best() is None
