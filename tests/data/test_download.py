import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest

from search.data import download as module
from search.data.download import Archive, NoConnectionError, download
from search.errors import DataError

PICTURES = {
    f"pets/{folder}/{n}.jpg": f"{folder} {n}".encode() * 50 for folder in ("a/x", "a/y") for n in (1, 2)
}
OTHERS = {"pets/": b"", "pets/notes.txt": b"no picture", "__MACOSX/pets/a/x/1.jpg": b"no picture either"}


def zipped(members, packing=zipfile.ZIP_STORED):
    file = BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(
                name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name), data, packing
            )
    return file.getvalue()


def archive_of(body, address):
    return Archive(address, len(body), "pets", {"a/x": 2, "a/y": 2})


def left_over(place):
    return sorted(path.name for path in place.parent.iterdir() if path.suffix != ".lock")


def refuse(serve, place, body, message, **answer):
    """Download an archive that must be refused, and see that nothing is left."""
    address = serve(body, **answer)
    with pytest.raises(DataError, match=message):
        download(archive_of(body, address), place)
    assert left_over(place) == []


@pytest.fixture
def place(tmp_path):
    return tmp_path / "home" / "data" / "pets"


@pytest.mark.parametrize("declared", [None, "nothing"])
def test_a_whole_archive_becomes_a_folder_of_its_pictures(serve, place, declared):
    body = zipped(PICTURES | OTHERS)
    calls = []
    address = serve(body, declared=declared)
    download(archive_of(body, address), place, lambda done, n: calls.append((done, n)))
    found = {
        f"pets/{path.relative_to(place)}": path.read_bytes() for path in place.rglob("*") if path.is_file()
    }
    assert found == PICTURES
    assert calls[-1] == (len(body), len(body))
    assert left_over(place) == ["pets"]


def test_what_is_there_is_not_downloaded_again(place):
    place.mkdir(parents=True)
    download(Archive("http://127.0.0.1:9/", 1, "pets", {}), place)


def test_a_download_that_breaks_off_is_an_error_and_leaves_nothing(serve, place):
    body = zipped(PICTURES)
    address = serve(body[:300], declared=len(body))
    with pytest.raises(DataError, match=f"broke off after 300 of {len(body)} bytes; start again"):
        download(archive_of(body, address), place)
    assert left_over(place) == []


def test_a_server_that_falls_silent_is_a_download_that_breaks_off(serve, place, monkeypatch):
    monkeypatch.setattr(module, "SILENCE_S", 0.2)
    body = zipped(PICTURES)
    address = serve(body[:300], declared=len(body), stall=True)
    with pytest.raises(DataError, match="broke off after"):
        download(archive_of(body, address), place)
    assert left_over(place) == []


def test_corrupted_bytes_are_an_error_and_leave_nothing(serve, place):
    body = bytearray(zipped(PICTURES))
    body[body.index(b"a/y 1a/y 1")] ^= 1
    refuse(serve, place, bytes(body), r"is a whole zip file; this one is damaged \(Bad CRC-32")


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_bytes_corrupted_anywhere_never_give_other_pictures(serve, place, packing):
    whole = zipped(PICTURES, packing)
    for position in range(0, len(whole), 13):
        body = bytearray(whole)
        body[position] ^= 0xFF
        try:
            download(archive_of(whole, serve(bytes(body))), place.with_name(f"pets{position}"))
        except DataError:
            continue
        found = place.with_name(f"pets{position}")
        assert {
            f"pets/{path.relative_to(found)}": path.read_bytes() for path in found.rglob("*.jpg")
        } == PICTURES


def test_what_is_no_zip_file_is_an_error(serve, place):
    refuse(serve, place, b"<html>sign in first</html>" * 20, "this one is damaged")


def test_an_archive_of_another_size_is_an_error(serve, place):
    body = zipped(PICTURES)
    refuse(serve, place, body, f"is {len(body)} bytes long; the server offers 12;", declared=12)
    more = serve(body + b"more", declared="nothing")
    with pytest.raises(DataError, match=f"is {len(body)} bytes long; the server sends more"):
        download(archive_of(body, more), place)
    assert left_over(place) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pets/a/x/3.jpg": b"one too many"}, "holds 2 in a/x, 2 in a/y; this one holds 3 in a/x, 2 in a/y"),
        ({"pets/a/z/1.jpg": b"another class"}, "this one holds 2 in a/x, 2 in a/y, 1 in a/z"),
        ({"pets/1.jpg": b"loose"}, "this one holds 1 in ., 2 in a/x, 2 in a/y"),
    ],
)
def test_an_archive_of_another_structure_is_an_error(serve, place, changed, message):
    refuse(serve, place, zipped(PICTURES | changed), message)


