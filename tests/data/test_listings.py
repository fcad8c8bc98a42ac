"""Listings: CSV, TSV and Parquet files instead of folders."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from search.data.listings import find, find_listed
from search.data.split import SplitRule
from search.data.table import read_pictures
from search.errors import DataError

RULE = SplitRule(0.3, 0.2, seed=1)


@pytest.fixture
def folder(tmp_path: Path, draw_folder: Callable) -> Path:
    """Thirty pictures of dogs and thirty of cats, in class folders."""
    made: Path = draw_folder(tmp_path / "pets", {"dogs": 30, "cats": 30})
    return made


def rows_of(folder: Path) -> pd.DataFrame:
    """A row a picture, relative to the folder."""
    paths = sorted(folder.glob("*/*"))
    return pd.DataFrame(
        {
            "path": [str(path.relative_to(folder)) for path in paths],
            "label": [path.parent.name for path in paths],
        }
    )


def write(folder: Path, rows: pd.DataFrame, suffix: str) -> Path:
    """Write a listing beside the pictures."""
    file = folder / f"pictures{suffix}"
    if suffix in (".parquet", ".pq"):
        rows.to_parquet(file)
    else:
        rows.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
    return file


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".pq", ".CSV"])
def test_a_listing_gives_the_table_of_the_folder(suffix: str, folder: Path) -> None:
    by_folder = read_pictures(folder, RULE)
    listed = read_pictures(write(folder, rows_of(folder), suffix), RULE)
    assert listed.table.equals(by_folder.table)
    assert (listed.fingerprint, listed.classes) == (by_folder.fingerprint, by_folder.classes)
    assert (listed.name, by_folder.name) == ("pictures", "pets")


def test_absolute_paths_other_columns_and_an_order_of_its_own_change_nothing(
    folder: Path, tmp_path: Path
) -> None:
    rows = rows_of(folder).sample(frac=1.0, random_state=3)
    rows["path"] = [str(folder / path) for path in rows["path"]]
    rows["photographer"] = "somebody, who has a comma"
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    assert (
        read_pictures(write(elsewhere, rows, ".csv"), RULE).fingerprint
        == read_pictures(folder, RULE).fingerprint
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_given_splits_are_kept_and_what_is_missing_is_drawn(suffix: str, folder: Path) -> None:
    rows = rows_of(folder)
    rows["split"] = ["Val" if number % 3 == 0 else "train" for number in range(len(rows))]
    table = read_pictures(write(folder, rows, suffix), RULE).table.set_index("path")
    for path, split in zip(rows["path"], rows["split"], strict=True):
        found = table.loc[str(folder / path), "split"]
        assert found in (("validation", "test") if split == "Val" else ("train",))
    assert set(table["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_group_falls_into_two_splits(suffix: str, folder: Path) -> None:
    rows = rows_of(folder)
    # the groups go across the classes, and some pictures have none
    rows["group"] = [number % 20 if number % 7 else None for number in range(len(rows))]
    data = read_pictures(write(folder, rows, suffix), RULE)
    table = data.table.set_index("path")
    splits = table.loc[[str(folder / path) for path in rows["path"]], "split"].to_numpy()
    groups = rows["group"].to_numpy()
    for group in rows["group"].dropna().unique():
        assert len(set(splits[groups == group])) == 1
    assert data.fingerprint != read_pictures(folder, RULE).fingerprint


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_labels_that_are_numbers_are_classes_in_their_order(suffix: str, folder: Path) -> None:
    rows = rows_of(folder)
    rows["label"] = [(0, 2, 10)[number % 3] for number in range(len(rows))]
    data = read_pictures(write(folder, rows, suffix), RULE)
    assert data.classes == ("0", "2", "10")
    assert [data.classes[label] for label in data.labels()] == data.table["label"].tolist()


def test_a_picture_that_is_listed_twice_is_there_once(folder: Path) -> None:
    rows = rows_of(folder)
    data = read_pictures(write(folder, pd.concat([rows, rows[:2]]), ".csv"), RULE)
    assert len(data.table) == 60
    assert [one.reason.split()[:4] for one in data.quarantined] == [["the", "same", "picture", "as"]] * 2


MISTAKES = {
    "no label": ("path\na.png\n", r"must have the columns path and label; .* has 'path'; add 'label'"),
    "nothing": ("", "has ; add 'path' and 'label'"),
    "an empty path": ("path,label\n,cats\n", "row 1: path is empty; fill it in"),
    "an empty label": ("path,label\ncats/x.png, \n", "row 1: label is empty; fill it in"),
    "a short row": ("path,label\ncats/x.png\n", "row 1: label is empty; fill it in"),
    "no such picture": ("path,label\nnowhere.png,cats\n", r"row 1: the picture .*nowhere.png does not exist"),
    "an unknown split": (
        "path,label,split\nx.png,cats,dev\n",
        "row 1: split 'dev' is none of train",
    ),
    "rows without": ("path,label\n", "at least two classes; .* has no rows"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_row(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "pictures.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        find(file)


def test_one_class_half_a_split_and_a_torn_group_are_refused(folder: Path) -> None:
    rows = rows_of(folder)
    with pytest.raises(DataError, match="has 'cats'; add rows of another label"):
        find_listed(write(folder, rows[rows["label"] == "cats"], ".csv"))
    rows["split"] = ["train" if number else None for number in range(60)]
    with pytest.raises(DataError, match="59 of 60 rows name a split; name it in all of them or in none"):
        find_listed(write(folder, rows, ".csv"))
    rows["split"], rows["group"] = ["train"] * 59 + ["test"], "zoo"
    with pytest.raises(DataError, match="group 'zoo' is in train and in test; a group must be in one split"):
        find_listed(write(folder, rows, ".csv"))


def test_many_mistakes_are_counted(folder: Path) -> None:
    rows = rows_of(folder)
    rows["path"] = "gone.png"
    with pytest.raises(DataError) as error:
        find_listed(write(folder, rows, ".csv"))
    assert len(error.value.sentences) == 6
    assert error.value.sentences[-1] == "... and 55 more of the same kind."


def test_what_is_no_listing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The listing .*none.csv does not exist; give the right path"):
        find(tmp_path / "none.csv")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no table")
    with pytest.raises(DataError, match=r"The listing .*broken.parquet cannot be read \("):
        find(broken)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("path,label\nx.png,Vögel\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot be read \(.*utf-8"):
        find(latin)
    (tmp_path / "data.csv").mkdir()
    with pytest.raises(DataError, match="holds no folders"):
        find(tmp_path / "data.csv")
