"""Advice through the commands: alone, in a study, after a kill, and on the photographs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from command import Command, kill_after
from reading import table_of, trials_of

# which of these backbones is the best is decided by the probe, and by nothing that a test knows
TWO = ("--set", "free.backbone=[tiny_net:branching,tiny_net:straight]")
SHORT = ("--set", "fixed.head.epochs=2", "--set", "fixed.tune.epochs=2", "--set", "recipes=[]")
START = ("--set", "start=[{unfreeze: 0.5}, {unfreeze: 0.0}]")


def advise(command: Command, *options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "search.advise", *command.places, *options]
    return subprocess.run(line, capture_output=True, text=True, env=command.env(), timeout=600, check=False)


def features_of(home: Path) -> dict[Path, int]:
    files = home.glob("store/features/*/features.npy")
    return {file: file.stat().st_mtime_ns for file in files}


def probed(advice: dict[str, Any]) -> list[str]:
    return [row["probe"]["backbone"] for row in advice["backbones"]]


def backbones_of(home: Path) -> list[str]:
    return [trial.user_attrs["config"]["backbone"] for trial in trials_of(home)]


@pytest.mark.slow
def test_a_study_after_advice_has_its_features_its_probes_and_its_order(tiny: Command) -> None:
    done = advise(tiny, *TWO, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    found = json.loads(done.stdout)
    assert sorted(probed(found)) == ["tiny_net:branching", "tiny_net:straight"]
    assert [row["probe"]["codes"] for row in found["depths"]] == [0.75, 0.5, 0.25]
    assert all(row["epoch_s"] > 0 for row in [*found["backbones"], *found["depths"]])
    assert found["overview"]["counts"]["cats"]["train"] > 0
    # advice begins no study
    assert not (tiny.home / "optuna.db").exists()
    before = features_of(tiny.home)
    assert len(before) == 5

    still = ("--set", "fixed.augment=0.0", "--set", "fixed.unfreeze=0.0")
    summary = tiny.summary(*TWO, *SHORT, *still, "--trials", "4")
    after = features_of(tiny.home)
    assert {file: after[file] for file in before} == before
    # the validation pictures of each backbone come on top
    assert len(after) - len(before) <= 2
    assert backbones_of(tiny.home)[0] == probed(found)[0]
    for part in ("backbones", "depths"):
        assert [row["probe"] for row in summary["advice"][part]] == [row["probe"] for row in found[part]]


@pytest.mark.slow
def test_a_killed_study_keeps_the_order_that_it_began_with(tiny: Command, tmp_path: Path) -> None:
    options = (*TWO, *SHORT, *START, "--trials", "4")
    undisturbed = replace(tiny, home=tmp_path / "undisturbed")
    summary = undisturbed.summary(*options)
    order = probed(summary["advice"])
    assert backbones_of(undisturbed.home) == [order[0]] * 2 + [order[1]] * 2
    assert kill_after(tiny, options, 1, delay_s=0.1)
    # what it began with holds, whatever the space says of advice by now
    final = tiny.summary(*options, "--set", "advice.enabled=false")
    assert table_of(tiny.home) == table_of(undisturbed.home)
    assert probed(final["advice"]) == order
    assert final["best"] == summary["best"]


@pytest.mark.slow
def test_on_the_photographs_the_first_trial_has_the_backbone_that_probes_best(
    photographs_folder: Path, weights_folder: Path, command: Command, tmp_path: Path
) -> None:
    of_both = (sorted((photographs_folder / "train" / label).iterdir()) for label in ("cats", "dogs"))
    few = [path for pictures in of_both for path in pictures[:150]]
    listing = tmp_path / "some.csv"
    listing.write_text("\n".join(["path,label", *(f"{path},{path.parent.name}" for path in few)]))
    real = replace(command, data=listing)
    options: Any = (
        "--weights", str(weights_folder), "--set", "fixed.weights=imagenet", "--set", "fixed.image_size=64",
        "--set", "free.backbone=[mobilenet_025, mobilenet_v2_035, mobilenet_v2]", "--trials", "3", *SHORT,
        "--set", "start=[{unfreeze: 0.0, augment: 0.0}]",
    )  # fmt: skip
    summary = real.summary(*options)
    order = probed(summary["advice"])
    assert order[0] == "mobilenet_v2"
    assert backbones_of(real.home) == order
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{real.home / 'optuna.db'}")
    assert study.user_attrs["advice"]["case"]["name"].startswith("small")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--study", "cats_dgs"), "did you mean cats_dogs"),
        (("--weights", "/nowhere"), "/nowhere is no folder"),
        (("--set", "fixed.image_sise=64"), "did you mean image_size"),
        (("--home", "/etc/hostname/x"), "cannot be written"),
        (("--data", "/nowhere/at all"), "/nowhere/at all"),
    ],
)
def test_a_mistake_is_told_in_one_line(options: tuple[str, ...], expected: str, command: Command) -> None:
    done = advise(command, *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert expected in done.stderr


def test_help_names_the_options_that_advice_has() -> None:
    line = [sys.executable, "-m", "search.advise", "--help"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    for option in ("study", "data", "home", "weights", "seed", "set", "json"):
        assert f"--{option}" in done.stdout
    assert "--trials" not in done.stdout
