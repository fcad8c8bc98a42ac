import shutil

import numpy as np
import pytest

from search.data.split import SPLITS, SplitRule
from search.data.table import read_pictures
from search.digests import digest_of_file
from search.errors import DataError
from search.store.entries import Store

RULE = SplitRule(0.3, 0.2, seed=1)


@pytest.fixture
def folder(tmp_path, draw_folder):
    return draw_folder(tmp_path / "pets", {"dogs": 30, "cats": 25})


def test_the_table_holds_one_row_a_picture_ordered_by_content(folder):
    data = read_pictures(folder, RULE)
    assert list(data.table.columns) == ["path", "label", "split", "content"]
    assert len(data.table) == 55
    assert data.table["content"].is_monotonic_increasing
    for row in data.table.itertuples():
        assert row.content == digest_of_file(folder / row.path)
        assert row.path == str(folder / row.label / row.path.rsplit("/", 1)[1])
    assert (data.name, data.source, data.classes) == ("pets", str(folder), ("cats", "dogs"))


def test_name_and_source_can_be_given(folder):
    data = read_pictures(folder, RULE, name="cats_dogs", source="sample")
    assert (data.name, data.source) == ("cats_dogs", "sample")


def test_labels_indices_and_counts_agree_with_the_table(folder):
    data = read_pictures(folder, RULE)
    assert data.labels().dtype == np.int64
    assert [data.classes[label] for label in data.labels()] == list(data.table["label"])
    indices = {split: data.indices(split) for split in SPLITS}
    assert sorted(np.concatenate(list(indices.values()))) == list(range(55))
    for split, rows in indices.items():
        assert rows.dtype == np.int64
        assert set(data.table["split"].iloc[rows]) == {split}
        assert data.counts()[split].sum() == len(rows)
    assert data.counts().sum(axis=1).to_dict() == {"cats": 25, "dogs": 30}
    assert list(data.counts().columns) == list(SPLITS)


def test_adding_pictures_moves_none(folder, draw_picture):
    before = read_pictures(folder, RULE).table.set_index("content")
    for n in range(20):
        draw_picture(folder / "cats" / f"new {n}.png", 5000 + n)
    after = read_pictures(folder, RULE).table.set_index("content")
    assert len(after) == 75
    assert after.loc[before.index, "split"].equals(before["split"])


def test_the_fingerprint_knows_nothing_of_the_place(folder, tmp_path):
    first = read_pictures(folder, RULE)
    shutil.copytree(folder, tmp_path / 'it\'s "elsewhere"')
    (tmp_path / 'it\'s "elsewhere"' / "cats" / "0.png").rename(
        tmp_path / 'it\'s "elsewhere"' / "cats" / "ä b.png"
    )
    assert read_pictures(tmp_path / 'it\'s "elsewhere"', RULE).fingerprint == first.fingerprint


@pytest.mark.parametrize("change", ["content", "label", "split"])
def test_the_fingerprint_knows_contents_labels_and_splits(folder, draw_picture, change):
    first = read_pictures(folder, RULE)
    if change == "content":
        draw_picture(folder / "cats" / "0.png", 9999)
    if change == "label":
        (folder / "cats" / "0.png").rename(folder / "dogs" / "was a cat.png")
    rule = SplitRule(0.3, 0.2, seed=2) if change == "split" else RULE
    assert read_pictures(folder, rule).fingerprint != first.fingerprint


def test_validation_without_test_is_halved(tmp_path, draw_folder):
    numbers = {"train/cats": 5, "train/dogs": 5, "validation/cats": 30, "validation/dogs": 30}
    data = read_pictures(draw_folder(tmp_path / "data", numbers), RULE)
    counts = data.counts()
    assert counts["train"].tolist() == [5, 5]
    assert (counts["validation"] + counts["test"]).tolist() == [30, 30]
    assert counts["test"].min() >= 8
    paths = data.table.loc[data.table["split"] != "train", "path"]
    assert paths.str.contains("/validation/").all()


def test_test_without_validation_takes_validation_from_train(tmp_path, draw_folder):
    numbers = {"train/cats": 30, "train/dogs": 30, "test/cats": 3, "test/dogs": 3}
    counts = read_pictures(draw_folder(tmp_path / "data", numbers), RULE).counts()
    assert counts["test"].tolist() == [3, 3]
    assert (counts["train"] + counts["validation"]).tolist() == [30, 30]
    assert counts["validation"].min() >= 4


