"""One recipe alone, as a study of one trial."""

import json
import subprocess
import sys
import time

import pytest
from command import Command
from mlflow import MlflowClient
from reading import table_of, trials_of

from search.config.read import Recipe, shipped_recipes
from search.model.backbones import BACKBONES
from search.run import main


@pytest.mark.slow
def test_a_recipe_alone_gives_the_trial_that_a_study_has_as_its_baseline(command: Command) -> None:
    command.summary("--trials", "1")
    alone = Command(command.space, command.data, command.home.parent / "alone")
    recipe = str(command.space.with_name("short.yaml"))
    summary = alone.summary("--recipe", recipe)
    (trial,) = trials_of(alone.home, "short")
    # all is the same but that nothing was free, and that stage 2 begins at another step
    ((number, state, params, value, steps, config),) = table_of(alone.home, "short")
    ((_, _, _, *expected),) = table_of(command.home)
    assert (number, state, params) == (0, "COMPLETE", {})
    assert [value, set(steps.values()), config] == [expected[0], set(expected[1].values()), expected[2]]
    assert trial.user_attrs["recipe"] == "short"
    assert summary["study"] == "short"
    assert (summary["champion"]["version"], summary["champion"]["alias"]) == (None, None)
    assert summary["champion"]["outcome"] == "not registered; --register does that"
    client = MlflowClient(f"sqlite:///{alone.home / 'mlflow.db'}")
    assert not client.search_registered_models()

    done = alone.run("--recipe", recipe, "--register")
    assert "champion short version 1: trial 0" in done.stdout, done.stderr
    assert "recipe short" not in done.stdout
    assert [model.name for model in client.search_registered_models()] == ["short"]
    assert len(trials_of(alone.home, "short")) == 1


def test_recipes_are_listed_at_once_with_a_line_each() -> None:
    started = time.monotonic()
    words = [sys.executable, "-m", "search.run", "--list-recipes"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 2.0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == sorted(names)
    assert {"feature_extraction", "tutorial_tenth"} <= set(names)
    assert all(len(line.split()) > 5 for line in done.stdout.splitlines()), json.dumps(done.stdout)


def test_a_command_that_names_nothing_is_told_so() -> None:
    done = subprocess.run([sys.executable, "-m", "search.run"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: Nothing says what to run; give --study NAME, or --recipe NAME.\n"


@pytest.mark.slow
def test_what_set_fixes_goes_before_what_a_recipe_alone_says(command: Command) -> None:
    recipe = str(command.space.with_name("short.yaml"))
    summary = command.summary("--recipe", recipe, "--set", "fixed.tune.epochs=1")
    settings = summary["best"]["params"]
    assert (settings["tune.epochs"], settings["head.epochs"]) == (1, 2)
    stages = [(stage["stage"], stage["epoch"]) for stage in summary["best"]["stages"]]
    assert stages[0] == ("head", 0)
    assert stages[-1] == ("tune", 1)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", shipped_recipes(BACKBONES), ids=lambda recipe: recipe.name)
def test_every_shipped_recipe_runs_by_its_name(
    recipe: Recipe, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["image_size=32", "weights=none", "head.epochs=1", "tune.epochs=1"]
    changes += [] if "backbone" in recipe.settings else ["backbone=mobilenet_025"]
    words = [word for change in changes for word in ("--set", f"fixed.{change}")]
    place = ["--data", str(command.data), "--home", str(command.home)]
    assert main(["--recipe", recipe.name, "--json", *place, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"]["recipe"] == recipe.name
    assert found["trials"]["complete"] == 1
    stages = [stage["stage"] for stage in found["best"]["stages"]]
    assert stages == ["head", "head", *(["tune"] if recipe.settings.get("unfreeze") else [])]
