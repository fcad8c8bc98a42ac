"""The table of the pictures that people see first."""

from collections.abc import Mapping

import pandas as pd
import pytest

from search.config.space import Space
from search.data.table import DataSet
from search.view.counts import counts_text

BACKBONE = {"backbone": "mobilenet_025"}


def space(**sections: Mapping[str, object]) -> Space:
    return Space.model_validate({"study": "s", "data": {"source": "d"}, "fixed": BACKBONE, **sections})


def data(**counts: int) -> DataSet:
    """So many training pictures of each class, and one in each other split."""
    rows = [(name, "train") for name, n in counts.items() for _ in range(n)]
    rows += [(name, split) for split in ("validation", "test") for name in counts]
    table = pd.DataFrame(rows, columns=["label", "split"])
    return DataSet("pictures", "made", table, tuple(sorted(counts)), (), "fingerprint")


def test_pictures_are_counted_by_class_and_split_with_their_sums() -> None:
    lines = counts_text(data(cats=6, dogs=5), space()).splitlines()
    assert [line.split() for line in lines] == [
        ["train", "validation", "test", "all"],
        ["cats", "6", "1", "1", "8"],
        ["dogs", "5", "1", "1", "7"],
        ["2", "classes", "11", "2", "2", "15"],
    ]


@pytest.mark.parametrize(
    ("sections", "advice"),
    [
        ({}, "--set fixed.class_weight=balanced makes up for it in the training loss."),
        (
            {"fixed": {**BACKBONE, "class_weight": "balanced"}},
            "class_weight: balanced makes up for it in the",
        ),
        ({"free": {"class_weight": {"choice": ["none", "balanced"]}}}, "class_weight is searched."),
    ],
)
def test_classes_that_differ_in_size_are_told_with_the_way_out(
    sections: Mapping[str, Mapping[str, object]], advice: str
) -> None:
    lines = counts_text(data(cats=9, dogs=3, birds=6), space(**sections)).splitlines()
    assert lines[-2] == (
        "The classes are imbalanced: 'cats' has 3.0 times the training pictures of 'dogs', and always saying "
        "'cats' would be right in 50% of them."
    )
    assert lines[-1].startswith(advice)


def test_of_many_classes_the_largest_and_the_smallest_are_shown() -> None:
    text = counts_text(data(**{f"c{i:02}": 1 + (i == 7) for i in range(45)}), space())
    assert len(text.splitlines()) == 1 + 40 + 1 + 1 + 2
    assert text.splitlines()[1].split() == ["c07", "2", "1", "1", "4"]
    assert "45 classes" in text
    assert "(the 20 largest classes and the 20 smallest)" in text
    assert "'c07' has 2.0 times" in text
