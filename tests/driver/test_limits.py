"""Points are held to the space's constraints by what their networks measure, once."""

from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.driver.limits import Limits
from search.errors import SpaceError
from search.training.segment import Size

SIZES = {"large": Size(4_000_000, 12.5), "small": Size(500_000, 5.0)}


class Measuring:
    """Measures by a table, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.noted: dict[str, Size] = {}

    def limits(self, known: dict[str, Size] | None = None, **constraints: float) -> Limits:
        return Limits(space(constraints), known or {}, self._measure, self.noted.__setitem__)

    def _measure(self, config: TrialConfig) -> Size:
        self.asked.append(f"{config.backbone} {config.image_size}")
        return SIZES[config.backbone]


def space(constraints: dict[str, float]) -> Space:
    form: dict[str, Any] = {
        "study": "small",
        "data": {"source": "pictures"},
        "free": {"backbone": {"choice": ["large", "small"]}, "image_size": {"choice": [64, 96]}},
        "constraints": constraints,
    }
    return Space.model_validate(form)


def config(backbone: str, image_size: int = 64) -> TrialConfig:
    return space({}).config({"backbone": backbone, "image_size": image_size})


@pytest.mark.parametrize(
    ("constraints", "backbone", "values", "reason"),
    [
        ({}, "large", {}, None),
        ({"parameters": 4.0e6}, "large", {"parameters": 0.0}, None),
        (
            {"parameters": 3.2e6},
            "large",
            {"parameters": 0.25},
            "constraints: parameters 4e+06, at most 3.2e+06",
        ),
        (
            {"parameters": 3.2e6, "latency_ms": 20},
            "small",
            {"parameters": -0.84375, "latency_ms": -0.75},
            None,
        ),
        (
            {"parameters": 2.0e6, "latency_ms": 10},
            "large",
            {"parameters": 1.0, "latency_ms": 0.25},
            "constraints: parameters 4e+06, at most 2e+06; latency_ms 12.5, at most 10",
        ),
    ],
)
def test_a_constraint_is_broken_by_the_share_over_its_limit(
    constraints: dict[str, float], backbone: str, values: dict[str, float], reason: str | None
) -> None:
    limits = Measuring().limits(**constraints)
    assert limits.of(config(backbone)) == values
    assert limits.broken(values) == reason


def test_a_network_is_measured_once_over_all_starts() -> None:
    measuring = Measuring()
    limits = measuring.limits(latency_ms=20)
    for image_size in (64, 96, 64):
        limits.of(config("small", image_size))
    assert measuring.asked == ["small 64", "small 96"]
    assert measuring.noted == {"small 64 px": SIZES["small"], "small 96 px": SIZES["small"]}

    later = Measuring()
    later.limits(measuring.noted, latency_ms=20).of(config("small"))
    assert later.asked == []


def test_without_constraints_nothing_is_measured() -> None:
    measuring = Measuring()
    measuring.limits().check()
    measuring.limits().of(config("large"))
    assert measuring.asked == []


def test_a_space_in_which_no_backbone_keeps_the_constraints_is_refused() -> None:
    message = (
        "^constraints: no backbone keeps them "
        r"\(large has latency_ms 12.5, at most 1; small has latency_ms 5, at most 1\); raise them or add a"
    )
    with pytest.raises(SpaceError, match=message):
        Measuring().limits(latency_ms=1).check()
    measuring = Measuring()
    measuring.limits(latency_ms=6).check()
    # with the smallest pictures
    assert measuring.asked == ["large 64", "small 64"]
