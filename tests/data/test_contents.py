import json

import pytest

from search.data.contents import read_contents
from search.digests import digest_of_file
from search.store.entries import Store


@pytest.fixture
def files(tmp_path, draw_picture):
    return [draw_picture(tmp_path / "pictures" / f"{n}.png", n) for n in range(3)]


def never(done, n):
    pytest.fail("nothing is decoded")


def test_whole_pictures_get_the_digest_of_their_bytes(files):
    contents = read_contents(files)
    assert contents.digests == {path: digest_of_file(path) for path in files}
    assert contents.unreadable == {}


def test_what_cannot_be_read_or_decoded_gets_a_reason(files):
    files[0].write_bytes(b"no picture")
    files[1].unlink()
    contents = read_contents(files)
    assert list(contents.digests) == [files[2]]
    assert contents.unreadable == {
        files[0]: "no picture format that is known",
        files[1]: "No such file or directory",
    }


def test_a_name_that_is_no_utf8_is_unreadable(files):
    strange = files[0].with_name("\udcff.png")
    files[0].rename(strange)
    assert read_contents([strange]).unreadable == {strange: "its name is not UTF-8"}


def test_the_store_remembers_which_pictures_decode(files, tmp_path):
    files[0].write_bytes(b"no picture")
    store = Store(tmp_path / "store")
    calls = []
    first = read_contents(files, store, lambda done, n: calls.append((done, n)))
    assert calls == [(3, 3)]
    assert read_contents(files, Store(tmp_path / "store"), never) == first


def test_another_picture_makes_the_store_decode_again(files, tmp_path, draw_picture):
    store = Store(tmp_path / "store")
    read_contents(files, store)
    draw_picture(files[0], 99)
    calls = []
    read_contents(files, store, lambda done, n: calls.append((done, n)))
    assert calls == [(3, 3)]


def test_a_damaged_memory_is_made_again(files, tmp_path):
    files[0].write_bytes(b"no picture")
    first = read_contents(files, Store(tmp_path / "store"))
    (memory,) = (tmp_path / "store").rglob("unreadable.json")
    memory.write_text(json.dumps({}))
    assert read_contents(files, Store(tmp_path / "store")) == first


def test_equal_files_are_decoded_once(files):
    files[1].write_bytes(files[0].read_bytes())
    calls = []
    contents = read_contents(files, None, lambda done, n: calls.append((done, n)))
    assert calls == [(2, 2)]
    assert len(contents.digests) == 3
