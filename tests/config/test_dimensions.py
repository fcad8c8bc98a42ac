"""Dimensions: what they refuse, and which values they hold."""

import pytest
from pydantic import TypeAdapter, ValidationError

from search.config.dimensions import Choice, Dimension, FloatRange, IntRange, PerBackbone

_DIMENSION: TypeAdapter[Dimension] = TypeAdapter(Dimension)

HELD = [
    ({"choice": ["a", 0.5, 3, True]}, ["a", 0.5, 3, 3.0, True], ["b", 1, False, 0.4, None]),
    ({"float": [0.0, 1.0]}, [0, 0.0, 0.123, 1.0], [-0.1, 1.1, "0.5", True, None]),
    ({"float": [0.0, 1.0], "step": 0.1}, [0.0, 0.3, 0.1 + 0.2, 1.0], [0.05, 1.1, True]),
    ({"float": [0.0, 1.0], "step": 0.3}, [0.9], [1.0]),
    ({"float": [1e-4, 1e-2], "log": True}, [1e-4, 1e-3, 1e-2], [0.0, 0.1]),
    ({"int": [1, 10]}, [1, 10], [0, 11, 1.5, 2.0, True]),
    ({"int": [1, 10], "step": 4}, [1, 5, 9], [10, 4]),
    ({"per_backbone": {"a": {"int": [1, 2]}, "other": {"choice": [7]}}}, [1, 2, 7], [3]),
]
REFUSED = [
    ({"choice": []}, "at least 1 item"),
    ({"choice": [1, 1.0]}, "names a value twice"),
    ({"choice": ["a", "a"]}, "names a value twice"),
    ({"choice": [["a"]]}, "expected a number, a word, true or false"),
    ({"float": [1.0, 0.0]}, r"\[1.0, 0.0\] holds nothing to search"),
    ({"float": [1.0, 1.0]}, "holds nothing to search"),
    ({"float": [0.0, float("inf")]}, "an end that is not finite"),
    ({"float": [float("nan"), 1.0]}, "an end that is not finite"),
    ({"float": [0.0, 1.0], "log": True}, "starts at or below 0"),
    ({"float": [0.1, 1.0], "log": True, "step": 0.1}, "both log and step"),
    ({"float": [0.0, 1.0], "step": 2.0}, "step 2.0 does not fit"),
    ({"float": [0.0, 1.0], "step": 0.0}, "step 0.0 does not fit"),
    ({"float": [0.0]}, "at least 2 items"),
    ({"int": [1, 2, 3]}, "at most 2 items"),
    ({"int": [1, 2.5]}, "valid integer"),
    ({"int": [1, 3], "step": -1}, "step -1 does not fit"),
    ({"int": [1, True]}, "valid integer"),
    ({"per_backbone": {}}, "at least 1 item"),
    ({"per_backbone": {"a": {"per_backbone": {}}}}, "does not match any of the expected tags"),
    ({"int": [1, 2], "float": [0.0, 1.0]}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("form", "held", "others"), HELD)
def test_a_dimension_holds_its_values_and_no_others(
    form: object, held: list[object], others: list[object]
) -> None:
    dimension = _DIMENSION.validate_python(form)

    assert [value for value in held if not dimension.holds(value)] == []
    assert [value for value in others if dimension.holds(value)] == []


@pytest.mark.parametrize(("form", "message"), REFUSED)
def test_a_dimension_that_cannot_be_searched_is_refused(form: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _DIMENSION.validate_python(form)


def test_a_true_and_a_one_are_two_choices() -> None:
    assert Choice(choice=[True, 1]).values() == [True, 1]


def test_the_high_end_counts_only_where_it_is_on_the_grid() -> None:
    assert FloatRange(float=[0.0, 1.0], step=0.3).ends() == [0.0, 0.9]
    assert FloatRange(float=[0.0, 1.0], step=0.1).ends() == [0.0, 1.0]
    assert FloatRange(float=[0.0, 1.0]).ends() == [0.0, 1.0]
    assert IntRange(int=[1, 10], step=4).ends() == [1, 9]


def test_a_grid_of_tenths_has_no_crooked_values() -> None:
    assert FloatRange(float=[0.0, 0.5], step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert FloatRange(float=[0.0, 0.5]).values() is None


def test_a_backbone_has_its_own_range_or_that_of_the_others() -> None:
    own, rest = IntRange(int=[1, 2]), IntRange(int=[3, 4])

    assert PerBackbone(per_backbone={"a": own, "other": rest}).of("a") == own
    assert PerBackbone(per_backbone={"a": own, "other": rest}).of("b") == rest
    assert PerBackbone(per_backbone={"a": own}).of("b") is None
