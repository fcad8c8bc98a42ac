"""`--set KEY=VALUE`: what it changes, and what it refuses."""

from collections.abc import Callable

import pytest

from search.config.read import read_space
from search.config.space import Space
from search.errors import SpaceError

WriteSpace = Callable[..., str]
NETS = ("small_net", "wide_net")
TEXT = """\
study: small
data: {source: pictures}
fixed: {image_size: 96}
free:
  backbone: {choice: [small_net]}
  unfreeze: {float: [0.0, 1.0], step: 0.25}
  head.lr: {float: [1.0e-4, 1.0e-2], log: true}
  dropout: {float: [0.0, 0.5], step: 0.1}
recipes: [feature_extraction]
"""


@pytest.fixture
def assigned(write_space: WriteSpace) -> Callable[..., Space]:
    study = write_space(TEXT)
    return lambda *assignments: read_space(study, assignments, NETS).space


def test_a_list_is_a_choice(assigned: Callable[..., Space]) -> None:
    assert assigned("free.backbone=[wide_net,small_net]").backbones == ("wide_net", "small_net")
    assert assigned("free.unfreeze=[0.0, 1.0]").dimensions["unfreeze"].ends() == [0.0, 1.0]


def test_no_recipes(assigned: Callable[..., Space]) -> None:
    assert assigned("recipes=[]").recipes == []


def test_a_free_dimension_becomes_fixed_and_the_other_way_round(assigned: Callable[..., Space]) -> None:
    fixed = assigned("fixed.unfreeze=1.0")
    assert "unfreeze" not in fixed.dimensions
    assert fixed.fixed_settings["unfreeze"] == 1.0

    free = assigned("free.image_size=[64,96]")
    assert "image_size" not in free.fixed_settings
    assert free.dimensions["image_size"].ends() == [64, 96]


def test_a_key_with_a_dot_is_one_key(assigned: Callable[..., Space]) -> None:
    assert assigned("fixed.head.lr=1.0e-3").fixed_settings["head.lr"] == 1e-3
    assert assigned("free.tune.epochs={int: [1, 3]}").dimensions["tune.epochs"].ends() == [1, 3]


def test_any_key_can_be_set_down_to_a_part_of_a_dimension(assigned: Callable[..., Space]) -> None:
    space = assigned(
        "study=other",
        "data.split.test=0.3",
        "sampler.name=random",
        "budget.trials=3",
        "budget.timeout=2h",
        "seed=7",
        "reuse.enabled=false",
        "free.dropout.step=0.25",
        "free.head.lr.log=false",
    )
    assert (space.study, space.data.split.test, space.sampler.name) == ("other", 0.3, "random")
    assert (space.budget.trials, space.budget.timeout_s, space.seed) == (3, 7200.0, 7)
    assert not space.reuse.enabled
    assert space.dimensions["dropout"].ends() == [0.0, 0.5]
    assert space.dimensions["dropout"].holds(0.25)
    assert not space.dimensions["dropout"].holds(0.1)


def test_the_later_of_two_assignments_counts(assigned: Callable[..., Space]) -> None:
    assert assigned("seed=1", "seed=2").seed == 2
    assert assigned("fixed.dropout=0.3", "free.dropout=[0.1,0.2]").dimensions["dropout"].ends() == [0.1, 0.2]
    assert assigned("free.dropout=[0.1,0.2]", "fixed.dropout=0.3").fixed_settings["dropout"] == 0.3


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seed", "^--set seed: expected KEY=VALUE, such as --set fixed.image_size=96"),
        ("=3", "^--set =3: expected KEY=VALUE"),
        ("fixed.droput=0.1", r"^--set: fixed.droput: is no key here \(did you mean dropout\?\)"),
        ("sed=1", r"^--set: sed: is no key here \(did you mean seed\?\)"),
        ("fixed.head.lr=1e-3", "^--set: fixed.head.lr: '1e-3' is text in YAML; write 1.0e-3"),
        ("fixed.batch_size=no", "--set: fixed.batch_size: 'no' means false in YAML"),
        ("fixed.unfreeze=2.0", "^--set: fixed.unfreeze: 2.0 is no share of the blocks"),
        ("free.dropout.stp=1", r"^--set: free.dropout.stp: .*\(did you mean step\?\)"),
        ("free.backbone=[smal_net]", r"^--set: free.backbone: no backbone is called 'smal_net'"),
        ("free.backbone=small_net", "^--set: free.backbone: expected one of"),
        ("fixed.dropout={a", "^--set: fixed.dropout: is not valid YAML"),
        ("study.name=x", "^--set: study.name: study holds no other keys; set study itself"),
        ("data.split.test=0.9", "^--set: data.split: validation 0.2 and test 0.9 leave nothing"),
        ("free.dropout=", "^--set: free.dropout: expected one of .*, got None"),
        ("budget.timeout=2x", "^--set: budget.timeout: '2x' is no duration"),
    ],
)
def test_a_wrong_assignment_is_told_as_one(
    assigned: Callable[..., Space], assignment: str, message: str
) -> None:
    with pytest.raises(SpaceError, match=message) as caught:
        assigned(assignment)
    assert all(sentence.startswith("--set") for sentence in caught.value.sentences)


def test_all_wrong_assignments_are_told(assigned: Callable[..., Space]) -> None:
    with pytest.raises(SpaceError) as caught:
        assigned("x", "fixed.dropout={a", "seed=1e-3", "fixed.batch_size=0")
    # 1e-3 is no YAML number, and no whole one either
    assert len(caught.value.sentences) == 5


def test_a_section_that_the_file_leaves_empty_can_be_filled(write_space: WriteSpace) -> None:
    study = write_space("study: small\ndata: {source: a}\nfixed:\nfree: {backbone: {choice: [small_net]}}\n")
    assert read_space(study, ["fixed.dropout=0.1"], NETS).space.fixed_settings == {"dropout": 0.1}
