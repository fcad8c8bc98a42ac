"""Functions of the user's own, by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.errors import SpaceError
from search.user_function import user_function


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder where Python looks for modules."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_function_is_found_and_its_digest_is_that_of_its_module(folder: Path) -> None:
    (folder / "mine.py").write_text("def double(x):\n    return 2 * x\n")
    first = user_function("mine:double", "augmentor")
    assert first.call(4) == 8
    del sys.modules["mine"]
    (folder / "mine.py").write_text("FACTOR = 2\n\ndef double(x):\n    return FACTOR * x\n")
    assert user_function("mine:double", "augmentor").digest not in {first.digest, None}


def test_the_module_that_defines_a_function_counts_too(folder: Path) -> None:
    (folder / "other.py").write_text("def f():\n    return 1\n")
    (folder / "named.py").write_text("from other import f\n")
    first = user_function("named:f", "preprocess").digest
    for name in ("other", "named"):
        del sys.modules[name]
    (folder / "other.py").write_text("def f():\n    return 2\n")
    assert user_function("named:f", "preprocess").digest != first


def test_an_object_that_can_be_called_will_do(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "class Twice:\n    def __call__(self, x):\n        return 2 * x\n\nf = Twice()\n"
    )
    found = user_function("mine:f", "augmentor")
    assert found.call(2) == 4
    assert found.digest is not None


def test_what_has_no_source_has_no_digest() -> None:
    assert user_function("math:sqrt", "preprocess").digest is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine", "augmentor: 'mine' names no function; write MODULE:FUNCTION"),
        (":f", "names no function"),
        ("nowhere.to:f", "there is no module 'nowhere.to'; put nowhere/to.py"),
        ("mine:missing", "module mine has no 'missing'"),
        ("mine:NUMBER", "mine:NUMBER is no function but int"),
        ("broken:f", "module broken cannot be loaded .*nowhere_else"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_sentence(folder: Path, name: str, message: str) -> None:
    (folder / "mine.py").write_text("NUMBER = 1\n")
    (folder / "broken.py").write_text("import nowhere_else\n")
    with pytest.raises(SpaceError, match=message):
        user_function(name, "augmentor")
