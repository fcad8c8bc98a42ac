import hashlib

import pytest

from search.data.split import SPLITS, SplitRule, split_of

CONTENTS = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(4000)]
TRAIN_ONLY = frozenset({"train"})


def splits(rule, given="train", folders=TRAIN_ONLY, contents=CONTENTS):
    return [split_of(content, given, folders, rule) for content in contents]


def shares(found):
    return [found.count(split) / len(found) for split in SPLITS]


def test_the_shares_hold_in_expectation():
    # 4,000 pictures: a share's standard error is at most 0.8 points.
    assert shares(splits(SplitRule(0.2, 0.1, seed=7))) == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


def test_the_split_of_a_picture_does_not_depend_on_the_others():
    rule = SplitRule()
    assert splits(rule, contents=CONTENTS[:50]) == splits(rule)[:50]


def test_the_split_is_the_same_on_every_machine_and_in_every_version():
    found = splits(SplitRule(0.2, 0.2, seed=42), contents=CONTENTS[:12])
    assert "".join(split[:2] for split in found) == "trvatrtrvatrtrtetrtevatr"


def test_another_seed_splits_otherwise():
    assert splits(SplitRule(seed=1)) != splits(SplitRule(seed=2))


@pytest.mark.parametrize(
    ("given", "folders", "expected"),
    [
        ("train", {"train"}, [0.6, 0.3, 0.1]),
        ("train", {"train", "validation"}, [1, 0, 0]),
        ("validation", {"train", "validation"}, [0, 0.5, 0.5]),
        ("train", {"train", "test"}, [0.7, 0.3, 0]),
        ("test", {"train", "test"}, [0, 0, 1]),
        ("train", {"train", "validation", "test"}, [1, 0, 0]),
        ("validation", {"train", "validation", "test"}, [0, 1, 0]),
        ("test", {"train", "validation", "test"}, [0, 0, 1]),
    ],
)
def test_a_split_without_a_folder_is_taken_from_one_that_has_one(given, folders, expected):
    assert shares(splits(SplitRule(0.3, 0.1), given, folders)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("validation", "test"), [(0, 0.2), (0.2, 0), (-0.1, 0.2), (0.5, 0.5), (float("nan"), 0.2)]
)
def test_shares_that_leave_a_split_empty_are_refused(validation, test):
    with pytest.raises(ValueError, match="leave some pictures for training, got"):
        SplitRule(validation, test)
