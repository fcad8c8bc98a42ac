"""Pruners see one stage at a time, by a table, and decide the same after a restart."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import Stage
from search.scheduler.trial import Trial

MakeSpace = Callable[..., Space]
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::FutureWarning")

N_ORDINARY = 12
FREE: dict[str, Any] = {"unfreeze": {"choice": [0.5, 1.0]}}
FIXED: dict[str, Any] = {"backbone": "a", "head.epochs": 6, "tune.epochs": 9}
PRUNERS: list[dict[str, Any]] = [
    {"name": "median"},
    {"name": "percentile", "percentile": 30.0},
    {"name": "successive_halving"},
    {"name": "hyperband"},
    {"name": "patient", "patience": 2},
    {"name": "wilcoxon"},
]
NAMES = [pruner["name"] for pruner in PRUNERS]


def _ordinary(stage: Stage, epoch: int) -> float:
    """Heads end at 0.5, tuned models at 0.2."""
    return (0.6 if stage == "head" else 0.3) - epoch / 100


def _good_head(trial: Trial, stage: Stage, epoch: int) -> float:
    """Better than all heads, and worse than every tuned model there is."""
    better = 0.1 if trial.number >= N_ORDINARY and stage == "head" else 0.0
    return _ordinary(stage, epoch) - better


def _ruined(trial: Trial, stage: Stage, epoch: int) -> float:
    """The best head of all, and a stage 2 that gets worse with every epoch."""
    if trial.number < N_ORDINARY:
        return _ordinary(stage, epoch)
    return 0.01 if stage == "head" else 1.0 + epoch / 10


@pytest.mark.parametrize("pruner", PRUNERS, ids=NAMES)
def test_a_good_head_is_not_held_against_tuned_models(
    make_space: MakeSpace, fake_study: Any, pruner: dict[str, Any]
) -> None:
    space = make_space(FREE, FIXED, pruner=pruner)
    study = fake_study(space, _good_head, most_trials=N_ORDINARY + 3).run()

    assert [trial.state for trial in study.trials] == ["complete"] * (N_ORDINARY + 3)


@pytest.mark.parametrize("pruner", PRUNERS, ids=NAMES)
def test_a_ruined_stage_2_is_pruned_on_its_own_values_although_its_head_was_the_best(
    make_space: MakeSpace, fake_study: Any, pruner: dict[str, Any]
) -> None:
    space = make_space(FREE, FIXED, pruner=pruner)
    study = fake_study(space, _ruined, most_trials=N_ORDINARY + 6).run()

    ordinary, ruined = study.trials[:N_ORDINARY], study.trials[N_ORDINARY:]
    assert [trial.state for trial in ordinary] == ["complete"] * N_ORDINARY
    pruned = [trial for trial in ruined if trial.state == "pruned"]
    # hyperband lets a few trials run to their end, whatever they give
    assert len(pruned) == 6 or (pruner["name"] == "hyperband" and len(pruned) >= 3)
    assert {trial.stage for trial in pruned} == {"tune"}
    assert {len(trial.epochs["head"]) for trial in pruned} == {6}
    assert max(len(trial.epochs["tune"]) for trial in pruned) < 9
    assert all(trial.reason.startswith(f"{pruner['name']} at epoch ") for trial in pruned)
    assert all("of stage tune: val_loss 1." in trial.reason for trial in pruned)


def test_without_a_pruner_nothing_is_pruned(make_space: MakeSpace, fake_study: Any) -> None:
    study = fake_study(make_space(FREE, FIXED, pruner="none"), _ruined, most_trials=N_ORDINARY + 3).run()
    assert {trial.state for trial in study.trials} == {"complete"}


@pytest.mark.parametrize("pruner", PRUNERS, ids=NAMES)
def test_a_recipe_is_never_pruned(make_space: MakeSpace, fake_study: Any, pruner: dict[str, Any]) -> None:
    space = make_space(FREE, FIXED, pruner=pruner)
    study = fake_study(space, _ruined, most_trials=N_ORDINARY).run()
    late = {"late": space.config({"unfreeze": 1.0}), "short": space.config({"unfreeze": 0.0})}
    study = fake_study(space, _ruined, late, study.trials, N_ORDINARY + 2).run()

    recipes = study.trials[N_ORDINARY:]
    assert [trial.proposal.recipe for trial in recipes] == ["late", "short"]
    assert [trial.state for trial in recipes] == ["complete", "complete"]


def test_by_default_only_stage_2_is_pruned(make_space: MakeSpace, fake_study: Any) -> None:
    def worse_and_worse(trial: Trial, stage: Stage, epoch: int) -> float:
        return float(trial.number)

    for stages, stage in (({}, "tune"), ({"stages": ["tune"]}, "tune"), ({"stages": ["head"]}, "head")):
        form = Space.model_validate(
            {"study": "small", "data": {"source": "a"}, "pruner": {"name": "median", **stages}}
        )
        space = make_space(FREE, FIXED).model_copy(update={"pruner": form.pruner})
        study = fake_study(space, worse_and_worse, most_trials=8).run()
        assert {trial.stage for trial in study.trials if trial.state == "pruned"} == {stage}


def test_a_trial_with_nothing_left_to_train_is_complete_however_bad_it_is(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, {**FIXED, "head.epochs": 1, "tune.epochs": 1}, pruner="median")
    study = fake_study(space, _ruined, most_trials=N_ORDINARY + 2).run()
    assert {trial.state for trial in study.trials} == {"complete"}


@pytest.mark.parametrize("name", ["median", "percentile", "patient", "wilcoxon"])
def test_the_first_epochs_of_each_stage_can_be_spared(
    make_space: MakeSpace, fake_study: Any, name: str
) -> None:
    pruner = {"name": name, "warmup_epochs": 5}
    study = fake_study(make_space(FREE, FIXED, pruner=pruner), _ruined, most_trials=N_ORDINARY + 1).run()

    assert study.trials[-1].state == "pruned"
    assert len(study.trials[-1].epochs["tune"]) == 6


def test_nothing_is_pruned_before_enough_trials_have_finished_the_stage(
    make_space: MakeSpace, fake_study: Any
) -> None:
    def worse_and_worse(trial: Trial, stage: Stage, epoch: int) -> float:
        return float(trial.number)

    pruner = {"name": "median", "startup_trials": 5}
    study = fake_study(make_space(FREE, FIXED, pruner=pruner), worse_and_worse, most_trials=8).run()
    assert [trial.state for trial in study.trials] == ["complete"] * 5 + ["pruned"] * 3


def test_patient_spares_a_good_trial_on_its_plateau(make_space: MakeSpace, fake_study: Any) -> None:
    def flat(trial: Trial, stage: Stage, epoch: int) -> float:
        return 0.1 + epoch / 1000 if trial.number >= N_ORDINARY else _ordinary(stage, epoch)

    pruner = {"name": "patient", "patience": 2}
    study = fake_study(make_space(FREE, FIXED, pruner=pruner), flat, most_trials=N_ORDINARY + 2).run()
    assert {trial.state for trial in study.trials} == {"complete"}


def test_a_metric_that_is_to_be_high_is_pruned_where_it_is_low(
    make_space: MakeSpace, fake_study: Any
) -> None:
    def accuracy(trial: Trial, stage: Stage, epoch: int) -> float:
        return 1.0 - _ruined(trial, stage, epoch) / 3

    objective = {"metric": "val_accuracy"}
    for pruner in PRUNERS:
        space = make_space(FREE, FIXED, pruner=pruner, objective=objective)
        study = fake_study(space, accuracy, most_trials=N_ORDINARY + 6).run()
        states = [trial.state for trial in study.trials]
        assert states[:N_ORDINARY] == ["complete"] * N_ORDINARY
        assert states.count("pruned") >= 3, pruner


def _random_curve(trial: Trial, stage: Stage, epoch: int) -> float:
    level = random.Random(f"{trial.number}").uniform(0, 1)
    noise = random.Random(f"{trial.number} {stage} {epoch}").uniform(0, 0.3)
    return level + noise + (0.5 if stage == "head" else 0.0)


@pytest.mark.parametrize("pruner", PRUNERS, ids=NAMES)
def test_a_restart_takes_the_same_decisions_as_an_undisturbed_study(
    make_space: MakeSpace, fake_study: Any, pruner: dict[str, Any]
) -> None:
    free = {"unfreeze": {"choice": [0.0, 1.0]}, "head.epochs": {"int": [1, 4]}}
    space = make_space(free, {"backbone": "a", "tune.epochs": 5, "patience": 3}, pruner=pruner)
    recipes = {"own": space.config({"head.epochs": 2, "unfreeze": 1.0})}
    whole = fake_study(space, _random_curve, recipes, most_trials=16).run()
    assert any(trial.state == "pruned" for trial in whole.trials)

    n_epochs = sum(len(epochs) for trial in whole.trials for epochs in trial.epochs.values())
    for killed_after in range(0, n_epochs + 1, 5):
        broken = fake_study(space, _random_curve, recipes, most_trials=16).run(killed_after)
        assert broken.restarted().run().table() == whole.table(), killed_after


def test_a_restart_after_every_epoch_gives_the_same_study(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space({"unfreeze": {"choice": [0.0, 1.0]}}, FIXED, pruner="median")
    whole = fake_study(space, _random_curve, most_trials=7).run()

    study = fake_study(space, _random_curve, most_trials=7)
    for _ in range(200):
        # what was reported is replayed, and one new epoch comes to it
        running = [trial for trial in study.trials if trial.state == "running"]
        known = sum(1 for trial in running for step in trial.reported if step % 4 == 0)
        study = study.restarted().run(known + 1)
    assert study.table() == whole.table()


def test_a_trial_that_went_on_is_not_pruned_earlier_by_trials_that_ended_meanwhile(
    make_space: MakeSpace, fake_study: Any
) -> None:
    def second_is_best(trial: Trial, stage: Stage, epoch: int) -> float:
        return 0.9 if trial.number == 0 else 0.1

    space = make_space(FREE, FIXED, pruner={"name": "median", "startup_trials": 1})
    study = fake_study(space, second_is_best)
    slow, quick = study.begin(), study.begin()
    for _ in range(3):
        assert study.step(slow) is None
    while quick.state == "running":
        study.step(quick)

    study = study.restarted()
    slow = study.trials[0]
    assert [study.step(slow) for _ in range(2)] == [None, None]
    assert study.step(slow) == "median at epoch 3 of stage head: val_loss 0.9"
    assert slow.state == "pruned"


def test_a_stored_trial_stays_pruned_whatever_its_pruner_would_say_now(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, FIXED, pruner={"name": "median", "startup_trials": 1})
    study = fake_study(space, lambda trial, stage, epoch: 0.9 if trial.number else 0.1)
    first = study.begin()
    for _ in range(6):
        study.step(first)
    study.end(first, "pruned", "by another worker's trials, at the end of its head")

    study = study.restarted()
    # were the first one's head complete, this one's would be held against it
    second = study.begin()
    assert [study.step(second) for _ in range(6)] == [None] * 6


def test_hyperband_has_brackets_for_the_longest_stage_whichever_trial_comes_first(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space({**FREE, "tune.epochs": {"int": [1, 9]}}, {"backbone": "a"}, pruner="hyperband")
    recipes = {"short": space.config({"tune.epochs": 1})} | {
        f"{number}": space.config({"tune.epochs": 9}) for number in range(N_ORDINARY - 1)
    }
    study = fake_study(space, _ruined, recipes, most_trials=N_ORDINARY + 20).run()

    longest = max(len(trial.epochs["tune"]) for trial in study.trials if trial.number >= N_ORDINARY)
    assert longest > 3


def test_two_trials_at_once_are_each_pruned_on_their_own_values(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FREE, FIXED, pruner="median")
    study = fake_study(space, _ruined, most_trials=N_ORDINARY).run()
    study = fake_study(
        space, lambda t, s, e: _ruined(t, s, e) if t.number % 2 else _ordinary(s, e), {}, study.trials
    )
    good, bad = study.begin(), study.begin()
    while good.state == "running":
        for trial in (good, bad):
            if trial.state == "running":
                study.step(trial)

    assert (good.state, bad.state) == ("complete", "pruned")