def test_unreadable_pictures_are_set_aside_and_named(folder):
    (folder / "dogs" / "7.png").write_bytes(b"no picture")
    (folder / "cats" / "3.png").write_bytes(b"")
    data = read_pictures(folder, RULE)
    assert len(data.table) == 53
    assert [(one.path, one.reason) for one in data.quarantined] == [
        (str(folder / "cats" / "3.png"), "the file is empty"),
        (str(folder / "dogs" / "7.png"), "no picture format that is known"),
    ]


def test_more_than_five_percent_unreadable_is_an_error(folder):
    for name in ("cats/0.png", "dogs/0.png", "dogs/1.png"):
        (folder / name).write_bytes(name.encode())
    with pytest.raises(DataError, match=r"At most 5% .*; 3 of 55 are;") as error:
        read_pictures(folder, RULE)
    assert str(folder / "dogs" / "1.png") in str(error.value)


def test_five_percent_exactly_is_none(tmp_path, draw_folder):
    folder = draw_folder(tmp_path / "data", {"cats": 40, "dogs": 40})
    for n in range(4):
        (folder / "cats" / f"{n}.png").write_bytes(b"no picture")
    assert len(read_pictures(folder, RULE).quarantined) == 4


def test_a_copy_in_the_same_class_and_split_is_set_aside(folder):
    for n in range(10):  # more than 5 %: a copy is not unreadable
        shutil.copy(folder / "cats" / "1.png", folder / "cats" / f"copy {n}.png")
    data = read_pictures(folder, RULE)
    assert len(data.table) == 55
    assert [one.path for one in data.quarantined] == [
        str(folder / "cats" / f"copy {n}.png") for n in range(10)
    ]
    assert {one.reason for one in data.quarantined} == {f"the same picture as {folder / 'cats' / '1.png'}"}


def test_the_same_picture_in_two_splits_is_an_error_that_names_both(tmp_path, draw_folder):
    names = [f"{split}/{label}" for split in ("train", "val", "test") for label in ("cats", "dogs")]
    folder = draw_folder(tmp_path / "data", dict.fromkeys(names, 3))
    shutil.copy(folder / "train" / "cats" / "1.png", folder / "test" / "cats" / "other.png")
    with pytest.raises(DataError, match="must be in one split only") as error:
        read_pictures(folder, RULE)
    assert str(folder / "train" / "cats" / "1.png") in str(error.value)
    assert str(folder / "test" / "cats" / "other.png") in str(error.value)


def test_the_same_picture_under_two_labels_is_an_error_that_names_both(folder):
    shutil.copy(folder / "cats" / "1.png", folder / "dogs" / "odd.png")
    with pytest.raises(
        DataError, match=r"one label only; .*cats/1\.png and .*dogs/odd\.png are the same bytes"
    ):
        read_pictures(folder, RULE)


def test_of_many_conflicts_a_few_are_named(folder):
    for n in range(8):
        shutil.copy(folder / "cats" / f"{n}.png", folder / "dogs" / f"odd {n}.png")
    with pytest.raises(DataError, match="and 3 more of the same kind") as error:
        read_pictures(folder, RULE)
    assert len(error.value.sentences) == 6


def test_empty_files_are_unreadable_and_no_conflict(tmp_path, draw_folder):
    folder = draw_folder(tmp_path / "data", {"cats": 40, "dogs": 40})
    (folder / "cats" / "0.png").write_bytes(b"")
    (folder / "dogs" / "0.png").write_bytes(b"")
    assert [one.reason for one in read_pictures(folder, RULE).quarantined] == ["the file is empty"] * 2


def test_a_class_without_pictures_in_a_split_is_an_error(tmp_path, draw_folder):
    folder = draw_folder(tmp_path / "data", {"train/cats": 5, "train/dogs": 5, "val/cats": 5, "test/dogs": 5})
    with pytest.raises(DataError, match=r"every split; 'dogs' has none in validation \(10 in all\)") as error:
        read_pictures(folder, RULE)
    assert "'cats' has none in test (10 in all); add pictures or change data.split" in str(error.value)


def test_a_split_folder_whose_pictures_are_all_unreadable_is_not_made_up_for(tmp_path, draw_folder):
    numbers = {
        "train/cats": 40,
        "train/dogs": 40,
        "val/cats": 20,
        "val/dogs": 20,
        "test/cats": 1,
        "test/dogs": 1,
    }
    folder = draw_folder(tmp_path / "data", numbers)
    for label in ("cats", "dogs"):
        (folder / "test" / label / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="'cats' has none in test"):
        read_pictures(folder, RULE)


def test_the_store_changes_nothing_but_the_time(folder, tmp_path):
    plain = read_pictures(folder, RULE)
    for _ in range(2):
        stored = read_pictures(folder, RULE, store=Store(tmp_path / "store"))
        assert stored.fingerprint == plain.fingerprint
        assert stored.table.equals(plain.table)
