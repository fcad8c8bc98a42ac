import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recorded.curves import read_table
from recorded.factorial import points_of
from recorded.pictures import some_pictures
from search.config.read import read_space
from search.data.image_set import image_set
from search.data.sample import draw_sample
from search.data.split import SplitRule
from search.data.table import DataSet, read_pictures
from search.errors import DataError, SpaceError
from search.model.backbones import BACKBONES
from search.store.entries import Store
from search.training.plain import run_plain
from search.training.rows import Rows

ROOT = Path(__file__).parents[2]
SPACE = """\
study: tiny
data: {source: tiny}
fixed:
  backbone: tiny_net:branching
  image_size: 32
  batch_size: 8
  head.epochs: 1
  tune.epochs: 2
free:
  unfreeze: {choice: [0.5]}
  head.lr: {choice: [3.0e-3]}
  tune.lr_ratio: {choice: [0.1, 0.3]}
  augment: {choice: [0.5]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "tiny"
    draw_sample(folder, n_per_class=24)
    return folder


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "tiny.yaml"
    path.write_text(SPACE)
    return path


def record(folder: Path, space: Path, place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / "scripts" / "record_table"), "--data", str(folder)]
    line += ["--space", str(space), "--home", str(place / "home"), "--out", str(place / "curves.json")]
    line += ["--pictures", "16", "--head-epochs", "2", *options]
    # where tiny_net is
    given = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*given, str(ROOT / "tests")])}
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=600)


def table_in(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "curves.json").read_text())
    return found


def data_of(folder: Path) -> DataSet:
    return some_pictures(read_pictures(folder, SplitRule()), 16)


@pytest.mark.slow
def test_a_table_goes_on_where_it_stopped_and_holds_the_numbers_of_plain_training(
    folder: Path, space: Path, tmp_path: Path
) -> None:
    stopped = record(folder, space, tmp_path, "--minutes", "0")
    assert stopped.returncode == 0, stopped.stderr
    assert table_in(tmp_path)["tunes"] == []
    assert not table_in(tmp_path)["header"]["complete"]

    whole = record(folder, space, tmp_path)
    assert whole.returncode == 0, whole.stderr
    first, trained = table_in(tmp_path), Rows(tmp_path / "home" / "epochs").runs()
    # two seeds: one head of two epochs, which both points share, and two stages 2 of two epochs
    assert trained == 2 * (2 + 2 * 2)
    assert first["header"]["complete"]
    assert (len(first["heads"]), len(first["tunes"])) == (2, 4)
    assert all(cost["tune"] > 0 and cost["compile_tune"] >= 0 for cost in first["costs"])

    assert record(folder, space, tmp_path).returncode == 0
    again = table_in(tmp_path)
    assert (again["heads"], again["tunes"]) == (first["heads"], first["tunes"])
    assert_read_back(first, tmp_path / "curves.json")
    assert Rows(tmp_path / "home" / "epochs").runs() == trained
    assert_equal_to_plain(first, folder, space, Store(tmp_path / "pictures"))


def assert_read_back(table: dict[str, Any], path: Path) -> None:
    read = read_table(path)
    read.check(read.space)
    for row in table["tunes"]:
        config = read.space.config({key: row[key] for key in read.space.dimensions})
        curves = (read.shown, read.judging)[row["replicate"]]
        assert curves.values(config, "tune", 2, "val_loss") == row["val_loss"]
        assert (
            curves.values(config, "head", 1, "val_loss") == table["heads"][row["replicate"]]["val_loss"][:1]
        )


def assert_equal_to_plain(table: dict[str, Any], folder: Path, space: Path, store: Store) -> None:
    images = image_set(data_of(folder), 32, 0, store)
    row = table["tunes"][1]
    settings = {key: row[key] for key in ("unfreeze", "head.lr", "tune.lr_ratio", "augment")}
    config = read_space(str(space), [], BACKBONES).space.config(settings)
    assert row["replicate"] == 1
    epochs, _ = run_plain(config, images, None, "val_loss", 0, replicate=1)
    values = [epoch.metrics["val_loss"] for epoch in epochs]
    assert values == pytest.approx([*table["heads"][1]["val_loss"][:1], *row["val_loss"]], rel=1e-5)


def test_points_of_the_shipped_grid_stand_in_an_order_that_favours_no_value() -> None:
    shipped = read_space(str(ROOT / "scripts" / "recorded" / "space.yaml"), [], BACKBONES).space
    points = points_of(shipped)
    assert len(points) == 2 * 3 * 3 * 4 * 2
    assert points == points_of(shipped)
    beginning = points[:48]
    for key, dimension in shipped.dimensions.items():
        assert {point[key] for point in beginning} == set(dimension.ends())


def test_a_dimension_without_a_grid_is_refused(space: Path) -> None:
    ranged = read_space(str(space), ["free.head.lr={float: [1.0e-3, 1.0e-2], log: true}"], BACKBONES).space
    with pytest.raises(SpaceError, match=r"free\.head\.lr: a recorded table needs a list of values"):
        points_of(ranged)


def test_a_grid_of_too_many_points_is_refused(space: Path) -> None:
    choices = f"free.tune.lr_ratio={{choice: [{', '.join(str(0.01 * n) for n in range(1, 152))}]}}"
    large = read_space(str(space), [choices], BACKBONES).space
    with pytest.raises(SpaceError, match="at most 150 points, and the grid of tiny has 151"):
        points_of(large)


def test_some_pictures_are_those_with_the_lowest_contents_of_each_class(folder: Path) -> None:
    whole, some = read_pictures(folder, SplitRule()), data_of(folder)
    for label in whole.classes:
        there = whole.table[(whole.table["split"] == "train") & (whole.table["label"] == label)]
        kept = some.table[(some.table["split"] == "train") & (some.table["label"] == label)]
        assert list(kept["content"]) == sorted(there["content"])[:8]
    assert some.counts()["validation"].tolist() == whole.counts()["validation"].tolist()
    assert some.counts()["test"].sum() == 0
    assert some.fingerprint != whole.fingerprint


def test_more_pictures_than_there_are_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="--pictures asks for 1000 training pictures a class"):
        some_pictures(read_pictures(folder, SplitRule()), 2000)
