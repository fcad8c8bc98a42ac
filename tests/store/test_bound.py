"""The bound: the least recently used entry goes first, pinned ones stay, and readers are not disturbed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import search.store.bound
from search.store.entries import Store
from search.store.kinds import BOUNDED
from search.store.pins import Pins


def left(root: Path) -> set[str]:
    return {path.name for kind in BOUNDED for path in (root / kind).glob("[!.]*")}


def test_the_least_recently_used_go_first_of_whatever_kind(tmp_path: Path, put: Callable) -> None:
    store = Store(tmp_path, limit_bytes=10_000)
    put(store, "a", 3000, used_s=30, kind="arrays")
    put(store, "b", 3000, used_s=10, kind="features")
    put(store, "c", 3000, used_s=20, kind="checkpoints")
    put(store, "d", 3000, used_s=40, kind="features")
    assert left(tmp_path) == {"a", "c", "d"}
    # nothing more than has to, but for a tenth of the limit that stays free
    put(store, "e", 500, used_s=50)
    assert left(tmp_path) == {"a", "c", "d", "e"}
    put(store, "f", 3000, used_s=60)
    assert left(tmp_path) == {"d", "e", "f"}
    assert store.sizes() == {"arrays": 0, "draws": 0, "features": 6500, "checkpoints": 0}


def test_an_entry_that_was_used_since_stays(tmp_path: Path, put: Callable) -> None:
    store = Store(tmp_path, limit_bytes=10_000)
    for number, key in enumerate("abc"):
        put(store, key, 3000, used_s=number)
    store.find("features", "a")
    put(store, "d", 2000, used_s=9)
    assert left(tmp_path) == {"a", "c", "d"}


def test_pinned_entries_stay_and_the_next_in_turn_goes(tmp_path: Path, put: Callable) -> None:
    store, pins = Store(tmp_path, limit_bytes=10_000), Pins(tmp_path, "study")
    for number, key in enumerate("abc"):
        put(store, key, 3000, used_s=number, kind="checkpoints")
    pins.hold("champion", [("checkpoints", "a")])
    put(store, "d", 2000, used_s=9)
    assert left(tmp_path) == {"a", "c", "d"}
    pins.release("champion")
    put(store, "e", 3000, used_s=10)
    assert left(tmp_path) == {"c", "d", "e"}


def test_lists_of_unreadable_pictures_and_epochs_do_not_count(tmp_path: Path, put: Callable) -> None:
    store = Store(tmp_path, limit_bytes=3000)
    put(store, "a", 9000, used_s=1, kind="contents")
    (tmp_path / "epochs" / "ab").mkdir(parents=True)
    (tmp_path / "epochs" / "ab" / "abc.json").write_text("{}" * 9000)
    put(store, "b", 2500, used_s=2)
    put(store, "c", 2500, used_s=3)
    assert left(tmp_path) == {"c"}
    assert (tmp_path / "contents" / "a").is_dir()
    assert (tmp_path / "epochs" / "ab" / "abc.json").is_file()


def test_what_must_be_stored_is_stored_though_pins_fill_the_store(tmp_path: Path, put: Callable) -> None:
    store, pins = Store(tmp_path, limit_bytes=10_000), Pins(tmp_path, "study")
    pins.hold("trial 1", [("checkpoints", "a"), ("checkpoints", "b")])
    put(store, "a", 6000, used_s=1, kind="checkpoints")
    put(store, "x", 1000, used_s=2, kind="features")
    put(store, "b", 6000, used_s=3, kind="checkpoints")
    assert left(tmp_path) == {"a", "b"}
    assert store.unpinned_bytes() == -2000


def test_nothing_is_dropped_for_what_does_not_fit_and_need_not_be_stored(
    tmp_path: Path, put: Callable
) -> None:
    store = Store(tmp_path, limit_bytes=10_000)
    put(store, "a", 3000, used_s=1)
    put(store, "b", 3000, used_s=2)
    assert not store.make_room(10_001)
    assert left(tmp_path) == {"a", "b"}
    assert store.make_room(5000)
    assert left(tmp_path) == {"b"}


def test_far_from_the_bound_the_store_is_counted_once(
    tmp_path: Path, put: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    count = search.store.bound.entries
    monkeypatch.setattr(search.store.bound, "entries", lambda root: counts.append(root) or count(root))
    store = Store(tmp_path, limit_bytes=10_000_000)
    for number in range(100):
        put(store, f"key {number}", 2000, used_s=number)
    assert len(counts) == 1
    unbounded = Store(tmp_path)
    put(unbounded, "one more", 2000, used_s=1)
    assert len(counts) == 1


def test_an_entry_larger_than_what_is_not_counted_is_not_put_unseen(tmp_path: Path, put: Callable) -> None:
    store = Store(tmp_path, limit_bytes=10_000)
    put(store, "a", 5000, used_s=1)
    put(store, "b", 6000, used_s=2)
    assert left(tmp_path) == {"b"}


def test_near_the_bound_it_is_never_passed(tmp_path: Path, put: Callable) -> None:
    store = Store(tmp_path, limit_bytes=30_000)
    for number in range(60):
        put(store, f"key {number}", 500 + 37 * (number % 50), used_s=number)
        assert sum(store.sizes().values()) <= 30_000
    assert sum(store.sizes().values()) > 24_000


PROCESS = """
import sys
from pathlib import Path
import numpy as np
from search.store.entries import Store

root, seed = Path(sys.argv[1]), int(sys.argv[2])
store, rng = Store(root, limit_bytes=400_000), np.random.default_rng(seed)
found = 0

def both(entry):
    one = np.load(entry / "one.npy", mmap_mode="r")
    return one, np.load(entry / "two.npy", mmap_mode="r")

for number in rng.integers(0, 30, 150):
    pair = store.read("features", str(number), both)
    if pair is None:
        with store.build("features", str(number)) as draft:
            np.save(draft / "one.npy", np.full(1500, number))
            np.save(draft / "two.npy", np.full(1500, number))
            pair = both(draft)
    else:
        found += 1
    assert all((array == number).all() and array.shape == (1500,) for array in pair), number
print(found)
"""


def test_processes_that_drop_each_others_entries_read_whole_ones(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), str(seed)], stdout=subprocess.PIPE, text=True
        )
        for seed in range(2)
    ]
    found = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert min(found) > 20
    # each process fills at most an eighth of what was free when it counted
    assert sum(Store(tmp_path).sizes().values()) <= 400_000
    assert not list(tmp_path.glob("features/.*.*[!k]"))
