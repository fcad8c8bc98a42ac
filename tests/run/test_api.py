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
from search.errors import DataError, SpaceError, TrackingError


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
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = frame_of(command.data)
    listing = tmp_path / "pictures.csv"
    frame.to_csv(listing, index=False)
    by_command = Command(command.space, listing, tmp_path / "by command").summary("--trials", "3")

    monkeypatch.chdir(command.data)
    frame["path"] = [str(Path(path).relative_to(command.data)) for path in frame["path"]]
    told, settings = io.StringIO(), {"free.tune.lr_ratio": {"float": [1e-1, 1.0], "log": True}}
    asked: dict[str, Any] = {"trials": 3, "settings": settings, "home": command.home, "out": told}
    found = run(frame, command.space, **asked)
    assert table_of(command.home) == table_of(tmp_path / "by command")
    assert found.summary["data"]["fingerprint"] == by_command["data"]["fingerprint"]
    assert found.summary["data"]["classes"] == ["0", "1"]
    assert found.summary["champion"]["test_loss"] == by_command["champion"]["test_loss"]
    assert "trial 2" in told.getvalue()

    model = found.load_champion()
    assert isinstance(model, keras.Model)
    probabilities = model.predict(np.zeros((2, 32, 32, 3), np.uint8), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)

    # the same call goes on, and the command goes on with the table that was kept
    again = run(frame, command.space, **{**asked, "trials": 4})
    assert (again.summary["trials"]["complete"] + again.summary["trials"]["pruned"]) == 4
    (kept,) = (command.home / "data" / "tables").iterdir()
    gone_on = Command(command.space, kept, command.home).summary("--trials", "4")
    assert gone_on["epochs_run"] == again.summary["epochs_run"]


def test_a_table_that_lacks_a_column_or_a_picture_is_told_so(command: Command) -> None:
    frame = frame_of(command.data)
    with pytest.raises(DataError, match=r"columns path and label; the DataFrame has 'path', .*; add 'label'"):
        run(frame.drop(columns="label"), command.space, home=command.home)
    frame.loc[102, "path"] = "/nowhere.png"
    with pytest.raises(DataError, match=r"tables/\w+\.csv, row 3: the picture /nowhere.png does not exist"):
        run(frame, command.space, home=command.home)
    twice = pd.concat([frame, frame["label"]], axis=1)
    with pytest.raises(
        DataError, match="each column once; it has path, label, split, group, label; drop one"
    ):
        run(twice, command.space, home=command.home)


def test_settings_go_through_the_same_checks_as_those_of_the_command(command: Command) -> None:
    with pytest.raises(
        SpaceError, match=r"--set: fixed.head.lr: expected a number greater than 0, got -1e-05"
    ):
        run(command.data, command.space, settings={"fixed.head.lr": -1e-5}, home=command.home)


def test_a_study_without_a_champion_has_none_to_load() -> None:
    with pytest.raises(TrackingError, match="it has none; run it on"):
        Found({"champion": None}, "sqlite:///nowhere.db").load_champion()
