from collections.abc import Callable, Mapping
from typing import Any

import pytest

from recorded.comparison import SHARES, Regrets, verdicts
from recorded.curves import Table
from recorded.regret import Referee
from recorded.replay import Incumbent, Replay
from search.config.space import Space

MakeTable = Callable[..., Table]
MakeSpace = Callable[..., Space]

# final validation losses by the second seed
SECOND = {(0.5, 0.1): 0.30, (0.5, 0.3): 0.20, (1.0, 0.1): 0.45, (1.0, 0.3): 0.60}


def loss(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float:
    """By the first seed all are alike; by the second stage 2 is best in its second epoch of three."""
    if replicate == 0 or stage == "head":
        return 0.9 - 0.1 * epoch
    return SECOND[point["unfreeze"], point["tune.lr_ratio"]] + (0.0 if epoch == 2 else 0.05)


def incumbent(
    space: Space, depth: float, ratio: float, head: int, tune: int, since_s: float = 0
) -> Incumbent:
    config = space.config({"backbone": "mobilenet_025", "unfreeze": depth, "tune.lr_ratio": ratio})
    return Incumbent(since_s, 0.0, config, head, tune)


@pytest.mark.parametrize(
    ("point", "in_hand", "regret"),
    [
        ((0.5, 0.3, 2, 3), False, 0.0),
        ((0.5, 0.1, 2, 3), False, 0.1),
        # a setting is worth what it comes to, a model what it is
        ((0.5, 0.1, 1, 0), False, 0.1),
        ((0.5, 0.1, 1, 0), True, 0.8 - 0.2),
        ((0.5, 0.1, 2, 0), True, 0.7 - 0.2),
        ((0.5, 0.1, 2, 1), True, 0.35 - 0.2),
        ((0.5, 0.1, 2, 3), True, 0.1),
        ((1.0, 0.3, 2, 3), False, 0.4),
    ],
)
def test_regret_is_the_distance_to_the_best_of_the_table_by_the_second_seed(
    make_table: MakeTable, point: tuple[float, float, int, int], in_hand: bool, regret: float
) -> None:
    table = make_table(loss)
    found = Referee(table, in_hand).regret(incumbent(table.space, *point))
    assert found == pytest.approx(regret)


def test_having_nothing_is_as_bad_as_the_worst_of_the_table(make_table: MakeTable) -> None:
    assert Referee(make_table(loss)).regret(None) == pytest.approx(0.6 - 0.2)


def test_a_metric_that_is_to_rise_is_judged_the_other_way_round(make_table: MakeTable) -> None:
    # the accuracies of a made-up table are all alike
    table = make_table(loss, changes=("objective.metric=val_accuracy",))
    referee = Referee(table)
    assert (referee.best, referee.worst) == (0.5, 0.5)


def test_a_setting_whose_second_seed_diverges_at_once_is_as_bad_as_the_worst(make_table: MakeTable) -> None:
    def lost(point: Mapping[str, Any], replicate: int, stage: str, epoch: int) -> float | None:
        diverges = replicate == 1 and point["backbone"] == "mobilenet_025"
        return None if diverges else loss(point, replicate, stage, epoch)

    table = make_table(lost)
    assert Referee(table).regret(incumbent(table.space, 0.5, 0.3, 2, 3)) == pytest.approx(0.4)


def test_ours_at_a_quarter_is_held_against_the_best_competitor_at_the_end(make_table: MakeTable) -> None:
    table = make_table(loss)
    referee, space = Referee(table), table.space
    middling, best = incumbent(space, 0.5, 0.1, 2, 3, 10), incumbent(space, 0.5, 0.3, 2, 3, 60)
    worst = incumbent(space, 1.0, 0.3, 2, 3, 1)
    late = (Replay((middling, best), 2, 100.0),)
    arms = {
        "ours": dict.fromkeys(SHARES, (Replay((worst, middling, best), 3, 100.0),)),
        "weak": dict.fromkeys(SHARES, (Replay((worst,), 1, 100.0),)),
        "late": dict.fromkeys(SHARES, late),
    }
    assert Regrets.at(late, 59, referee).mean == pytest.approx(0.1)
    median, mean = verdicts(arms, 100.0, referee)
    assert "at a quarter of the budget 0.1000: WORSE than 0.0000 of late, the best competitor" in median
    assert mean.startswith("mean regret of ours")
    del arms["late"]
    assert "0.1000: no worse than 0.4000 of weak" in next(verdicts(arms, 100.0, referee))


def test_regrets_of_several_seeds_have_a_mean_and_an_error() -> None:
    regrets = Regrets((0.0, 0.2, 0.1, 0.3))
    assert (regrets.mean, regrets.median) == (pytest.approx(0.15), pytest.approx(0.15))
    assert regrets.error == pytest.approx(0.129099 / 2, rel=1e-4)
    assert Regrets((0.1,)).error == 0.0
