"""Memory maps that are larger than memory."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_disk import disk_of

from search.errors import MachineError
from search.store import mapped
from search.store.entries import Store
from search.store.mapped import give_back, new_map, read_rows

ROWS = np.random.default_rng(0).permutation(2000)


def mapped_bytes() -> int:
    """How much of this process's resident memory is pages of files."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs Linux")
    line = next(line for line in status.read_text().splitlines() if line.startswith("RssFile:"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[], Path]:
    def make() -> Path:
        rows = np.arange(2000, dtype=np.uint32)[:, None] * np.ones((1, 8192), np.uint32)
        np.save(tmp_path / "rows.npy", rows)
        return tmp_path / "rows.npy"

    return make


def test_what_is_read_of_a_large_map_does_not_stay(
    make_file: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "_MOST_RESIDENT_BYTES", 1 << 20)
    array = np.load(make_file(), mmap_mode="r")
    before = mapped_bytes()
    assert all((read_rows(array, part) == part[:, None]).all() for part in ROWS.reshape(-1, 100))
    assert mapped_bytes() < before + (4 << 20)
    np.asarray(array).sum()
    assert mapped_bytes() > before + (60 << 20)


def test_what_is_written_to_a_large_map_is_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "_MOST_RESIDENT_BYTES", 1 << 20)
    array = np.lib.format.open_memmap(tmp_path / "rows.npy", mode="w+", dtype=np.int64, shape=(2000, 4096))
    before = mapped_bytes()
    for part in ROWS.reshape(-1, 100):
        array[part] = part[:, None]
        give_back(array)
    assert mapped_bytes() < before + (4 << 20)
    assert (array == np.arange(2000)[:, None]).all()
    del array
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy")[:, 7], np.arange(2000))


def test_a_small_map_and_an_array_in_memory_stay_as_they_are(make_file: Callable) -> None:
    array = np.load(make_file(), mmap_mode="r")[:100]
    before = mapped_bytes()
    np.testing.assert_array_equal(read_rows(array, np.arange(100))[:, 0], np.arange(100))
    assert mapped_bytes() > before + (2 << 20)
    np.testing.assert_array_equal(read_rows(np.arange(9), np.array([3, 1])), [3, 1])


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(2, tmp_path / "tiny disk") as folder:
        yield folder


def test_an_entry_that_the_disk_has_no_room_for_is_told_and_leaves_nothing(tiny_disk: Path) -> None:
    store, n_bytes = Store(tiny_disk), 3 << 20

    def build() -> None:
        with store.build("features", "a", n_bytes) as draft:
            new_map(draft / "a.npy", (n_bytes // 4,), np.float32)[:] = 1

    with pytest.raises(MachineError, match=r"The disk is full: .*features wants 3\.146 MB; make room"):
        build()
    assert store.find("features", "a") is None
    assert list((tiny_disk / "features").iterdir()) == []

    subprocess.run(["mount", "-o", "remount,size=8m", tiny_disk], check=True)
    build()
    entry = store.find("features", "a")
    assert entry is not None
    assert np.load(entry / "a.npy").sum() == n_bytes // 4


def test_a_new_map_is_what_numpy_makes(tmp_path: Path) -> None:
    made = new_map(tmp_path / "made.npy", (5, 2, 3), np.uint8)
    made[:] = np.arange(30).reshape(5, 2, 3)
    made.flush()
    np.save(tmp_path / "saved.npy", np.arange(30, dtype=np.uint8).reshape(5, 2, 3))

    assert (tmp_path / "made.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()
