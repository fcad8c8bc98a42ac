"""What advice changes in a study: the order of what is tried first. Nothing is lost, nothing is filtered."""

from typing import Any

import pytest

from search.config.space import Space
from search.driver.prior import Prior
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Proposal, Trial

SPACE: dict[str, Any] = {
    "study": "small",
    "data": {"source": "pictures"},
    "fixed": {"image_size": 64},
    "free": {
        "backbone": {"choice": ["a", "b", "c"]},
        "unfreeze": {"float": [0.0, 1.0], "step": 0.25},
        "head.lr": {"per_backbone": {"b": {"choice": [0.01]}, "other": {"choice": [0.001, 0.01]}}},
    },
    "start": [{"unfreeze": 1.0, "head.lr": 0.01}, {"unfreeze": 0.25}],
}
PRIOR = Prior(("c", "a", "b"), 0.25)


def space(**changes: Any) -> Space:
    return Space.model_validate({**SPACE, **changes})


def first_ones(prior: Prior, of: Space, n: int, recipes: dict[str, Any] | None = None) -> list[Proposal]:
    """What a study with this prior tries first."""
    configs = {name: of.config_of_recipe(settings) for name, settings in (recipes or {}).items()}
    scheduler = Scheduler(prior.space(of), prior.recipes(configs), [], None)
    found = []
    for number in range(n):
        proposal = scheduler.propose()
        assert proposal is not None
        found.append(proposal)
        scheduler.begin(Trial(number, proposal, 0))
    return found


def test_points_of_the_best_backbone_come_first_and_of_those_the_depth_that_suits() -> None:
    before = space().starts
    after = PRIOR.space(space()).starts
    assert [(point["backbone"], point["unfreeze"]) for point in after] == [
        ("c", 0.25), ("c", 1.0), ("a", 0.25), ("a", 1.0), ("b", 0.25), ("b", 1.0)
    ]  # fmt: skip
    assert sorted(map(str, after)) == sorted(map(str, before))


def test_the_scheduler_tries_them_in_this_order_after_the_recipes() -> None:
    recipes = {"deep": {"unfreeze": 1.0}, "shallow": {"unfreeze": 0.0}, "named": {"unfreeze": "block_3"}}
    found = first_ones(PRIOR, space(), 5, recipes)
    assert [one.recipe for one in found] == ["shallow", "named", "deep", None, None]
    assert [one.config.backbone for one in found] == ["a", "a", "a", "c", "c"]
    assert [one.config.unfreeze for one in found[3:]] == [0.25, 1.0]


@pytest.mark.parametrize(("unfreeze", "expected"), [(0.0, ["shallow", "deep"]), (1.0, ["deep", "shallow"])])
def test_the_case_orders_recipes_and_backbones_order_equals(unfreeze: float, expected: list[str]) -> None:
    of = space()
    both = {"shallow": {"unfreeze": 0.0}, "deep": {"unfreeze": 1.0}}
    configs = {name: of.config_of_recipe(settings) for name, settings in both.items()}
    assert list(Prior(("c", "a", "b"), unfreeze).recipes(configs)) == expected
    twins = {name: of.config_of_recipe({"unfreeze": 1.0, "backbone": name}) for name in ("a", "b", "c")}
    assert list(PRIOR.recipes(twins)) == ["c", "a", "b"]


def test_a_depth_that_is_named_counts_as_one_in_the_middle() -> None:
    of = space()
    depths = {"shallow": 0.0, "named": "block_3", "deep": 1.0}
    configs = {name: of.config_of_recipe({"unfreeze": depth}) for name, depth in depths.items()}
    assert list(Prior(("a",), 1.0).recipes(configs)) == ["deep", "named", "shallow"]


def test_a_recipe_of_a_backbone_that_was_not_probed_comes_last_of_equals() -> None:
    of = space()
    configs = {
        name: of.config_of_recipe({"unfreeze": 1.0}).model_copy(update={"backbone": name}) for name in "xa"
    }
    assert list(PRIOR.recipes(configs)) == ["a", "x"]


def test_where_there_are_no_points_one_is_made_of_what_was_found() -> None:
    (found,) = first_ones(PRIOR, space(start=[]), 1)
    assert (found.config.backbone, found.config.unfreeze) == ("c", 0.25)
    without_depth = {key: value for key, value in SPACE["free"].items() if key != "unfreeze"}
    (found,) = first_ones(PRIOR, space(start=[], free=without_depth), 1)
    assert (found.config.backbone, found.config.unfreeze) == ("c", space().config({"backbone": "c"}).unfreeze)


def test_a_grid_gets_no_point_of_its_own() -> None:
    grid = space(start=[], sampler={"name": "grid"})
    assert PRIOR.space(grid).starts == []


def test_the_space_stays_the_one_it_was() -> None:
    of = space()
    before = of.digest()
    PRIOR.space(of)
    assert of.digest() == before
    # whether advice is asked makes no other study
    assert space(advice={"enabled": False}).digest() == before


def test_it_is_read_from_the_advice_as_it_is_stored() -> None:
    rows = [{"probe": {"backbone": name}, "epoch_s": None} for name in "cab"]
    assert Prior.of({"backbones": rows, "case": {"unfreeze": 0.25}}) == PRIOR
