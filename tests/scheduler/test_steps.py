"""Steps: quarter epochs on one axis, on which a step always means one stage."""

from collections.abc import Callable
from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import STAGES
from search.scheduler.steps import boundary_step, most_epochs, most_head_epochs, step_of

MakeSpace = Callable[..., Space]


@pytest.mark.parametrize(
    ("free", "fixed", "most"),
    [
        ({"head.epochs": {"int": [1, 7]}}, {}, 7),
        ({"head.epochs": {"int": [1, 8], "step": 2}}, {}, 7),
        ({"head.epochs": {"choice": [3, 9, 1]}}, {}, 9),
        ({"head.epochs": {"per_backbone": {"a": {"int": [1, 4]}, "other": {"int": [2, 6]}}}}, {}, 6),
        ({}, {"head.epochs": 5}, 5),
        ({}, {}, 10),
    ],
)
def test_the_most_epochs_of_stage_1_are_those_of_the_space_or_of_a_recipe(
    make_space: MakeSpace, free: dict[str, Any], fixed: dict[str, Any], most: int
) -> None:
    space = make_space(free=free, fixed={"backbone": "a", **fixed})
    long, short = (space.config({"head.epochs": epochs}) for epochs in (20, 1))

    assert most_epochs(space, "head") == most
    assert most_head_epochs(space, []) == most
    assert most_head_epochs(space, [short]) == most
    assert most_head_epochs(space, [short, long]) == 20


def test_the_most_epochs_of_stage_2_are_those_of_the_space(make_space: MakeSpace) -> None:
    assert (
        most_epochs(make_space(free={"tune.epochs": {"int": [1, 6]}}, fixed={"backbone": "a"}), "tune") == 6
    )


def test_a_step_means_one_epoch_of_one_stage() -> None:
    most_head = 5
    steps = [step_of(stage, epoch, most_head) for stage in STAGES for epoch in range(1, most_head + 1)]

    assert steps == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    assert boundary_step(most_head) == 20