def test_an_archive_with_another_top_folder_is_an_error(serve, place):
    members = {name.replace("pets/", "animals/"): data for name, data in PICTURES.items()}
    refuse(serve, place, zipped(members), "this one holds no pictures")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "pets/../../evil.jpg",
        "pets/a/x/../../../../evil.jpg",
        "/tmp/evil.jpg",
        "//tmp/evil.jpg",
        "pets/a/x//1.jpg",
        "pets/a/x/./1.jpg",
        "pets\\..\\..\\evil.jpg",
        "C:evil.jpg",
        "..",
        "evil/../../notes.txt",
    ],
)
def test_an_archive_with_a_path_that_leaves_the_folder_is_an_error(serve, place, tmp_path, name):
    refuse(serve, place, zipped(PICTURES | {name: b"evil"}), "stays inside its folder; this one holds")
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_with_a_link_is_an_error(serve, place):
    link = zipfile.ZipInfo("pets/a/x/2.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    members = {name: data for name, data in PICTURES.items() if name != link.filename}
    refuse(serve, place, zipped({**members, link: b"/etc/passwd"}), "stays inside its folder")


def test_an_archive_that_unpacks_to_far_more_is_an_error(serve, place):
    bomb = PICTURES | {"pets/a/x/2.jpg": bytes(1_000_000)}
    refuse(
        serve,
        place,
        zipped(bomb, zipfile.ZIP_DEFLATED),
        r"holds pictures; this one unpacks to 100\d{4} bytes",
    )


def test_an_archive_that_lies_about_its_sizes_is_an_error(serve, place):
    size = 1_000_000
    body = zipped(PICTURES | {"pets/a/x/2.jpg": bytes(size)}, zipfile.ZIP_DEFLATED)
    body = body.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    refuse(serve, place, body, "damaged")


@pytest.mark.parametrize(("status", "answer"), [(404, "404 Not Found"), (403, "403 Forbidden"), (500, "500")])
def test_a_server_that_refuses_is_an_error(serve, place, status, answer):
    refuse(serve, place, zipped(PICTURES), f"must hand out .*; it answered {answer}", status=status)


def test_a_refused_connection_is_told_apart(place):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/pictures.zip"
    with pytest.raises(NoConnectionError, match="Connection refused"):
        download(Archive(address, 1, "pets", {}), place)
    assert left_over(place) == []


def test_a_name_that_does_not_resolve_is_no_connection(place, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(NoConnectionError):
        download(Archive("http://nowhere.invalid/pictures.zip", 1, "pets", {}), place)


def test_a_connection_that_is_dropped_before_any_answer_is_no_connection(place, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        hang_up = threading.Thread(target=lambda: server.accept()[0].close())
        hang_up.start()
        with pytest.raises(NoConnectionError):
            download(Archive(f"http://127.0.0.1:{server.getsockname()[1]}/", 1, "pets", {}), place)
        hang_up.join()


def test_a_place_that_cannot_be_written_is_an_error(serve, tmp_path):
    (tmp_path / "home").write_text("a file")
    body = zipped(PICTURES)
    with pytest.raises(DataError, match=r"must be written to .*; the system refused .*another --home"):
        download(archive_of(body, serve(body)), tmp_path / "home" / "data" / "pets")


def test_of_two_that_download_at_the_same_time_one_does(serve, place):
    body = zipped(PICTURES)
    archive = archive_of(body, serve(body))
    calls = []
    with ThreadPoolExecutor(2) as pool:
        for one in [
            pool.submit(download, archive, place, lambda *done: calls.append(done)) for _ in range(2)
        ]:
            one.result()
    assert calls == [(len(body), len(body))]


def test_a_killed_download_leaves_no_folder_and_the_next_one_works(serve, place):
    body = zipped(PICTURES)
    address = serve(body)
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from search.data.download import Archive, download
        archive = Archive({address!r}, {len(body)}, "pets", {{"a/x": 2, "a/y": 2}})
        download(archive, Path({str(place)!r}), lambda done, n: os.kill(os.getpid(), signal.SIGKILL))
        """
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert not place.exists()
    download(archive_of(body, address), place)
    assert left_over(place) == ["pets"]
