"""The study's file: another space or other pictures are refused, with the difference and two ways out."""

import json
from pathlib import Path
from typing import Any

import pytest

from search.config.space import Space
from search.driver.study_file import StudyFile
from search.errors import StudyError

COMMAND = "python -m search.run --study small"
COUNTS = {"n_train": 600, "n_validation": 200, "n_test": 200, "classes": ["cats", "dogs"]}
WAYS_OUT = (
    "give it a name of its own with --set study=NAME, or discard the old one: "
    "python -m search.run --study small --fresh."
)


def _space(**changes: Any) -> Space:
    form = {
        "study": "small",
        "data": {"source": "pictures"},
        "free": {"backbone": {"choice": ["a", "b"]}, "dropout": {"float": [0.0, 0.5]}},
    }
    return Space.model_validate({**form, **changes})


@pytest.fixture
def file(tmp_path: Path) -> StudyFile:
    found = StudyFile.of(tmp_path, "small")
    found.write(_space(), "f1" * 32, COUNTS)
    return found


def test_a_study_that_was_not_begun_agrees_with_all(tmp_path: Path) -> None:
    file = StudyFile.of(tmp_path, "small")

    assert not file.exists()
    file.check_space(_space(), COMMAND)
    file.check_data("f1" * 32, COUNTS, "small", COMMAND)


def test_the_same_space_and_pictures_go_on_whatever_the_budget(file: StudyFile) -> None:
    assert file.exists()
    assert file.path.name == "small.json"
    file.check_space(_space(budget={"trials": 99}), COMMAND)
    file.check_data("f1" * 32, COUNTS, "small", COMMAND)


def test_another_space_is_refused_with_every_difference_and_two_ways_out(file: StudyFile) -> None:
    other = _space(
        seed=3,
        fixed={"image_size": 96},
        free={"backbone": {"choice": ["a"]}, "dropout": {"float": [0.0, 0.4]}},
    )
    with pytest.raises(StudyError) as caught:
        file.check_space(other, COMMAND)

    assert str(caught.value) == (
        "Study small was begun with another space (seed: 0 then, 3 now; "
        "fixed.image_size: not set then, 96 now; "
        'free.backbone.choice: ["a", "b"] then, ["a"] now; '
        f"free.dropout.float: [0.0, 0.5] then, [0.0, 0.4] now); {WAYS_OUT}"
    )


def test_other_pictures_are_refused_with_both_counts_and_two_ways_out(file: StudyFile) -> None:
    with pytest.raises(StudyError) as caught:
        file.check_data("e2" * 32, {**COUNTS, "n_train": 601}, "small", COMMAND)

    assert str(caught.value) == (
        "Study small was begun with other pictures (then n_train 600, n_validation 200, n_test 200, "
        "classes ['cats', 'dogs'], f1f1f1f1f1f1; now n_train 601, n_validation 200, n_test 200, "
        f"classes ['cats', 'dogs'], e2e2e2e2e2e2); {WAYS_OUT}"
    )


def test_a_study_that_is_forgotten_can_begin_anew(file: StudyFile) -> None:
    file.delete()
    file.delete()
    file.check_space(_space(seed=3), COMMAND)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"space": {}}', '{"space": {}, "data": {}}', "3"])
def test_a_damaged_file_is_told_with_the_way_out(file: StudyFile, text: str) -> None:
    file.path.write_text(text)
    with pytest.raises(StudyError, match=r"small\.json is damaged \(.*\); delete it, and the study goes on"):
        file.check_space(_space(), COMMAND)
    with pytest.raises(StudyError, match="is damaged"):
        file.check_data("f1" * 32, COUNTS, "small", COMMAND)


def test_the_file_holds_digestible_facts_for_people(file: StudyFile) -> None:
    content = json.loads(file.path.read_text())

    assert content["space"] == _space().identity()
    assert content["data"] == {"fingerprint": "f1" * 32, "counts": COUNTS}
