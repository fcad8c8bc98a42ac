import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from search.data.arrays import arrays_key, decoded
from search.data.pictures import decode
from search.data.split import SplitRule
from search.data.table import read_pictures
from search.errors import DataError, MachineError
from search.store.entries import Store

RULE = SplitRule(0.3, 0.2, seed=1)


@pytest.fixture
def folder(tmp_path, draw_folder):
    return draw_folder(tmp_path / "pets", {"cats": 100, "dogs": 100})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def never(done, n):
    pytest.fail("nothing is decoded")


def entries(store):
    return [path.parent for path in store.root.rglob("pictures.npy")]


def test_the_rows_are_the_pictures_in_the_order_of_the_table(folder, store):
    data = read_pictures(folder, RULE)
    pictures = decoded(data, 8, store)
    assert (pictures.shape, pictures.dtype) == ((200, 8, 8, 3), np.uint8)
    for row, path in enumerate(data.table["path"]):
        assert np.array_equal(pictures[row], decode(Path(path).read_bytes(), 8))


def test_the_array_is_mapped_from_disk_and_cannot_be_written(folder, store):
    pictures = decoded(read_pictures(folder, RULE), 8, store)
    assert isinstance(pictures, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pictures[0] = 0


def test_a_second_call_decodes_nothing(folder, store):
    data = read_pictures(folder, RULE)
    calls = []
    first = decoded(data, 8, store, lambda done, n: calls.append((done, n)))
    assert calls[-1] == (200, 200)
    assert np.array_equal(decoded(data, 8, Store(store.root), never), first)


def test_the_same_pictures_elsewhere_need_no_decoding(folder, store, tmp_path):
    decoded(read_pictures(folder, RULE), 8, store)
    shutil.move(folder, tmp_path / "moved")
    decoded(read_pictures(tmp_path / "moved", RULE), 8, store, never)


def test_every_size_and_every_table_has_its_own_array(folder, store, draw_picture):
    data = read_pictures(folder, RULE)
    draw_picture(folder / "cats" / "new.png", 7777)
    more = read_pictures(folder, RULE)
    assert len({arrays_key(data, 8), arrays_key(data, 9), arrays_key(more, 8)}) == 3
    assert decoded(data, 9, store).shape == (200, 9, 9, 3)
    assert decoded(more, 8, store).shape == (201, 8, 8, 3)


@pytest.mark.parametrize("change", ["changed", "cannot be read any more"])
def test_a_picture_that_is_not_what_the_table_says_is_an_error_and_leaves_no_entry(folder, store, change):
    data = read_pictures(folder, RULE)
    if change == "changed":
        shutil.copy(folder / "cats" / "1.png", folder / "cats" / "0.png")
    else:
        (folder / "cats" / "0.png").unlink()
    with pytest.raises(DataError, match=rf"cats/0\.png {change}"):
        decoded(data, 8, store)
    assert entries(store) == []


def test_an_array_that_the_disk_cannot_hold_is_refused(folder, store):
    with pytest.raises(MachineError, match=r"The disk is full: .*arrays wants \d+\.\d+ MB; make room"):
        decoded(read_pictures(folder, RULE), 10_000_000, store)
    assert entries(store) == []


SCRIPT = textwrap.dedent(
    """
    import os, signal, sys, time
    from pathlib import Path
    from search.data.arrays import decoded
    from search.data.split import SplitRule
    from search.data.table import read_pictures
    from search.store.entries import Store

    data = read_pictures(Path(sys.argv[1]), SplitRule(0.3, 0.2, seed=1))
    calls = []
    def progress(done, n):
        calls.append(done)
        if len(calls) == 1:
            time.sleep(1)  # long enough that the other process wants to build, too
        if sys.argv[3] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
    pictures = decoded(data, 8, Store(Path(sys.argv[2])), progress)
    print(len(calls) > 0, int(pictures.sum()))
    """
)


def process(folder, store, how):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(store.root), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_builder_leaves_no_entry(folder, store):
    killed = process(folder, store, "die")
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    data = read_pictures(folder, RULE)
    assert store.find("arrays", arrays_key(data, 8)) is None
    assert decoded(data, 8, store).shape == (200, 8, 8, 3)


def test_of_two_processes_one_decodes(folder, store):
    both = [process(folder, store, "live") for _ in range(2)]
    answers = [one.communicate(timeout=60)[0].split() for one in both]
    assert sorted(built for built, _ in answers) == ["False", "True"]
    assert len({total for _, total in answers}) == 1
