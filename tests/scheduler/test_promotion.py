"""Promotion by made-up curves: who goes on at a rung, who is paused, and who is taken up again."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import STAGES, Stage
from search.scheduler.trial import Trial

MakeSpace = Callable[..., Space]

FREE: dict[str, Any] = {"dropout": {"float": [0.0, 0.5]}}
FIXED: dict[str, Any] = {"backbone": "a", "head.epochs": 2, "tune.epochs": 4}
PROMOTE: dict[str, Any] = {"name": "promote", "rungs": [1, 3], "long_shot_every": 0}
PROMOTE |= {"head_reduction_factor": 3, "reduction_factor": 3}


def by_number(heads: list[float], tunes: list[float] | None = None) -> Any:
    """A curve that is flat in each stage, at a height of the trial's own."""

    def curve(trial: Trial, stage: Stage, epoch: int) -> float:
        return (heads if stage == "head" or tunes is None else tunes)[trial.number]

    return curve


@pytest.fixture
def study_of(make_space: MakeSpace, fake_study: Any) -> Any:
    """Make a study that promotes, by its curve."""

    def make(curve: Any, most_trials: int | None = None, pruner: Any = None, **more: Any) -> Any:
        fixed = {**FIXED, **more.pop("fixed", {})}
        space = make_space(more.pop("free", FREE), fixed, pruner={**PROMOTE, **(pruner or {})}, **more)
        return fake_study(space, curve, most_trials=most_trials)

    return make


def run_to_stop(study: Any) -> Trial:
    """Let the next trial run until it is paused or over."""
    return run_on(study, study.begin())


def run_on(study: Any, trial: Trial) -> Trial:
    """Let a trial run until it is paused or over."""
    while trial.state == "running":
        study.step(trial)
    return trial


def place(trial: Trial) -> str:
    """Where a trial stands, such as `paused head 2`."""
    return f"{trial.state} {trial.stage} {len(trial.epochs[trial.stage])}"


@pytest.mark.parametrize(
    ("heads", "places"),
    [
        # fewer than three at a rung have no best third
        ([0.5, 0.4], ["paused head 2"] * 2),
        # the best of three goes on at once, and stands alone at the next rung
        ([0.5, 0.4, 0.3], ["paused head 2", "paused head 2", "paused tune 1"]),
        # among equals the first is the best, so the last is not
        ([0.3, 0.3, 0.3], ["paused head 2"] * 3),
    ],
)
def test_a_trial_goes_on_at_a_rung_only_in_the_best_third(
    study_of: Any, heads: list[float], places: list[str]
) -> None:
    study = study_of(by_number(heads))
    assert [place(run_to_stop(study)) for _ in heads] == places


def test_the_end_of_stage_1_can_let_more_trials_on_than_later_rungs(study_of: Any) -> None:
    heads = [0.5, 0.6, 0.7, 0.8]
    places = {
        factor: [place(run_to_stop(study)) for _ in heads]
        for factor in (1, 2)
        for study in [study_of(by_number(heads), None, {"head_reduction_factor": factor})]
    }
    assert places[1] == ["paused tune 1", "paused tune 1", "paused tune 1", "paused tune 3"]
    # the second of two is not in the better half, the first one is then
    assert places[2] == ["paused head 2", "paused head 2", "paused tune 1", "paused head 2"]


def test_points_at_which_the_search_begins_go_into_stage_2_whatever_their_rank(
    study_of: Any, make_space: MakeSpace, fake_study: Any
) -> None:
    start = [{"dropout": 0.1}, {"dropout": 0.2}]
    study = study_of(by_number([0.5, 0.9, 0.6, 0.7]), 4, start=start)
    # the first one is the best that came to each rung so far
    assert [place(run_to_stop(study)) for _ in range(4)] == [
        "complete tune 4",
        "paused tune 1",
        "paused head 2",
        "paused head 2",
    ]
    study = study.restarted()
    assert [place(trial) for trial in study.trials][:2] == ["complete tune 4", "paused tune 1"]


