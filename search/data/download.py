"""Downloads of named data sets: one archive, checked for size, digest, paths and structure first.

A data set's folder appears whole or not at all. Nothing of an archive is believed: no path in it may
leave the folder, and no more is unpacked than the data set is known to hold.
"""

import http.client
import shutil
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from filelock import FileLock

from search.data.archives import DamagedArchiveError, Member, Packing, open_archive
from search.data.folders import EXTENSIONS, IGNORED_PREFIXES
from search.digests import digest_of_file
from search.errors import DataError

# Called with (bytes so far, bytes in all).
ByteProgress = Callable[[int, int], None]

SILENCE_S = 10.0  # how long a server may say nothing, at the connection and at every read
CHUNK_BYTES = 1 << 18
UNPACKED_RATIO = 4  # pictures hardly shrink in an archive; more than this is no archive of pictures


@dataclass(frozen=True)
class Totals:
    """How many classes and pictures there are, where more is not known."""

    classes: int
    pictures: int


@dataclass(frozen=True)
class Archive:
    """An archive at an address, and what is known of it.

    Args:
        address: Where it is.
        size_bytes: Its exact size.
        top: The folder inside that holds the pictures' folders, or the pictures.
        pictures: How many pictures each folder below `top` holds, as `{"train/cats": 1000, ...}`, or their
            totals.
        sha256: Its digest, None where that is not known.
        packing: Its kind of file.
        labelled_by: Whether the class is the name of a picture's folder, or begins the picture's own name,
            as in `great_pyrenees_12.jpg`; then each class gets a folder.
        licence: Under which terms the pictures are given.
        has_sample: Whether the embedded sample may stand in where there is no connection.
    """

    address: str
    size_bytes: int
    top: str
    pictures: Mapping[str, int] | Totals
    sha256: str | None = None
    packing: Packing = "zip"
    labelled_by: Literal["folder", "name"] = "folder"
    licence: str = "not stated"
    has_sample: bool = False

    @property
    def totals(self) -> Totals:
        """The classes and pictures in all."""
        if isinstance(self.pictures, Totals):
            return self.pictures
        classes = {folder.rpartition("/")[2] for folder in self.pictures}
        return Totals(len(classes), sum(self.pictures.values()))


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
        file = draft / f"archive.{archive.packing}"
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
    if archive.sha256 is not None and (found := digest_of_file(file)) != archive.sha256:
        raise _wrong(archive, f"has the SHA-256 {archive.sha256}", f"what came has {found}")


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
        with open_archive(file, archive.packing) as members:
            for name, member in _pictures(archive, members).items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, target.open("xb") as out:
                    shutil.copyfileobj(source, out)
    except DamagedArchiveError as error:
        raise _wrong(
            archive, f"is a whole {archive.packing} file", f"this one is damaged ({error})"
        ) from error


def _pictures(archive: Archive, members: Sequence[Member]) -> dict[str, Member]:
    """Tell which members are the pictures, by the path that each gets: below the top folder, or by class."""
    _refuse_unsafe(archive, members)
    top = f"{archive.top}/"
    found = {
        member.name.removeprefix(top): member
        for member in members
        if member.name.startswith(top) and _is_picture(PurePosixPath(member.name).name)
    }
    if archive.labelled_by == "name":
        found = {_by_class(archive, name): member for name, member in found.items()}
    counts = Counter(str(PurePosixPath(name).parent) for name in found)
    got = counts if isinstance(archive.pictures, Mapping) else Totals(len(counts), counts.total())
    if got != archive.pictures:
        raise _wrong(archive, f"holds {_spelled(archive.pictures)}", f"this one holds {_spelled(got)}")
    return found


def _is_picture(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not name.startswith(IGNORED_PREFIXES)


def _by_class(archive: Archive, name: str) -> str:
    """Put a picture such as `great_pyrenees_12.jpg` into the folder of its class."""
    label, _, number = PurePosixPath(name).stem.rpartition("_")
    if "/" in name or not label or not number.isdecimal():
        raise _wrong(archive, "names each picture CLASS_NUMBER", f"this one holds {name!r}")
    return f"{label}/{name}"


def _refuse_unsafe(archive: Archive, members: Sequence[Member]) -> None:
    for member in members:
        if _leaves_its_folder(member):
            raise _wrong(archive, "stays inside its folder", f"this one holds {member.name!r}")
        if not member.is_plain:
            raise _wrong(archive, "is packed plainly", f"{member.name!r} is encrypted or packed otherwise")
    unpacked = sum(member.n_bytes for member in members)
    if unpacked > UNPACKED_RATIO * archive.size_bytes:
        raise _wrong(archive, "holds pictures", f"this one unpacks to {unpacked} bytes")


def _leaves_its_folder(member: Member) -> bool:
    """Tell whether a path is anything but plain steps downwards, on any system, or a link."""
    path = PurePosixPath(member.name)
    plain = str(path) == member.name.removesuffix("/") and not path.is_absolute()
    return not plain or ".." in path.parts or not {"\\", ":"}.isdisjoint(member.name) or member.is_link


def _spelled(pictures: Mapping[str, int] | Totals) -> str:
    if isinstance(pictures, Totals):
        return f"{pictures.pictures} pictures of {pictures.classes} classes"
    return ", ".join(f"{n} in {folder}" for folder, n in sorted(pictures.items())) or "no pictures"


def _wrong(archive: Archive, rule: str, got: str) -> DataError:
    return DataError(
        f"The archive at {archive.address} {rule}; {got}; nothing of it is kept; "
        "give the pictures with --data, or try again later."
    )
