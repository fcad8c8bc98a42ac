"""Reading space files: all that is right is taken, all that is wrong is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.config.read import SpaceFile, read_recipe, read_space, spaces_folder
from search.errors import SpaceError
from search.model.backbones import BACKBONES

WriteSpace = Callable[..., str]
NETS = ("small_net", "wide_net", "deep_net")
HEAD = "study: small\ndata: {source: pictures}\n"
FIXED = HEAD + "fixed: {backbone: small_net}\n"
_FORMS = r"\{choice: \[...\]\}, \{float: \[low, high\]\}, \{int: \[low, high\]\}"

# text of the file, then what is told of it: line, key, what
MISTAKES = [
    (
        FIXED + "objektive: {}\n",
        r"line 4: objektive: is no key here \(did you mean objective\?\); there are ",
    ),
    (HEAD + "fixed: {backbone: small_net, droput: 0.1}\n", r"line 3: fixed.droput: .* mean dropout\?\)"),
    (FIXED + "free: {head.epoch: {int: [1, 2]}}\n", r"line 4: free.head.epoch: .* mean head.epochs\?\)"),
    (FIXED + "free: {weights: {choice: [none]}}\n", "line 4: free.weights: is no key here"),
    (FIXED + "free: {dropout: {floot: [0, 1]}}\n", rf"line 4: free.dropout: expected one of {_FORMS}, "),
    (FIXED + "free: {dropout: {floot: [0, 1]}}\n", r"got \{'floot': \[0, 1\]\} \(did you mean float\?\)"),
    (FIXED + "free: {dropout: 0.1}\n", "line 4: free.dropout: expected one of .*, got 0.1"),
    (FIXED + "free: {dropout: }\n", "line 4: free.dropout: expected one of .*, got None"),
    (FIXED + "free: {dropout: {float: [0.5]}}\n", r"free.dropout.float: expected two numbers \[low, high\]"),
    (FIXED + "free: {dropout: {float: [0.5, a]}}\n", "free.dropout.float: expected a number, got 'a'"),
    (FIXED + "free: {dropout: {float: [0.5, 0.1]}}\n", r"free.dropout: \[0.5, 0.1\] holds nothing to search"),
    (FIXED + "free: {dropout: {float: [0, 1], stp: 1}}\n", r"free.dropout.stp: .*\(did you mean step\?\)"),
    (
        FIXED + "free: {dropout: {float: [0.0, 2.0]}}\n",
        "free.dropout: expected a number less than 1, got 2.0",
    ),
    (FIXED + "free: {head.epochs: {float: [1, 2]}}\n", "free.head.epochs: expected a whole number, got 1.0"),
    (FIXED + "free: {optimizer: {choice: [adm]}}\n", r"free.optimizer: .* got 'adm' \(did you mean adam\?\)"),
    (FIXED + "free: {augment: {choice: []}}\n", r"free.augment.choice: expected at least one, got \[\]"),
    (FIXED + "free: [dropout]\n", "line 4: free: expected a mapping of keys to values"),
    (FIXED + "free:\n  backbone: {choice: [small_net]}\n", "line 5: free.backbone: stands in fixed as well"),
    (
        HEAD + "fixed: {backbone: smal_net}\n",
        r"no backbone is called 'smal_net' \(did you mean small_net\?\)",
    ),
    (HEAD + "fixed: {backbone: zzz}\n", "'zzz'; there are deep_net, small_net, wide_net"),
    (HEAD + "free: {backbone: {choice: [a_net, b_net]}}\n", "free.backbone: no backbone is called 'b_net'"),
    (HEAD + "fixed: {dropout: 0.1}\n", "free.backbone: is missing; name at least one"),
    (
        HEAD + "fixed: {backbone: small_net, batch_size: many}\n",
        "batch_size: expected a whole number, got 'ma",
    ),
    (HEAD + "fixed: {backbone: small_net, head.lr: }\n", "fixed.head.lr: expected a number, got None"),
    (HEAD + "fixed: {backbone: small_net, unfreeze: 2}\n", "fixed.unfreeze: 2 is no share of the blocks"),
    ("data: {source: a}\nfixed: {backbone: small_net}\n", "a.yaml: study: is missing; add it"),
    ("study: a\ndata: {}\nfixed: {backbone: small_net}\n", "line 2: data.source: is missing; add it"),
    ("study: a b\ndata: {source: a}\nfixed: {backbone: small_net}\n", "line 1: study: 'a b' names files"),
    ("study: 3\ndata: {source: a}\nfixed: {backbone: small_net}\n", "line 1: study: expected text, got 3"),
    (FIXED.replace("s}", "s, split: {test: 0.9}}"), "line 2: data.split: validation 0.2 and test 0.9 leave"),
    (FIXED + "sampler: {name: tpee}\n", r"line 4: sampler.name: expected 'tpe', .*\(did you mean tpe\?\)"),
    (FIXED + "sampler: tpe\n", "line 4: sampler: expected a mapping of keys to values, got 'tpe'"),
    (
        FIXED + "pruner: {patience: 0}\n",
        "pruner.patience: expected a number greater than or equal to 1, got 0",
    ),
    (
        FIXED + "budget: {timeout: 2}\n",
        "line 4: budget.timeout: '2' is no duration; write a number and a unit",
    ),
    (FIXED + "budget: {trials: 0}\n", "line 4: budget.trials: expected a number greater than or equal to 1"),
    (
        FIXED + "reuse: {limit: 20}\n",
        "line 4: reuse.limit: '20' is no size; write a number and a unit, such as 500MB, 20GB or 1.5TB.",
    ),
    (FIXED + "reuse: {enabled: 1}\n", "line 4: reuse.enabled: expected true or false, got 1"),
    (FIXED + "recipes: feature_extraction\n", r"line 4: recipes: expected a list \[ \], got 'feature_ext"),
    (
        FIXED + "recipes:\n  - tutorial_tent\n",
        r"'tutorial_tent' \(did you mean tutorial_tenth\?\); there are",
    ),
    (FIXED + "recipes:\n  - tutorial_tenth\n  - 3\n", "line 6: recipes: expected text, got 3"),
    (
        FIXED + "free: {dropout: {per_backbone: {wide_net: {float: [0, 0.5]}}}}\n",
        "free.dropout: says nothing for small_net; add it, or 'other' for all the rest",
    ),
    (
        FIXED + "free: {dropout: {per_backbone: {smal_net: {float: [0, 0.5]}}}}\n",
        r"dropout.per_backbone.smal_net: is no backbone of this space \(did you mean small_net\?\)",
    ),
    (
        FIXED + "free: {dropout: {per_backbone: {small_net: {float: [0, 0.5], s: 1}}}}\n",
        "free.dropout.per_backbone.small_net.s: is no key here",
    ),
    (
        FIXED + "free: {dropout: {per_backbone: {small_net: {}}}}\n",
        rf"free.dropout.per_backbone.small_net: expected one of {_FORMS}, got",
    ),
    (
        HEAD + "free: {backbone: {per_backbone: {other: {choice: [small_net]}}}}\n",
        "free.backbone: cannot depend on itself",
    ),
    (
        FIXED + "free: {classifier: {choice: [softmax, svm]}, head.hidden: {choice: [none, 64]}}\n",
        "line 4: free.classifier: classifier svm is fitted to the codes; it goes with head.hidden none",
    ),
    (
        FIXED + "sampler: {name: grid}\nfree: {dropout: {float: [0, 0.5]}}\n",
        "line 5: free.dropout: has no grid, which the grid sampler needs; add a step or list choices",
    ),
]


def _read(study: str, *assignments: str) -> SpaceFile:
    return read_space(study, assignments, NETS)


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_told_with_file_line_and_key(write_space: WriteSpace, text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as caught:
        _read(write_space(text))
    assert all(
        sentence.startswith("a.yaml") and sentence.endswith(".") for sentence in caught.value.sentences
    )


def test_all_mistakes_are_told_at_once_whatever_their_kind(write_space: WriteSpace) -> None:
    text = """\