def test_a_paused_trial_is_promoted_when_later_ones_make_it_look_good(study_of: Any) -> None:
    study = study_of(by_number([0.3, 0.5, 0.6, 0.7]))
    for _ in range(3):
        run_to_stop(study)
    first = study.trials[0]
    assert first.reason == "paused at the end of stage head, rank 1 of 1: val_loss 0.3"

    promoted = study.begin()
    assert promoted is first
    assert (first.state, first.promotions) == ("running", ["rank"])
    # it goes on where it was, one new epoch to the next rung
    assert (study.scheduler.next_segment(first).stage, study.scheduler.next_segment(first).until) == (
        "tune",
        1,
    )
    study.step(first)
    assert place(first) == "paused tune 1"
    assert study.begin().number == 3


def test_the_highest_rung_comes_first(study_of: Any) -> None:
    heads = [0.10, 0.11, 0.12, *([0.9] * 6)]
    study = study_of(by_number(heads, [0.5, 0.6, 0.7, *([0.9] * 6)]))
    stops = [run_to_stop(study).number for _ in range(13)]
    # every third head promotes one; when three are tuned, the best of them goes on before a new head starts
    assert stops == [0, 1, 2, 0, 3, 4, 5, 1, 6, 7, 8, 2, 0]
    assert place(study.trials[0]) == "paused tune 3"
    assert study.trials[0].promotions == ["rank", "rank"]


def test_heads_are_held_against_heads_and_tuned_models_against_tuned_ones(study_of: Any) -> None:
    # every head is worse than every tuned model, and the rule at the first rung sees only heads
    study = study_of(by_number([0.9, 0.8, 0.7, 0.6], [0.2, 0.2, 0.1, 0.3]))
    stops = [run_to_stop(study) for _ in range(4)]

    assert place(stops[2]) == "paused tune 1"
    assert stops[3].reason == "paused at tune epoch 1, rank 2 of 2: val_loss 0.3"


def test_a_good_head_does_not_keep_a_stage_2_alive_that_ruins_it(study_of: Any) -> None:
    study = study_of(by_number([0.01, 0.5, 0.6, 0.05, 0.02, 0.7, 0.7], [5.0, 0.4, 0.4, 0.3, 0.2, 1, 1]), 7)
    study.run()

    ruined = study.trials[0]
    assert place(ruined) == "paused tune 1"
    assert [trial.number for trial in study.trials if trial.state == "complete"] == [4]
    # what it had come to before counts all the same: its head is the best model of all
    assert study.scheduler.best() is ruined


