"""Archives as they come over the network, zip files and gzipped tar files, read by one interface."""

import errno
import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

Packing = Literal["zip", "tgz"]

_ENCRYPTED = 1  # bit of a member's flags
_PLAIN_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# what the libraries raise on damaged archives; an OSError may be one, or a full disk
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    ValueError,
    OSError,
)


class DamagedArchiveError(Exception):
    """The file is no whole archive of its kind."""


@dataclass(frozen=True)
class Member:
    """What an archive holds at a path.

    Attributes:
        name: The path, as the archive has it.
        n_bytes: Its size unpacked, as the archive declares it; what is read of it ends there.
        is_link: Whether it is a link or a device rather than a file or folder.
        is_plain: Whether it is packed in a way that is read here, and not encrypted.
        open: Opens it for reading.
    """

    name: str
    n_bytes: int
    is_link: bool
    is_plain: bool
    open: Callable[[], IO[bytes]]


@contextmanager
def open_archive(file: Path, packing: Packing) -> Iterator[list[Member]]:
    """Open an archive: yields what it holds, in its order.

    Raises:
        DamagedArchiveError: It is no whole archive of that packing; also from within the block.
    """
    try:
        with _members_of_zip(file) if packing == "zip" else _members_of_tar(file) as members:
            yield members
    except _DAMAGE as error:
        # A damaged table of contents points to places before the file's start; a full disk is no damage.
        is_damage = isinstance(error, gzip.BadGzipFile) or getattr(error, "errno", None) == errno.EINVAL
        if isinstance(error, OSError) and not is_damage:
            raise
        raise DamagedArchiveError(str(error)) from error


@contextmanager
def _members_of_zip(file: Path) -> Iterator[list[Member]]:
    with zipfile.ZipFile(file) as opened:

        def of(info: zipfile.ZipInfo) -> Member:
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            is_plain = not info.flag_bits & _ENCRYPTED and info.compress_type in _PLAIN_PACKINGS
            return Member(info.filename, info.file_size, is_link, is_plain, lambda: opened.open(info))

        yield [of(info) for info in opened.infolist()]


@contextmanager
def _members_of_tar(file: Path) -> Iterator[list[Member]]:
    with tarfile.open(file, "r:gz") as opened:

        def of(info: tarfile.TarInfo) -> Member:
            is_link = not (info.isreg() or info.isdir())
            return Member(info.name, info.size, is_link, True, lambda: _extracted(opened, info))

        yield [of(info) for info in opened.getmembers()]


def _extracted(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    reader = opened.extractfile(info)
    assert reader is not None, "it is a file"
    return reader
