"""Dimensions in Optuna, and the way back from its points to configs."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.scheduler.distributions import all_distributions, in_order, params_of, suggest

MakeSpace = Callable[..., Space]

KINDS = [
    ({"choice": [16, 32]}, CategoricalDistribution([16, 32])),
    ({"int": [16, 32]}, IntDistribution(16, 32)),
    ({"int": [16, 32], "step": 5}, IntDistribution(16, 31, step=5)),
    ({"int": [16, 32], "log": True}, IntDistribution(16, 32, log=True)),
]
FLOATS = [
    ({"float": [0.1, 0.5]}, FloatDistribution(0.1, 0.5)),
    ({"float": [0.1, 0.5], "log": True}, FloatDistribution(0.1, 0.5, log=True)),
    ({"float": [0.0, 0.5], "step": 0.1}, FloatDistribution(0.0, 0.5, step=0.1)),
    ({"float": [0.0, 0.5], "step": 0.2}, FloatDistribution(0.0, 0.4, step=0.2)),
]
CONDITIONAL = {
    "backbone": {"choice": ["a", "b"]},
    "unfreeze": {"float": [0.0, 1.0], "step": 0.5},
    "tune.epochs": {"int": [1, 3]},
    "dropout": {"per_backbone": {"a": {"float": [0.0, 0.2]}, "other": {"choice": [0.4, 0.5]}}},
}


def _suggested(space: Space, **params: Any) -> tuple[TrialConfig, dict[str, Any]]:
    trial = optuna.trial.FixedTrial(params)
    config = suggest(space, trial)  # type: ignore[arg-type]
    return config, trial.params


@pytest.mark.filterwarnings("error::UserWarning", "error::FutureWarning")
@pytest.mark.parametrize(
    ("key", "form", "distribution"),
    [*(("batch_size", *kind) for kind in KINDS), *(("dropout", *kind) for kind in FLOATS)],
)
def test_every_kind_of_dimension_has_its_distribution(
    make_space: MakeSpace, key: str, form: Any, distribution: Any
) -> None:
    space = make_space(free={key: form}, fixed={"backbone": "a"})

    assert all_distributions(space) == {key: distribution}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        asked = study.ask()
        config = suggest(space, asked)
        assert asked.distributions == {key: distribution}
        assert space.dimensions[key].holds(config.flat()[key])
        assert params_of(space, config) == ({key: config.flat()[key]}, {key: distribution})


def test_nothing_is_asked_of_stage_2_where_nothing_is_unfrozen(make_space: MakeSpace) -> None:
    space = make_space(free=CONDITIONAL)

    frozen, params = _suggested(space, backbone="b", unfreeze=0.0, **{"dropout[b]": 0.4})
    assert sorted(params) == ["backbone", "dropout[b]", "unfreeze"]
    assert not frozen.tunes

    tuned, params = _suggested(space, backbone="a", unfreeze=0.5, **{"tune.epochs": 2, "dropout[a]": 0.1})
    assert sorted(params) == ["backbone", "dropout[a]", "tune.epochs", "unfreeze"]
    assert (tuned.tune_epochs, tuned.dropout, tuned.backbone) == (2, 0.1, "a")


def test_stage_2_has_no_dimension_where_unfreeze_is_fixed_at_0(make_space: MakeSpace) -> None:
    space = make_space(free={"tune.epochs": {"int": [1, 3]}}, fixed={"backbone": "a", "unfreeze": 0.0})
    assert _suggested(space)[1] == {}


def test_a_dimension_that_differs_by_backbone_is_another_one_for_each(make_space: MakeSpace) -> None:
    found = all_distributions(make_space(free=CONDITIONAL))

    assert found["dropout[a]"] == FloatDistribution(0.0, 0.2)
    assert found["dropout[b]"] == CategoricalDistribution([0.4, 0.5])
    assert "dropout" not in found


@pytest.mark.parametrize(
    ("settings", "params"),
    [
        ({"backbone": "b", "unfreeze": 0.0, "dropout": 0.4}, ["backbone", "unfreeze", "dropout[b]"]),
        (
            {"backbone": "a", "unfreeze": 0.5, "dropout": 0.1, "tune.epochs": 2},
            ["backbone", "unfreeze", "tune.epochs", "dropout[a]"],
        ),
        (
            {"backbone": "b", "unfreeze": 0.0, "dropout": 0.4, "n_draws": 9},
            ["backbone", "unfreeze", "dropout[b]"],
        ),
        ({"backbone": "b", "unfreeze": 0.0, "dropout": 0.1}, None),
        ({"backbone": "a", "unfreeze": 0.25, "dropout": 0.1, "tune.epochs": 2}, None),
        ({"backbone": "a", "unfreeze": 0.5, "dropout": 0.1, "tune.epochs": 10}, None),
        ({"backbone": "c", "unfreeze": 0.0, "dropout": 0.4}, None),
        ({"backbone": "b", "unfreeze": 0.0, "dropout": 0.4, "image_size": 64}, None),
        ({"backbone": "b", "unfreeze": 0.0, "dropout": 0.4, "weights": "none"}, None),
        ({"backbone": "b", "unfreeze": "block_3", "dropout": 0.4}, None),
    ],
)
def test_a_config_has_params_only_where_it_is_a_point_of_the_space(
    make_space: MakeSpace, settings: dict[str, Any], params: list[str] | None
) -> None:
    space = make_space(free=CONDITIONAL)
    found = params_of(space, space.config(settings))

    assert (None if found is None else sorted(found[0])) == (None if params is None else sorted(params))
    if found is not None:
        assert found[0].keys() == found[1].keys()
        assert found[0]["unfreeze"] == settings["unfreeze"]


def test_a_config_of_a_space_without_its_backbone_is_no_point_whatever_differs_by_backbone(
    make_space: MakeSpace,
) -> None:
    free = {"dropout": {"per_backbone": {"a": {"choice": [0.1]}, "b": {"choice": [0.2]}}}}
    space = make_space(free={"backbone": {"choice": ["a", "b"]}, **free})
    assert params_of(space, space.config({"backbone": "c", "dropout": 0.1})) is None


def test_params_from_a_database_are_put_into_the_order_in_which_they_were_suggested(
    make_space: MakeSpace,
) -> None:
    space = make_space(free=CONDITIONAL)
    config, params = _suggested(space, backbone="a", unfreeze=0.5, **{"tune.epochs": 2, "dropout[a]": 0.1})
    point = params_of(space, config)

    assert point is not None
    assert list(point[0]) == list(params)
    assert in_order(space, dict(reversed(params.items()))) == list(params)
