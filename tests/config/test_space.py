"""A space: its configs, its identity and its digest."""

from typing import Any

import pytest

from search.config.space import Space


def _space(**changes: Any) -> Space:
    form: dict[str, Any] = {
        "study": "small",
        "data": {"source": "pictures"},
        "fixed": {"image_size": 96, "head.lr": 1e-3},
        "free": {"backbone": {"choice": ["small_net", "wide_net"]}, "dropout": {"float": [0.0, 0.5]}},
    }
    return Space.model_validate({**form, **changes})


def test_a_config_takes_what_is_given_then_what_is_fixed_then_defaults() -> None:
    space = _space(reuse={"n_draws": 7})
    config = space.config({"backbone": "wide_net", "dropout": 0.3})

    assert (config.backbone, config.dropout) == ("wide_net", 0.3)
    assert (config.image_size, config.head_lr) == (96, 1e-3)
    assert (config.batch_size, config.n_draws) == (32, 7)
    assert space.config({"backbone": "wide_net", "image_size": 64, "n_draws": 2}).n_draws == 2


def test_a_recipe_takes_defaults_for_what_it_leaves_open_or_the_first_value_of_the_space() -> None:
    free = {
        "backbone": {"choice": ["small_net", "wide_net"]},
        "image_size": {"choice": [96, 64]},
        "batch_size": {"choice": [16, 32]},
        "head.lr": {"per_backbone": {"small_net": {"float": [0.01, 0.1]}, "other": {"float": [1e-4, 0.1]}}},
    }
    space = _space(fixed={}, free=free)
    found = space.config_of_recipe({"dropout": 0.1})
    assert (found.backbone, found.image_size, found.batch_size) == ("small_net", 96, 32)
    assert (found.head_lr, found.dropout) == (0.01, 0.1)
    assert space.config_of_recipe({"backbone": "wide_net"}).head_lr == 1e-3
    assert space.config_of_recipe({"image_size": 128}).image_size == 128


def test_the_backbones_are_those_of_the_choice_or_the_fixed_one() -> None:
    assert _space().backbones == ("small_net", "wide_net")
    assert _space(fixed={"backbone": "deep_net"}, free={}).backbones == ("deep_net",)


def test_dimensions_are_those_that_the_file_names_under_their_keys() -> None:
    assert list(_space(free={"tune.epochs": {"int": [1, 2]}}).dimensions) == ["tune.epochs"]
    assert _space(fixed={}).fixed_settings == {}


def test_a_start_is_tried_with_each_backbone_unless_it_names_one() -> None:
    assert _space().starts == []
    starts = _space(start=[{"dropout": 0.2}, {"backbone": "wide_net"}]).starts
    assert starts == [
        {"backbone": "small_net", "dropout": 0.2},
        {"backbone": "wide_net", "dropout": 0.2},
        {"backbone": "wide_net"},
    ]


def test_of_a_start_counts_what_is_still_in_the_space() -> None:
    start = {"dropout": 0.4, "image_size": 64}
    narrowed = {"backbone": {"choice": ["small_net"]}, "dropout": {"float": [0.0, 0.3]}}
    assert _space(free=narrowed, start=[{**start, "backbone": "wide_net"}]).starts == [{}]
    by_backbone = {"per_backbone": {"small_net": {"float": [0.0, 0.3]}, "other": {"float": [0.0, 0.5]}}}
    free = {"backbone": {"choice": ["small_net", "wide_net"]}, "dropout": by_backbone}
    assert _space(free=free, start=[start]).starts == [
        {"backbone": "small_net"},
        {"backbone": "wide_net", "dropout": 0.4},
    ]


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("val_loss", "minimize"), ("val_accuracy", "maximize"), ("val_auc", "maximize")],
)
def test_a_loss_is_minimised_and_all_else_maximised(metric: str, direction: str) -> None:
    assert _space(objective={"metric": metric}).objective.direction == direction


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "other"},
        {"seed": 1},
        {"data": {"source": "other"}},
        {"data": {"source": "pictures", "split": {"seed": 1}}},
        {"data": {"source": "pictures", "draw_seed": 1}},
        {"objective": {"metric": "val_auc"}},
        {"sampler": {"name": "random"}},
        {"pruner": {"name": "none"}},
        {"start": [{"dropout": 0.2}]},
        {"fixed": {"image_size": 64, "head.lr": 1e-3}},
        {"fixed": {"image_size": 96}},
        {"free": {"backbone": {"choice": ["small_net"]}, "dropout": {"float": [0.0, 0.5]}}},
        {"free": {"backbone": {"choice": ["small_net", "wide_net"]}}},
        {"reuse": {"n_draws": 2}},
        {"reuse": {"features": "float16"}},
        {"recipes": ["tutorial_tenth"]},
    ],
)
def test_all_but_the_budget_and_the_stores_size_makes_a_study_another_one(
    changes: dict[str, Any],
) -> None:
    assert _space(**changes).digest() != _space().digest()


def test_the_budget_the_size_of_the_store_and_the_order_of_keys_do_not() -> None:
    turned = _space(
        budget={"trials": 3, "timeout": "2h"},
        fixed={"head.lr": 1e-3, "image_size": 96},
        sampler={"name": "tpe"},
        reuse={"limit": "3GB"},
    )
    assert turned.digest() == _space().digest()


def test_the_identity_is_json_and_holds_no_empty_values() -> None:
    identity = _space().identity()

    assert identity["fixed"] == {"image_size": 96, "head.lr": 1e-3}
    assert identity["free"]["dropout"] == {"float": [0.0, 0.5], "log": False}
    assert "budget" not in identity
    reuse = {"enabled": True, "n_draws": 4, "features": "float32", "fold_batch_norm": True}
    assert identity["reuse"] == reuse
