"""What a data set is like: counts, sizes, copies and broken files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search.data.overview import Spread, overview
from search.data.split import SplitRule
from search.data.table import read_pictures


def test_counts_sizes_copies_and_broken_pictures_are_told(tmp_path: Path, draw_picture: Callable) -> None:
    sizes = {"train/cats": 30, "validation/cats": 4, "test/cats": 2}
    sizes |= {"train/dogs": 2, "validation/dogs": 2, "test/dogs": 2}
    for number, (place, n) in enumerate(sizes.items()):
        for i in range(n):
            draw_picture(tmp_path / place / f"{i}.png", seed=100 * number + i, size=(10 + i, 20))
    shutil.copy(tmp_path / "train" / "cats" / "0.png", tmp_path / "train" / "cats" / "zz.png")
    (tmp_path / "train" / "dogs" / "broken.png").write_bytes(b"no picture")
    found = overview(read_pictures(tmp_path, SplitRule()))

    assert found.counts == {
        "cats": {"train": 30, "validation": 4, "test": 2},
        "dogs": {"train": 2, "validation": 2, "test": 2},
    }
    assert (found.total("train"), found.majority) == (32, 30 / 32)
    assert (found.width_px, found.height_px) == (Spread(10, 18, 39), Spread(20, 20, 20))
    assert (found.n_measured, found.n_copies) == (42, 1)
    assert [Path(path).name for path in found.broken] == ["broken.png"]


def test_of_many_pictures_a_sample_is_measured(
    tmp_path: Path, draw_folder: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.overview.MOST_MEASURED", 15)
    told = []
    data = read_pictures(draw_folder(tmp_path, {"cats": 20, "dogs": 20}), SplitRule())
    found = overview(data, lambda done, total: told.append((done, total)))
    assert found.n_measured == 14
    assert told[-1] == (14, 14)
