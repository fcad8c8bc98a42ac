"""The way from Python, on a DataFrame: the trials of a CSV file, bit by bit."""

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from command import Command
from reading import table_of

from search.api import Found, run
from search.errors import DataError, SpaceError, StudyError, TrackingError, WeightsError


def frame_of(folder: Path) -> pd.DataFrame:
    """A row a picture with a label that is a number, a split, a group and a column that means nothing."""
    paths = sorted(folder.glob("*/*"))
    splits = ["train", "train", "validation", "test"]
    rows = {
        "path": paths,
        "label": [int(path.parent.name == "dogs") for path in paths],
        "split": [splits[i % 4] for i in range(len(paths))],
        "group": [float(i) for i in range(len(paths))],
        "taken by": [None for path in paths],
    }
    return pd.DataFrame(rows, index=range(100, 100 + len(paths)))


@pytest.mark.slow
def test_a_data_frame_gives_the_trials_of_a_csv_file_and_hands_over_the_champion(
    tiny: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = frame_of(tiny.data)
    listing = tmp_path / "pictures.csv"
    frame.to_csv(listing, index=False)
    by_command = Command(tiny.space, listing, tmp_path / "by command").summary("--trials", "3")

    monkeypatch.chdir(tiny.data)
    frame["path"] = [str(Path(path).relative_to(tiny.data)) for path in frame["path"]]
    told, settings = io.StringIO(), {"free.tune.lr_ratio": {"float": [1e-1, 1.0], "log": True}}
    asked: dict[str, Any] = {"trials": 3, "settings": settings, "home": tiny.home, "out": told}
    found = run(frame, tiny.space, **asked)
    assert table_of(tiny.home) == table_of(tmp_path / "by command")
    assert found.summary["data"]["fingerprint"] == by_command["data"]["fingerprint"]
    assert found.summary["data"]["classes"] == ["0", "1"]
    assert found.summary["champion"]["test_loss"] == by_command["champion"]["test_loss"]
    assert "trial 2" in told.getvalue()

    model = found.load_champion()
    assert isinstance(model, keras.Model)
    probabilities = model.predict(np.zeros((2, 32, 32, 3), np.uint8), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)

    # the same call goes on, and the command goes on with the table that was kept
    again = run(frame, tiny.space, **{**asked, "trials": 4})
    assert (again.summary["trials"]["complete"] + again.summary["trials"]["pruned"]) == 4
    (kept,) = (tiny.home / "data" / "tables").iterdir()
    gone_on = Command(tiny.space, kept, tiny.home).summary("--trials", "4")
    assert gone_on["epochs_run"] == again.summary["epochs_run"]

    # other settings are another study: it is told with the command that would discard the old one
    # more letters than YAML writes in a line by itself
    rates = {"choice": [n / 1000 for n in range(1, 20)]}
    other = {**asked, "trials": 1, "settings": {"free.head.lr": rates}}
    with pytest.raises(StudyError) as refused:
        run(frame, tiny.space, **other)
    (told_so,) = refused.value.sentences
    assert f"--home {tiny.home} --data {kept} --set 'free.head.lr={{choice: [0.001," in told_so
    assert "--set budget.trials=1 --fresh" in told_so
    assert "\n" not in told_so
    begun_anew = run(frame, tiny.space, **other, fresh=True, finalists=0, seed=5).summary
    assert sum(begun_anew["trials"].values()) == 1
    assert begun_anew["finalists"] is None


def test_a_table_that_lacks_a_column_or_a_picture_is_told_so(tiny: Command) -> None:
    frame = frame_of(tiny.data)
    with pytest.raises(DataError, match=r"columns path and label; the DataFrame has 'path', .*; add 'label'"):
        run(frame.drop(columns="label"), tiny.space, home=tiny.home)
    frame.loc[102, "path"] = "/nowhere.png"
    with pytest.raises(DataError, match=r"tables/\w+\.csv, row 3: the picture /nowhere.png does not exist"):
        run(frame, tiny.space, home=tiny.home)
    twice = pd.concat([frame, frame["label"]], axis=1)
    with pytest.raises(
        DataError, match="each column once; it has path, label, split, group, label; drop one"
    ):
        run(twice, tiny.space, home=tiny.home)


def test_settings_go_through_the_same_checks_as_those_of_the_command(tiny: Command) -> None:
    with pytest.raises(
        SpaceError, match=r"--set: fixed.head.lr: expected a number greater than 0, got -1e-05"
    ):
        run(tiny.data, tiny.space, settings={"fixed.head.lr": -1e-5}, home=tiny.home)


def test_a_folder_of_weights_is_looked_into(tiny: Command) -> None:
    real = {"fixed.backbone": "mobilenet_025", "fixed.weights": "imagenet"}
    with pytest.raises(WeightsError, match="--weights: /nowhere is no folder"):
        run(tiny.data, tiny.space, settings=real, weights="/nowhere", home=tiny.home)


def test_a_study_without_a_champion_has_none_to_load() -> None:
    with pytest.raises(TrackingError, match="it has none; run it on"):
        Found({"champion": None}, "sqlite:///nowhere.db").load_champion()