study: my study
fixed: {head.lr: 1e-4, batch_size: 1.5, batch_size: 2}
sampler: {nme: tpe}
free:
  backbone: {choice: [smal_net]}
  dropout: {float: [0.0, 2.0]}
  tune.warmup: {floot: [0, 1]}
recipes: [no_such, 3]
"""
    with pytest.raises(SpaceError) as caught:
        _read(write_space(text))

    told = "\n".join(caught.value.sentences)
    keys = (
        "study:",
        "data:",
        "head.lr:",
        "fixed.batch_size: stands here and on line 2",
        "fixed.batch_size: expected a whole number",
        "sampler.nme:",
        "free.backbone:",
        "free.dropout:",
        "free.tune.warmup:",
        "'no_such'",
        "recipes: expected text, got 3",
    )
    assert [key for key in keys if key not in told] == []
    assert len(caught.value.sentences) == len(keys)


def test_the_shipped_space_files_are_right() -> None:
    files = sorted(spaces_folder().glob("*.yaml"))
    assert {"cats_dogs", "cats_dogs_cpu"} <= {path.stem for path in files}
    for path in files:
        found = read_space(path.stem, [], BACKBONES)
        assert found.space.study == path.stem
        assert found.left_out == {}


def test_a_study_is_a_name_or_a_file(write_space: WriteSpace) -> None:
    assert read_space("cats_dogs", [], BACKBONES).path == spaces_folder() / "cats_dogs.yaml"
    assert _read(write_space()).space.study == "small"
    with pytest.raises(SpaceError, match=r"no space is called 'cat_dogs' \(did you mean cats_dogs\?\)"):
        _read("cat_dogs")
    with pytest.raises(SpaceError, match=r"^--study: there is no file missing\.yaml; give one that exists"):
        _read("missing.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00study")
    with pytest.raises(SpaceError, match=r"a\.yaml: cannot be read as UTF-8 text"):
        _read(str(path))


def test_recipes_are_read_in_their_order_and_once(write_space: WriteSpace) -> None:
    text = FIXED + "recipes: [tutorial_tenth, feature_extraction, tutorial_tenth]\n"
    found = _read(write_space(text))

    assert [recipe.name for recipe in found.recipes] == ["tutorial_tenth", "feature_extraction"]
    assert found.recipes[0].settings["tune.lr_ratio"] == 0.1
    assert found.recipes[0].summary.startswith("10 epochs on the head")


def test_recipes_that_set_contradicts_are_left_out_by_name(write_space: WriteSpace) -> None:
    study = write_space(FIXED + "recipes: [feature_extraction, tutorial_tenth]\n")
    cases = {
        "fixed.unfreeze=1.0": {"feature_extraction": "--set contradicts its unfreeze=0.0"},
        "free.unfreeze=[0.25,1]": {"feature_extraction": "--set contradicts its unfreeze=0.0"},
        "fixed={backbone: small_net, optimizer: sgd}": {
            "feature_extraction": "--set contradicts its optimizer=adam",
            "tutorial_tenth": "--set contradicts its optimizer=adam",
        },
        "free.augment={float: [0.2, 0.3]}": {"feature_extraction": "--set contradicts its augment=0.0"},
        "fixed.image_size=96": {},
        "fixed.optimizer=adam": {},
        "reuse.n_draws=2": {},
    }
    for assignment, left_out in cases.items():
        found = _read(study, assignment)
        assert found.left_out == left_out, assignment
        assert {recipe.name for recipe in found.recipes} == {recipe.name for recipe in found.named} - set(
            left_out
        )
        assert len(found.named) == 2


def test_what_the_file_itself_says_contradicts_no_recipe(write_space: WriteSpace) -> None:
    text = HEAD + "fixed: {backbone: small_net, optimizer: sgd}\nrecipes: [tutorial_tenth]\n"
    assert _read(write_space(text)).left_out == {}


def test_a_start_that_the_space_does_not_hold_is_a_mistake_unless_set_says_otherwise(
    write_space: WriteSpace,
) -> None:
    free = "free: {dropout: {float: [0.0, 0.5], step: 0.1}}\n"
    study = write_space(FIXED + free + "start:\n  - {dropout: 0.2}\n  - {dropout: 0.25, optimizer: sgd}\n")
    with pytest.raises(SpaceError) as caught:
        _read(study)
    assert sorted(caught.value.sentences) == [
        "a.yaml, line 7: start.dropout: no dimension in free holds 0.25.",
        "a.yaml, line 7: start.optimizer: no dimension in free holds 'sgd'.",
    ]
    found = _read(study, "free.dropout={float: [0.2, 0.24]}", "fixed.optimizer=adam")
    assert found.space.starts == [{"dropout": 0.2}, {}]


def test_a_typing_error_in_a_start_is_told_with_the_nearest_key(write_space: WriteSpace) -> None:
    study = write_space(FIXED + "start: [{unfreez: 1.0}]\n")
    with pytest.raises(SpaceError, match=r"start\.unfreez: is no key here \(did you mean unfreeze\?\)"):
        _read(study)


def test_a_recipe_of_ones_own_is_a_file(write_space: WriteSpace, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("summary: mine\nfixed: {backbone: wide_net, head.epochs: 3}\n")
    found = _read(write_space(FIXED + f"recipes: ['{own}']\n"))

    assert found.recipes[0].name == "own"
    assert found.recipes[0].settings == {"backbone": "wide_net", "head.epochs": 3}


def test_all_mistakes_of_all_recipes_are_told(write_space: WriteSpace, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("summery: x\nfixed: {backbone: vide_net, head.epoch: 3, head.lr: 1e-4}\n")
    second.write_text("summary: x\n")
    with pytest.raises(SpaceError) as caught:
        _read(write_space(FIXED + f"recipes: ['{first}', '{second}']\n"))

    assert [sentence.partition(": ")[2][:60] for sentence in caught.value.sentences] == [
        "fixed.head.lr: '1e-4' is text in YAML; write 1.0e-4.",
        "summery: is no key here (did you mean summary?); there are s",
        "fixed.head.epoch: is no key here (did you mean head.epochs?)",
        "fixed.backbone: no backbone is called 'vide_net' (did you me",
        "fixed: expected a mapping of settings.",
    ]


def test_two_recipes_of_one_name_are_refused(write_space: WriteSpace, tmp_path: Path) -> None:
    own = tmp_path / "tutorial_tenth.yaml"
    own.write_text("fixed: {head.epochs: 3}\n")
    with pytest.raises(SpaceError, match="two recipes are called 'tutorial_tenth'; rename one"):
        _read(write_space(FIXED + f"recipes: [tutorial_tenth, '{own}']\n"))


def test_the_shipped_recipes_are_those_of_their_descriptions() -> None:
    folder = spaces_folder() / "recipes"
    tenth = read_recipe(folder / "tutorial_tenth.yaml", BACKBONES).settings
    frozen = read_recipe(folder / "feature_extraction.yaml", BACKBONES).settings

    expected = {"head.epochs": 10, "tune.epochs": 10, "unfreeze": 1.0, "tune.lr_ratio": 0.1}
    assert {key: tenth[key] for key in expected} == expected
    assert frozen["unfreeze"] == 0.0
