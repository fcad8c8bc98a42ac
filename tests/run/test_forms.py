"""Other objectives, more classes, and a size of pictures that is searched, through the command."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command import Command
from mlflow import MlflowClient
from reading import table_of, trials_of

pytestmark = pytest.mark.slow


def test_three_classes_and_a_free_image_size_go_through(tiny: Command, tmp_path: Path) -> None:
    data = tmp_path / "three"
    shutil.copytree(tiny.data, data)
    (data / "birds").mkdir()
    for picture in sorted((data / "cats").iterdir())[:20]:
        picture.rename(data / "birds" / picture.name)
    sizes = "free.image_size=[32, 48]"
    both = "start=[{image_size: 32}, {image_size: 48}]"
    summary = replace(tiny, data=data).summary("--trials", "4", "--set", sizes, "--set", both)

    assert summary["data"]["classes"] == ["birds", "cats", "dogs"]
    assert summary["trials"]["complete"] + summary["trials"]["pruned"] == 4
    trials = trials_of(tiny.home)
    assert {trial.user_attrs["config"]["image_size"] for trial in trials} == {32, 48}
    assert all("val_auc" not in trial.user_attrs for trial in trials)
    assert summary["champion"]["version"] == 1
    client = MlflowClient(f"sqlite:///{tiny.home / 'mlflow.db'}")
    card = client.get_model_version("small", "1").description
    assert card is not None
    assert "`birds`, `cats`, `dogs`" in card


def test_auc_as_the_objective_is_maximised(tiny: Command) -> None:
    summary = tiny.summary("--trials", "3", "--set", "objective.metric=val_auc")
    trials = trials_of(tiny.home)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = max(complete, key=lambda trial: trial.value)
    assert summary["best"]["number"] == best.number
    assert best.value == best.user_attrs["val_auc"] == max(best.intermediate_values.values())
    assert 0 < best.value <= 1


def test_a_listing_of_the_same_pictures_gives_the_same_trials(tiny: Command, tmp_path: Path) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(tiny.data.glob("*/*"))]
    listing = tmp_path / "pictures.csv"
    listing.write_text("\n".join(["path,label", *rows]))
    summary = tiny.summary("--trials", "3")
    listed = replace(tiny, data=listing, home=tmp_path / "listed")
    other = listed.summary("--trials", "3")
    assert table_of(listed.home) == table_of(tiny.home)
    assert other["data"]["fingerprint"] == summary["data"]["fingerprint"]
    assert other["champion"]["test_loss"] == summary["champion"]["test_loss"]
