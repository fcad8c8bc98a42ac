"""How a rung of KerasTuner's Hyperband is divided between the stages."""

import pytest

from peers.keras_tuner_peer import plan
from search.config.trial_config import TrialConfig


def config(unfreeze: float, head: int, tune: int) -> TrialConfig:
    settings = {"backbone": "mobilenet_025", "unfreeze": unfreeze, "head.epochs": head, "tune.epochs": tune}
    return TrialConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("unfreeze", "head", "tune", "done", "until", "expected"),
    [
        # in the share of the trial's own epochs
        (1.0, 5, 10, 0, 3, [("head", 0, 1), ("tune", 0, 2)]),
        (1.0, 5, 10, 0, 15, [("head", 0, 5), ("tune", 0, 10)]),
        # never more than the trial has
        (1.0, 5, 10, 0, 22, [("head", 0, 5), ("tune", 0, 10)]),
        # a later rung goes on with the last stage
        (1.0, 5, 10, 3, 8, [("tune", 2, 7)]),
        (1.0, 5, 10, 8, 22, [("tune", 5, 10)]),
        (1.0, 5, 10, 15, 22, [("tune", 9, 10)]),
        (0.0, 6, 9, 0, 3, [("head", 0, 3)]),
        (0.0, 6, 9, 3, 8, [("head", 3, 6)]),
        # a share below one epoch is none
        (1.0, 10, 1, 0, 3, [("head", 0, 3)]),
    ],
)
def test_a_rung_is_divided(
    unfreeze: float, head: int, tune: int, done: int, until: int, expected: list[tuple[str, int, int]]
) -> None:
    assert plan(config(unfreeze, head, tune), done, until) == expected