def test_a_weak_head_that_is_promoted_as_a_long_shot_can_win(study_of: Any) -> None:
    def crossing(trial: Trial, stage: Stage, epoch: int) -> float:
        """The worst heads give the best models."""
        is_weak = trial.number % 3 == 2
        return trial.number / 1000 + (0.9 if is_weak == (stage == "head") else 0.2 if is_weak else 0.3)

    study = study_of(crossing, 30, {"long_shot_every": 3}).run()
    shots = [trial for trial in study.trials if trial.promotions[:1] == ["long shot"]]
    by_rank = [trial for trial in study.trials if trial.promotions[:1] == ["rank"]]

    assert len(shots) in (len(by_rank) // 2, len(by_rank) // 2 + 1)
    assert study.scheduler.best() in shots
    assert min(trial.number for trial in shots) >= 2
    none = study_of(crossing, 30, {"long_shot_every": 0}).run()
    assert not any("long shot" in trial.promotions for trial in none.trials)


def test_recipes_count_at_every_rung_and_are_never_paused(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space(FREE, FIXED, pruner=PROMOTE)
    recipes = {"worst": space.config({}), "best": space.config({"dropout": 0.4})}
    study = fake_study(space, by_number([0.9, 0.1, 0.2, 0.3]), recipes, most_trials=4)
    stops = [run_to_stop(study) for _ in range(3)]

    assert [place(trial) for trial in stops] == ["complete tune 4", "complete tune 4", "paused head 2"]
    assert stops[2].reason == "paused at the end of stage head, rank 2 of 3: val_loss 0.2"
    assert stops[0].promotions == []


def test_the_best_trial_comes_to_its_end_however_few_there_are(study_of: Any) -> None:
    for most_trials in (1, 2, 3, 5, 12):
        heads = [0.5 + 0.3 * ((7 * number) % 12) / 12 for number in range(12)]
        study = study_of(by_number(heads, [value / 2 for value in heads]), most_trials).run()
        complete = [trial for trial in study.trials if trial.state == "complete"]

        assert len(study.trials) == most_trials
        assert min(study.trials, key=lambda trial: heads[trial.number]) in complete
        assert {trial.state for trial in study.trials} <= {"complete", "paused"}
        assert study.begin() is None


def test_a_better_recipe_does_not_keep_the_best_trial_from_its_end(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, FIXED, pruner=PROMOTE)
    recipes = {"best": space.config({})}
    study = fake_study(space, by_number([0.1, 0.5, 0.4, 0.6]), recipes, most_trials=4).run()

    assert [place(trial) for trial in study.trials] == [
        "complete tune 4",
        "paused head 2",
        "complete tune 4",
        "paused head 2",
    ]


def test_a_trial_without_stage_2_is_complete_with_its_head_and_blocks_nobody(
    study_of: Any,
) -> None:
    free = {"unfreeze": {"choice": [0.0, 0.5, 1.0]}}

    def frozen_is_best(trial: Trial, stage: Stage, epoch: int) -> float:
        return 0.1 if not trial.config.tunes else 0.5 + trial.number / 100

    study = study_of(frozen_is_best, 9, free=free).run()
    frozen = [trial for trial in study.trials if not trial.config.tunes]
    assert frozen
    assert {place(trial) for trial in frozen} == {"complete head 2"}
    assert any(place(trial) == "complete tune 4" for trial in study.trials)


def test_where_there_is_no_room_the_worst_ends_whose_checkpoint_is_large(study_of: Any) -> None:
    study = study_of(by_number([0.3, 0.7, 0.6, 0.5]))
    assert study.scheduler.last_paused() is None
    for _ in range(5):
        run_to_stop(study)
    assert place(study.trials[0]) == "paused tune 1"
    order = []
    while (last := study.scheduler.last_paused()) is not None:
        order.append(last.number)
        study.end(last, "pruned", "the store is full")
    assert order == [0, 1, 2, 3]


def test_a_failed_trial_does_not_count_at_its_rungs(study_of: Any) -> None:
    study = study_of(by_number([0.1, 0.2, 0.3, 0.25, 0.9]))
    lost, *_ = [run_to_stop(study) for _ in range(3)]
    promoted = study.begin()
    assert promoted is lost
    study.end(promoted, "failed", "its loss is NaN")

    fourth = run_to_stop(study)
    assert fourth.reason is not None
    assert "rank 2 of 3" in fourth.reason


def test_a_value_at_a_rung_is_the_best_of_its_stage_so_far(study_of: Any) -> None:
    def peak(trial: Trial, stage: Stage, epoch: int) -> float:
        return {1: 0.2, 2: 0.1, 3: 0.9}.get(epoch, 0.9)

    study = study_of(peak, 2, {"rungs": [3]}, fixed={"tune.epochs": 5, "head.epochs": 1})
    study.run()
    paused = [trial for trial in study.trials if trial.state == "paused"]
    assert [trial.reason for trial in paused] == [
        "paused at the end of stage head, rank 2 of 2: val_loss 0.2"
    ]
    assert study.trials[0].value("val_loss") == 0.1


def test_a_metric_that_is_to_be_high_promotes_the_highest(study_of: Any) -> None:
    study = study_of(by_number([0.5, 0.9, 0.6]), 3, objective={"metric": "val_accuracy"}).run()
    assert [trial.state for trial in study.trials] == ["paused", "complete", "paused"]


def test_a_stage_that_ends_early_ends_before_later_rungs(study_of: Any) -> None:
    def rising(trial: Trial, stage: Stage, epoch: int) -> float:
        return float(epoch)

    study = study_of(rising, 1, fixed={"patience": 1, "tune.epochs": 9, "head.epochs": 9}).run()
    assert place(study.trials[0]) == "complete tune 2"
    assert study.trials[0].promotions == ["rank", "rank"]


def random_curve(trial: Trial, stage: Stage, epoch: int) -> float:
    level = random.Random(f"{trial.config.dropout} {stage}").uniform(0, 1)
    return level + random.Random(f"{trial.config.dropout} {stage} {epoch}").uniform(0, 0.3)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_restart_at_any_epoch_gives_the_same_study(study_of: Any, sampler: str) -> None:
    pruner = {"long_shot_every": 3}
    whole = study_of(random_curve, 14, pruner, sampler=sampler, seed=3).run()
    n_epochs = sum(len(trial.epochs[stage]) for trial in whole.trials for stage in STAGES)
    ways = {way for trial in whole.trials for way in trial.promotions}
    assert ways == {"rank", "long shot"}

    for killed_after in range(0, n_epochs + 1, 3):
        broken = study_of(random_curve, 14, pruner, sampler=sampler, seed=3).run(killed_after)
        broken = broken.restarted().run()
        assert broken.table() == whole.table(), killed_after


def test_a_better_start_goes_to_its_end_after_another_and_a_restart_changes_nothing(study_of: Any) -> None:
    start = [{"dropout": 0.1}, {"dropout": 0.2}, {"dropout": 0.3}]
    better = study_of(by_number([0.9] * 5, [0.5, 0.4, 0.45, 0.3, 0.3]), 5, start=start).run()
    assert [trial.state for trial in better.trials][:3] == ["complete", "complete", "paused"]
    whole = study_of(random_curve, 8, start=start).run()
    for killed_after in range(1, sum(trial.epochs_run for trial in whole.trials)):
        broken = study_of(random_curve, 8, start=start).run(killed_after).restarted().run()
        assert broken.table() == whole.table(), killed_after


def test_many_restarts_give_the_same_study(study_of: Any) -> None:
    whole = study_of(random_curve, 10, {"long_shot_every": 3}).run()
    study = study_of(random_curve, 10, {"long_shot_every": 3})
    for _ in range(200):
        running = [trial for trial in study.trials if trial.state == "running"]
        # what a running trial reported is replayed first: 2 heads share a step with the boundary
        known = sum(1 for trial in running for step in trial.reported)
        study = study.restarted().run(known + 1)
    assert study.run().table() == whole.table()


def test_a_paused_trial_stands_as_pruned_with_its_values_where_points_are_asked(study_of: Any) -> None:
    import optuna

    study = study_of(by_number([0.5, 0.4, 0.3]))
    paused = run_to_stop(study)
    running = study.begin()
    study.step(running)
    states = [study.scheduler._asking.frozen(trial).state for trial in (paused, running)]

    assert states == [optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.RUNNING]
    assert study.scheduler._asking.frozen(paused).intermediate_values == {4: 0.5, 8: 0.5}


def test_a_study_with_more_trials_goes_on_from_closed_ones(study_of: Any, fake_study: Any) -> None:
    heads = [0.5, 0.4, 0.3, 0.6, 0.7, 0.8, 0.9, *([1.0] * 20)]

    def curve(trial: Trial, stage: Stage, epoch: int) -> float:
        number = trial.proposal.continues if trial.proposal.continues is not None else trial.number
        return heads[number] - (0.2 if stage == "tune" else 0.0) - epoch / 100

    study = study_of(curve, 3).run().close()
    assert [trial.state for trial in study.trials] == ["pruned", "pruned", "complete"]
    reason = study.trials[1].reason
    assert reason == (
        "the study's budget was reached; paused at the end of stage head, rank 1 of 2: val_loss 0.38"
    )
    assert study.restarted().begin() is None

    study.most_trials = 7
    study = study.restarted().run().close()
    (more,) = [trial for trial in study.trials if trial.proposal.continues is not None]
    assert more.proposal.continues == 1
    assert more.config == study.trials[1].config
    assert more.promotions[0] == "rank"
    assert more.values("head", "val_loss") == study.trials[1].values("head", "val_loss")
    # four new trials, and one that is not new
    assert len(study.trials) == 7 + 1
    assert [trial.promotions for trial in study.trials[:2]] == [[], []]


def test_a_trial_that_continues_stands_in_the_place_of_the_closed_one(study_of: Any) -> None:
    study = study_of(by_number([0.5, 0.4, 0.9, 0.9, 0.9, 0.9, 0.5]), 2).run().close()
    study.most_trials = 6
    study = study.restarted()
    while (trial := study.begin()) is not None and trial.proposal.continues is None:
        run_on(study, trial)
    assert trial is not None
    assert (trial.number, trial.proposal.continues) == (6, 0)
    # six heads, not seven
    assert run_on(study, trial).reason == "paused at tune epoch 1, rank 2 of 2: val_loss 0.5"
    assert [one.number for one in study.scheduler._judge._ranked(0)] == [1, 6, 2, 3, 4, 5]
