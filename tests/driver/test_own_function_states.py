"""The functions of the user's own that a study may call, those of its recipes among them."""

import sys
from pathlib import Path
from typing import Any

import pytest

from search.config.space import Space
from search.driver.own_functions import load_own_functions, own_points, remarks_on_reuse, states
from search.errors import SpaceError

SPACE: dict[str, Any] = {
    "study": "small",
    "data": {"source": "pictures"},
    "fixed": {"image_size": 64},
    "free": {"backbone": {"choice": ["a", "b"]}, "augment": {"float": [0.0, 1.0], "step": 0.5}},
}
MODULE = """
def seeded(picture, seed):
    return picture

def unseeded(picture):
    return picture

def halved(pictures):
    return pictures / 2.0
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's own, `functions_of_mine`, loaded by nobody yet."""
    file = tmp_path / "functions_of_mine.py"
    file.write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "functions_of_mine", raising=False)
    return file


def space(free: dict[str, Any] | None = None, **changes: Any) -> Space:
    return Space.model_validate({**SPACE, **changes, "free": {**SPACE["free"], **(free or {})}})


def choice(*names: str) -> dict[str, list[str]]:
    return {
        "choice": [name if name in ("builtin", "backbone") else f"functions_of_mine:{name}" for name in names]
    }


def test_every_choice_of_functions_is_a_point_at_which_the_augmentor_is_called() -> None:
    free = {"augmentor": choice("seeded", "unseeded"), "preprocess": choice("backbone", "halved")}
    found = own_points(space(free))
    assert [(point["augmentor"], point["preprocess"]) for point in found] == [
        ("functions_of_mine:seeded", "backbone"),
        ("functions_of_mine:seeded", "functions_of_mine:halved"),
        ("functions_of_mine:unseeded", "backbone"),
        ("functions_of_mine:unseeded", "functions_of_mine:halved"),
    ]
    assert {point["augment"] for point in found} == {1.0}
    still = {
        **SPACE,
        "free": {"backbone": SPACE["free"]["backbone"], "preprocess": choice("halved", "backbone")},
    }
    assert [len(point) for point in own_points(Space.model_validate(still))] == [1, 1]


def test_a_function_that_is_not_there_is_told_whether_a_space_or_a_recipe_names_it() -> None:
    of = space()
    load_own_functions(of, [])
    recipe = of.config_of_recipe({"augmentor": "functions_of_mine:absent", "augment": 0.5})
    with pytest.raises(SpaceError, match="augmentor: module functions_of_mine has no 'absent'"):
        load_own_functions(of, [recipe])
    with pytest.raises(SpaceError, match="preprocess: module functions_of_mine has no 'absent'"):
        load_own_functions(space({"preprocess": choice("halved", "absent")}), [])


def test_what_is_not_reused_is_said_once_and_only_where_something_could_be() -> None:
    free = {"augmentor": choice("seeded", "unseeded")}
    (remark,) = remarks_on_reuse(space(free), [])
    assert remark.startswith("augmentor: functions_of_mine:unseeded cannot be seeded")
    assert remarks_on_reuse(space(free, reuse={"enabled": False}), []) == []
    of = space()
    recipe = of.config_of_recipe({"augmentor": "functions_of_mine:unseeded", "augment": 0.5})
    assert remarks_on_reuse(of, [recipe]) == [remark]


def test_the_state_of_each_function_is_that_of_its_source(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = space({"augmentor": choice("seeded", "builtin")})
    recipe = of.config_of_recipe({"preprocess": "functions_of_mine:halved"})
    found = states(of, [recipe])
    assert found.keys() == {
        "state of functions_of_mine:seeded and what it imports",
        "state of functions_of_mine:halved and what it imports",
    }
    assert states(of, [recipe]) == found
    module.write_text(MODULE.replace("2.0", "4.0"))
    monkeypatch.delitem(sys.modules, "functions_of_mine")
    changed = states(of, [recipe])
    assert all(changed[name] != found[name] for name in found)
