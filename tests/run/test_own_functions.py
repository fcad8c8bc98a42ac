"""Functions of the user's own, through the command."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from command import Command
from reading import table_of

from search.run import main

pytestmark = pytest.mark.slow

MODULE = """\
import random
import numpy as np

class Flip:
    def set_random_seed(self, seed):
        self.rng = random.Random(seed)
    def __call__(self, *args, force_apply=False, **data):
        return {"image": data["image"][:, ::-1] if self.rng.random() < 0.5 else data["image"]}

flip = Flip()

def unseeded(picture):
    return picture[:, ::-1] if random.random() < 0.5 else picture

def small(picture):
    return picture[:4]

def halves(pictures):
    return pictures / 255.0 - 0.5
"""
OWN = ("--set", "fixed.augmentor=mine:flip", "--set", "fixed.preprocess=mine:halves")


@pytest.fixture
def own(tiny: Command, tmp_path: Path) -> Command:
    """The command where Python finds `mine.py`."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "mine.py").write_text(MODULE)
    tiny.environment["PYTHONPATH"] = f"{tmp_path / 'modules'}:{Path(__file__).parents[2]}"
    return tiny


def test_a_study_with_both_is_a_study_as_any_and_its_model_needs_neither(
    own: Command, tmp_path: Path
) -> None:
    summary = own.summary("--trials", "3", *OWN)
    assert summary["trials"]["complete"] + summary["trials"]["pruned"] == 3
    params = summary["champion"]["params"]
    assert (params["augmentor"], params["preprocess"]) == ("mine:flip", "mine:halves")
    (model,) = (own.home / "mlartifacts").rglob("model.keras")
    loaded = keras.models.load_model(model, compile=False, safe_mode=True)
    assert loaded.predict(np.zeros((1, 32, 32, 3), np.uint8), verbose=0).shape == (1, 2)

    # with several draws' features stored or not, a second study gives the same trials
    other = Command(own.space, own.data, tmp_path / "other", own.environment)
    other.summary("--trials", "3", *OWN, "--set", "reuse.enabled=false")
    assert [row[2:5] for row in table_of(other.home)] == [row[2:5] for row in table_of(own.home)]

    module = tmp_path / "modules" / "mine.py"
    module.write_text(MODULE.replace("- 0.5\n", "- 0.4\n"))
    done = own.run("--trials", "4", *OWN)
    assert done.returncode == 2
    assert "was begun with another state of mine:flip and what it imports" in done.stderr


def test_what_cannot_be_seeded_is_said_and_what_does_not_do_is_told_before_anything_is_spent(
    own: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(own.home.parent / "modules")
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    start = ("--trials", "2", "--set", "recipes=[]", "--set")
    assert main(own.options(*start, "fixed.augmentor=mine:unseeded")) == 0
    assert capsys.readouterr().out.count("augmentor: mine:unseeded cannot be seeded") == 1
    assert not list((own.home / "store" / "draws").glob("[0-9a-f]*"))

    for setting, message in [
        (
            "fixed.augmentor=mine:small",
            r"augmentor: mine:small must give a (32, 32, 3) uint8 picture as it gets",
        ),
        ("fixed.augmentor=mine:nothing", "augmentor: module mine has no 'nothing'; it was read from"),
        ("fixed.preprocess=mine:small", "preprocess: mine:small is called once, on a symbolic"),
        ("fixed.augmentor=mine", "fixed.augmentor: 'mine' names no function; write MODULE:FUNCTION"),
    ]:
        assert main(own.options(*start, setting, "--set", "study=wrong")) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1, told
        assert message in told
