"""Entries appear whole or not at all, and go whole or not at all."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.store.entries import MANIFEST, Store


def build(store: Store, key: str, text: str = "content") -> None:
    with store.build("features", key) as draft:
        (draft / "file").write_text(text)


def text_of(entry: Path) -> str:
    return (entry / "file").read_text()


def test_an_entry_is_there_once_its_block_ends(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.build("features", "a") as draft:
        (draft / "file").write_text("content")
        assert store.find("features", "a") is None
    assert store.read("features", "a", text_of) == "content"
    assert Store(tmp_path).read("features", "a", text_of) == "content"
    assert store.find("arrays", "a") is None


def test_a_builder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Store(tmp_path).build("features", "a") as draft:
        (draft / "file").write_bytes((draft / "not there").read_bytes())
    assert list((tmp_path / "features").iterdir()) == []


def test_an_entry_built_again_holds_what_was_built_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store, "a", "old")
    build(store, "a", "new")
    assert store.read("features", "a", text_of) == "new"


def test_a_damaged_entry_is_dropped_and_counts_as_not_there(tmp_path: Path) -> None:
    build(Store(tmp_path), "a")
    (tmp_path / "features" / "a" / "file").write_text("contenu")
    assert Store(tmp_path).find("features", "a") is None
    assert list((tmp_path / "features").iterdir()) == []


def test_an_entry_that_another_process_built_anew_is_checked_anew(tmp_path: Path) -> None:
    store, other = Store(tmp_path), Store(tmp_path)
    build(store, "a")
    build(other, "a")
    (tmp_path / "features" / "a" / "file").write_text("contenu")
    assert store.find("features", "a") is None


def test_an_entry_that_goes_while_it_is_read_counts_as_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store, "a")

    def slow(entry: Path) -> str:
        Store(tmp_path).discard("features", "a")
        return text_of(entry)

    assert store.read("features", "a", slow) is None
    assert store.find("features", "a") is None


def test_an_entry_is_out_of_sight_before_its_files_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, seen = Store(tmp_path), []
    build(store, "a")
    entry = tmp_path / "features" / "a"
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: (seen.append(entry.exists()), remove(*a, **k)))
    store.discard("features", "a")
    assert seen == [False]


def test_what_is_open_is_read_on_after_its_entry_went(tmp_path: Path) -> None:
    import numpy as np

    store = Store(tmp_path)
    with store.build("features", "a") as draft:
        np.save(draft / "file.npy", np.arange(100_000))
    array = store.read("features", "a", lambda entry: np.load(entry / "file.npy", mmap_mode="r"))
    store.discard("features", "a")
    assert array is not None
    assert array.sum() == 99_999 * 50_000


def test_finding_and_touching_an_entry_note_its_use(tmp_path: Path, put: Callable) -> None:
    store = Store(tmp_path)
    entry = put(store, "a", 1000, used_s=5)
    store.find("features", "a")
    assert time.time() - entry.stat().st_mtime < 60
    os.utime(entry, (5, 5))
    store.touch("features", "a")
    assert time.time() - entry.stat().st_mtime < 60
    store.touch("features", "not there")


def test_discarding_twice_is_no_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store, "a")
    store.discard("features", "a")
    store.discard("features", "a")
    assert store.find("features", "a") is None


def test_sweeping_removes_old_drafts_and_locks_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store, "a")
    folder = tmp_path / "features"
    for name in (".b.draft", ".c.draft"):
        (folder / name).mkdir()
        (folder / name / "file").write_text("half")
    with store.alone("features", "d"):
        (folder / ".e.lock").touch()
    for old in (".b.draft", ".e.lock"):
        os.utime(folder / old, (5, 5))
    os.utime(folder / "a", (5, 5))
    store.sweep()
    left = {path.name for path in folder.iterdir()} - {".d.lock"}
    assert left == {"a", ".c.draft"}
    assert (folder / "a" / MANIFEST).is_file()
