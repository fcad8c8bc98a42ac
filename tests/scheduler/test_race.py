"""Finalists on fresh seeds: who runs, who stops, who wins, and how sure that is."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import Stage
from search.scheduler.race import Race, field
from search.scheduler.ranking import best_of
from search.scheduler.trial import Trial

MakeSpace = Callable[..., Space]
FREE: dict[str, Any] = {"dropout": {"float": [0.0, 0.5]}}
FIXED: dict[str, Any] = {"backbone": "a", "head.epochs": 1, "tune.epochs": 2}
METRIC = "val_loss"


@pytest.fixture
def study(make_space: MakeSpace, fake_study: Any) -> Any:
    """A study of four trials; the second one is the best, the third failed."""
    searched = [0.4, 0.1, 0.0, 0.2]
    space = make_space(FREE, FIXED, seed=7)
    study = fake_study(space, lambda t, s, e: searched[t.number], most_trials=4)
    while (trial := study.begin()) is not None:
        while trial.state == "running":
            study.step(trial)
            if trial.number == 2:
                study.end(trial, "failed", "its loss is NaN")
    return study


def run(race: Race, values: Mapping[int, list[float]], limit: int = 99) -> list[str]:
    """Run a race; a value below zero fails. Gives the runs in their order."""
    order = []
    while len(order) < limit and (proposal := race.next_trial()) is not None:
        assert proposal.repeats is not None
        trial = Trial(proposal.repeats, proposal, 0)
        race.begin(trial)
        order.append(str(trial.key))
        value = values[trial.number][proposal.replicate - 1]
        while (segment := race.next_segment(trial)) is not None:
            assert segment.replicate == proposal.replicate
            race.observe(trial, _epoch(segment.stage, segment.until, value))
        trial.end("failed" if value < 0 else "complete", "its loss is NaN" if value < 0 else None, METRIC)
        race.end(trial)
    return order


def _epoch(stage: Stage, number: int, value: float) -> Any:
    from search.training.segment import Epoch

    return Epoch(stage, number, {METRIC: value}, 1.0, 1.0, 0)


def race_of(study: Any, k: int = 3, n_seeds: int = 3, seconds_left: Any = None) -> Race:
    few = list(best_of(study.trials, k, METRIC))
    return Race(study.scheduler, few, n_seeds, METRIC, seconds_left)


def test_the_best_trials_are_the_finalists(study: Any) -> None:
    assert [trial.number for trial in best_of(study.trials, 2, METRIC)] == [1, 3]
    assert [trial.number for trial in best_of(study.trials, 9, METRIC)] == [1, 3, 0]
    assert list(best_of(study.trials, 0, METRIC)) == []


def test_a_trial_that_only_the_budget_stopped_may_be_a_finalist_and_a_pruned_one_not(study: Any) -> None:
    best, other = study.trials[1], study.trials[3]
    best.state = "pruned"
    assert [trial.number for trial in best_of(study.trials, 9, METRIC)] == [3, 0]
    best.closed = True
    other.state = "paused"
    assert [trial.number for trial in best_of(study.trials, 9, METRIC)] == [1, 3, 0]


def test_as_many_are_finalists_as_can_run_once_but_not_one_alone(study: Any) -> None:
    # each takes 3 s
    def chosen(most: int, left_s: float | None) -> list[int]:
        left = None if left_s is None else lambda: left_s
        return [trial.number for trial in field(study.scheduler, most, METRIC, left)]

    assert [chosen(3, left_s) for left_s in (None, 9.0, 8.9, 5.9)] == [[1, 3, 0], [1, 3, 0], [1, 3], []]
    assert chosen(1, 3.0) == [1]


def test_trials_with_the_same_settings_are_one_finalist(study: Any) -> None:
    twin = Trial(4, study.trials[1].proposal, 0)
    twin.epochs, twin.state = study.trials[1].epochs, "complete"
    assert [trial.number for trial in best_of([*study.trials, twin], 2, METRIC)] == [1, 3]


def test_finalists_take_turns_and_the_best_mean_wins(study: Any) -> None:
    race = race_of(study)
    order = run(race, {1: [0.30, 0.20, 0.25], 3: [0.22, 0.26, 0.21], 0: [0.24, 0.27, 0.28]})
    result = race.result()

    assert order == ["1/1", "3/1", "0/1", "1/2", "3/2", "0/2", "1/3", "3/3", "0/3"]
    assert result is not None
    assert [one.trial.number for one in result.standings] == [3, 1, 0]
    assert result.standings[0].mean(METRIC) == pytest.approx(0.23)
    assert result.standings[0].spread(METRIC) == pytest.approx(0.0264575)
    # of the winner, the seed with the best value
    assert result.best_run(METRIC).key == "3/3"


def test_one_that_can_no_longer_have_the_best_mean_stops(study: Any) -> None:
    race = race_of(study)
    order = run(race, {1: [0.12, 0.12, 0.12], 3: [0.125, 0.125, 0.125], 0: [0.9, 0.1, 0.1]})
    result = race.result()

    # (0.9 + 0.1 + 0.1) / 3 with the study's best value for what is missing, against 0.12 three times
    assert order == ["1/1", "3/1", "0/1", "1/2", "3/2", "1/3", "3/3"]
    assert result is not None
    assert result.standings[2].stopped == "its mean can no longer be better than that of trial 1"
    assert [len(one.runs) for one in result.standings] == [3, 3, 1]


def test_one_that_may_yet_have_the_best_mean_goes_on(study: Any) -> None:
    race = race_of(study, k=2)
    # with 0.1 twice, 0.25 would still come to 0.15
    assert len(run(race, {1: [0.16, 0.16, 0.16], 3: [0.25, 0.2, 0.2]})) == 5


def test_a_run_that_fails_takes_its_finalist_out(study: Any) -> None:
    race = race_of(study, k=2)
    order = run(race, {1: [0.1, -1.0, 0.1], 3: [0.5, 0.5, 0.5]})
    result = race.result()

    assert "1/3" not in order
    assert result is not None
    assert [one.trial.number for one in result.standings] == [3, 1]
    assert result.standings[1].stopped == "seed 2 failed: its loss is NaN"


def test_no_run_starts_for_which_there_is_no_time(study: Any) -> None:
    left = [5.9]
    assert run(race_of(study, k=2, seconds_left=lambda: left[0]), {}) == []
    assert race_of(study).result() is None
    # each of the two took 3 s
    left[0] = 6.0
    race = race_of(study, k=2, seconds_left=lambda: left[0])
    assert run(race, {1: [0.21] * 3, 3: [0.2] * 3}, limit=1) == ["1/1"]
    # there is a run, but not on a seed on which both have run
    assert race.result() is None
    left[0] = 0.0
    # a seed that is begun is finished
    assert run(race, {1: [0.21] * 3, 3: [0.2] * 3}) == ["3/1"]


def test_where_time_runs_out_only_seeds_count_on_which_all_have_run(study: Any) -> None:
    race = race_of(study, k=2)
    assert run(race, {1: [0.3, 0.1, 0.1], 3: [0.2, 0.2, 0.2]}, limit=3) == ["1/1", "3/1", "1/2"]
    result = race.result()
    assert result is not None
    # the mean of trial 1 over both its runs would be the same, and its best run better
    assert [one.trial.number for one in result.standings] == [3, 1]
    assert [one.values(METRIC) for one in result.standings] == [[0.2], [0.3]]
    assert (len(result.runs), result.best_run(METRIC).key) == (3, "3/1")


def test_the_chance_of_luck_is_that_of_welchs_test(study: Any) -> None:
    from scipy.stats import ttest_ind

    values = {1: [0.30, 0.20, 0.25], 3: [0.22, 0.26, 0.21]}
    race = race_of(study, k=2)
    run(race, values)
    result = race.result()
    assert result is not None
    assert result.luck == pytest.approx(ttest_ind(values[3], values[1], equal_var=False).pvalue / 2)
    assert 0.0 < result.luck < 0.5


@pytest.mark.parametrize(("k", "n_seeds"), [(1, 3), (2, 1)])
def test_with_one_finalist_or_one_seed_nobody_knows_the_chance(study: Any, k: int, n_seeds: int) -> None:
    race = race_of(study, k, n_seeds)
    run(race, {1: [0.2, 0.3, 0.25], 3: [0.21]})
    result = race.result()
    assert result is not None
    assert result.luck is None
    assert (result.standings[0].spread(METRIC) is None) == (n_seeds == 1)


def test_equal_values_have_no_chance(study: Any) -> None:
    race = race_of(study, k=2)
    run(race, {1: [0.2] * 3, 3: [0.2] * 3})
    result = race.result()
    assert result is not None
    assert (result.luck, result.best_run(METRIC).key) == (None, "1/1")
