"""Downloads of named data sets: one archive, checked for size, paths and structure before it counts.

A data set's folder appears whole or not at all. Nothing of an archive is believed: no path in it may
leave the folder, and no more is unpacked than the data set is known to hold.
"""

import errno
import http.client
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from filelock import FileLock

from search.data.folders import EXTENSIONS
from search.errors import DataError

# Called with (bytes so far, bytes in all).
ByteProgress = Callable[[int, int], None]

SILENCE_S = 10.0  # how long a server may say nothing, at the connection and at every read
CHUNK_BYTES = 1 << 18
UNPACKED_RATIO = 4  # pictures hardly shrink in an archive; more than this is no archive of pictures
ENCRYPTED = 1  # bit of a member's flags
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Archive:
    """A zip file at an address, and what is known of it.

    Args:
        address: Where it is.
        size_bytes: Its exact size.
        top: The folder inside that holds the pictures' folders.
        pictures: How many pictures each folder below `top` holds, as `{"train/cats": 1000, ...}`.
    """

    address: str
    size_bytes: int
    top: str
    pictures: Mapping[str, int]


class NoConnectionError(Exception):
    """The very first connection failed: not one byte was answered."""


def download(archive: Archive, place: Path, progress: ByteProgress | None = None) -> None:
    """Download a data set into `place`, unless it is there already.

    Proxies are those of the environment. Of several processes one downloads and the others wait.

    Args:
        archive: What to download.
        place: The folder that appears, without the archive's own top folder.
        progress: Called with (bytes so far, bytes in all).

    Raises:
        NoConnectionError: The address could not be reached at all.
        DataError: The server refused, the download broke off, or the archive is not what it should be.
            Nothing of it is left behind.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f".{place.name}.lock")):
            if not place.is_dir():
                _download(archive, place, progress)
    except OSError as error:
        raise DataError(
            f"The pictures must be written to {place}; the system refused ({error.strerror or error}); "
            "make room or choose another --home."
        ) from error


def _download(archive: Archive, place: Path, progress: ByteProgress | None) -> None:
    with _draft(place) as draft:
        file = draft / "archive.zip"
        _fetch(archive, file, progress)
        _unpack(archive, file, draft / "pictures")
        (draft / "pictures").rename(place)


@contextmanager
def _draft(place: Path) -> Iterator[Path]:
    """Give an empty folder beside `place`; what a killed process left in it goes first."""
    draft = place.with_name(f".{place.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fetch(archive: Archive, file: Path, progress: ByteProgress | None) -> None:
    with _open(archive.address) as response, file.open("wb") as out:
        if response.length not in (None, archive.size_bytes):
            raise _wrong(
                archive, f"is {archive.size_bytes} bytes long", f"the server offers {response.length}"
            )
        n_bytes = _copy(archive, response, out, progress)
    if n_bytes < archive.size_bytes:
        raise DataError(
            f"The download of {archive.address} broke off after {n_bytes} of {archive.size_bytes} bytes; "
            "start again, or give the pictures with --data."
        )


def _open(address: str) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(address, timeout=SILENCE_S)
    except urllib.error.HTTPError as error:
        raise DataError(
            f"The server must hand out {address}; it answered {error.code} {error.reason}; "
            "give the pictures with --data."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise NoConnectionError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    return response


def _copy(
    archive: Archive, response: http.client.HTTPResponse, out: BinaryIO, progress: ByteProgress | None
) -> int:
    """Copy until the end, a break or one byte too many; return how many bytes came."""
    n_bytes = 0
    while chunk := _read(response):
        n_bytes += len(chunk)
        if n_bytes > archive.size_bytes:
            raise _wrong(archive, f"is {archive.size_bytes} bytes long", "the server sends more")
        out.write(chunk)
        if progress is not None:
            progress(n_bytes, archive.size_bytes)
    return n_bytes


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _unpack(archive: Archive, file: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(file) as opened:
            members = _members(archive, opened)
            for name, member in members.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # What is read ends at the size that the archive declares, whatever is packed in it.
                with opened.open(member) as source, target.open("xb") as out:
                    shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
        # A damaged table of contents points to places before the file's start; a full disk is no damage.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise _wrong(archive, "is a whole zip file", f"this one is damaged ({error})") from error


def _members(archive: Archive, opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Tell which members are the pictures, by their path below the top folder."""
    _refuse_unsafe(archive, opened.infolist())
    top = f"{archive.top}/"
    members = {
        member.filename.removeprefix(top): member
        for member in opened.infolist()
        if member.filename.startswith(top) and member.filename.lower().endswith(EXTENSIONS)
    }
    found = Counter(str(PurePosixPath(name).parent) for name in members)
    if found != archive.pictures:
        raise _wrong(archive, f"holds {_spelled(archive.pictures)}", f"this one holds {_spelled(found)}")
    return members


def _refuse_unsafe(archive: Archive, members: Sequence[zipfile.ZipInfo]) -> None:
    for member in members:
        if _leaves_its_folder(member):
            raise _wrong(archive, "stays inside its folder", f"this one holds {member.filename!r}")
        if member.flag_bits & ENCRYPTED or member.compress_type not in PACKINGS:
            raise _wrong(
                archive, "is packed plainly", f"{member.filename!r} is encrypted or packed otherwise"
            )
    unpacked = sum(member.file_size for member in members)
    if unpacked > UNPACKED_RATIO * archive.size_bytes:
        raise _wrong(archive, "holds pictures", f"this one unpacks to {unpacked} bytes")


def _leaves_its_folder(member: zipfile.ZipInfo) -> bool:
    """Tell whether a path is anything but plain steps downwards, on any system, or a link."""
    path = PurePosixPath(member.filename)
    plain = str(path) == member.filename.removesuffix("/") and not path.is_absolute()
    return (
        not plain
        or ".." in path.parts
        or not {"\\", ":"}.isdisjoint(member.filename)
        or stat.S_ISLNK(member.external_attr >> 16)
    )


def _spelled(pictures: Mapping[str, int]) -> str:
    return ", ".join(f"{n} in {folder}" for folder, n in sorted(pictures.items())) or "no pictures"


def _wrong(archive: Archive, rule: str, got: str) -> DataError:
    return DataError(
        f"The archive at {archive.address} {rule}; {got}; nothing of it is kept; "
        "give the pictures with --data, or try again later."
    )
