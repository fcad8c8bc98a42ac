from collections.abc import Callable

import pytest

from recorded.clock import Clock
from recorded.curves import Table
from recorded.replay import replay
from search.config.space import Space
from search.training.segment import Segment

MakeTable = Callable[..., Table]
MakeSpace = Callable[..., Space]

POINT = ("free.backbone={choice: [mobilenet_025]}", "free.unfreeze={choice: [1.0]}")
POINT += ("free.tune.lr_ratio={choice: [0.1]}", "free.augment={choice: [0.5]}")

# Each cost is another power of ten: compiling a backbone, features of two draws, those of the validation
# pictures, two epochs of stage 1, compiling a depth, what lies before the cut for three draws and for the
# validation pictures, three epochs of stage 2.
CUT_S = 3 * 1_000_000 + 10_000_000
FIRST_TRIAL_S = 100_000 + 2 * 1_000 + 100 + 2 * 1 + 10_000 + CUT_S + 3 * 10


@pytest.fixture
def seconds(make_table: MakeTable, make_space: MakeSpace) -> Callable[..., float]:
    """Simulated seconds of a study of one point, as changed, in which nothing is pruned."""

    def simulate(trials: int, *changes: str) -> float:
        space = make_space(*POINT, "pruner.name=none", *changes)
        return replay(space, make_table(), most_trials=trials).seconds

    return simulate


def test_a_trial_costs_its_epochs_and_what_is_made_for_the_first_time(seconds: Callable[..., float]) -> None:
    assert seconds(1) == FIRST_TRIAL_S


def test_what_is_replayed_costs_nothing(seconds: Callable[..., float]) -> None:
    assert seconds(3) == FIRST_TRIAL_S


@pytest.mark.parametrize(
    ("change", "more_s"),
    [
        pytest.param("free.tune.lr_ratio={choice: [0.1, 0.3]}", 3 * 10, id="head shared"),
        pytest.param("free.unfreeze={choice: [0.5, 1.0]}", 10_000 + CUT_S + 3 * 10, id="another depth"),
        pytest.param(
            "free.backbone={choice: [mobilenet_025, mobilenet_v2_035]}", FIRST_TRIAL_S, id="all new"
        ),
    ],
)
def test_a_second_trial_costs_what_is_new_in_it(
    seconds: Callable[..., float], change: str, more_s: float
) -> None:
    assert seconds(2, "sampler.name=grid", change) == FIRST_TRIAL_S + more_s


def test_pictures_that_are_not_augmented_have_one_draw(seconds: Callable[..., float]) -> None:
    assert seconds(1, "free.augment={choice: [0.0]}") == FIRST_TRIAL_S - 1_000 - 2 * 1_000_000


def test_without_reuse_only_programs_are_shared(seconds: Callable[..., float]) -> None:
    heads_s = 2 * (1_000 + 100 + 1)
    tunes_s = 3 * (1_000_000 + 10_000_000 + 10)
    assert seconds(2, "reuse.enabled=false") == 100_000 + 10_000 + 2 * (heads_s + tunes_s)


def test_a_replayed_epoch_tells_the_seconds_of_its_first_run(
    make_table: MakeTable, make_space: MakeSpace
) -> None:
    config = make_space(*POINT).config({"backbone": "mobilenet_025", "unfreeze": 1.0, "augment": 0.5})
    clock, segment = Clock(make_table().costs), Segment(config, "tune", 2, 1, 2, "val_loss", 0)
    assert [clock.train(segment), clock.train(segment)] == [(11_010_010.0, True), (11_010_010.0, False)]
    assert clock.now_s == 11_010_010.0
