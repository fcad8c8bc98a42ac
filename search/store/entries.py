"""Entries: folders named by the digest of all that can change them.

An entry is built in a temporary folder beside its place, its manifest is written last, and one rename
makes it visible, so a killed builder leaves no entry. The manifest holds the digest of each file; an
entry whose files do not fit it is damaged, is dropped, and gets built again.

An entry may be dropped at any time, by any process that needs room, unless it is pinned. It goes by one
rename too: who has opened its files reads on, who has not finds no entry.
"""

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from search.digests import digest_of_file
from search.errors import MachineError
from search.store.bound import Bound, entries
from search.store.kinds import BOUNDED, Kind, place_of

Content = TypeVar("Content")
MANIFEST = "manifest.json"
_OLDEST_DRAFT_S = 24 * 3600


class Store:
    """Entries below one folder, one sub-folder a kind.

    Args:
        root: The folder.
        limit_bytes: The size that all entries together may have; None for no limit.
    """

    def __init__(self, root: Path, limit_bytes: int | None = None) -> None:
        self.root = root
        self._bound = Bound(root, limit_bytes, self._discard)
        # the file number of the manifest that was checked: another one may stand there by now
        self._checked: dict[Path, int] = {}

    def find(self, kind: Kind, key: str) -> Path | None:
        """Find a whole entry; a damaged one is dropped and counts as not there.

        Returns:
            The entry's folder, or None. Do not write into it.
        """
        place = self._place(kind, key)
        try:
            number = (place / MANIFEST).stat().st_ino
            if self._checked.get(place) != number:
                if not _is_whole(place):
                    self._discard(place)
                    return None
                self._checked[place] = number
            os.utime(place)  # what the bound goes by
        except FileNotFoundError:
            return None
        return place

    def read(self, kind: Kind, key: str, reader: Callable[[Path], Content]) -> Content | None:
        """Find an entry and read it.

        Args:
            kind: Its kind.
            key: Its key.
            reader: Opens what it needs of the entry's folder. What it has opened or mapped stays readable
                if the entry is dropped later.

        Returns:
            What the reader gives; None where the entry is not there, or another process drops it meanwhile.
        """
        entry = self.find(kind, key)
        try:
            return None if entry is None else reader(entry)
        except FileNotFoundError:
            return None

    @contextmanager
    def build(self, kind: Kind, key: str, n_bytes: int = 0) -> Iterator[Path]:
        """Build an entry: yields an empty folder to fill, which becomes the entry when the block ends.

        Two processes that build one entry at the same time do so twice, which changes nothing; `alone` keeps
        them from it. If the block raises, nothing is left behind. Other entries may have to go for it.

        Args:
            kind: Its kind.
            key: Its key.
            n_bytes: How large it will be, told where the disk is full; 0 for what is small.

        Raises:
            MachineError: The disk is full.
        """
        place = self._place(kind, key)
        draft = place.with_name(f".{key}.{uuid.uuid4().hex}")
        try:
            draft.mkdir(parents=True)
            yield draft
            _write_manifest(draft)
            written = sum(file.stat().st_size for file in draft.iterdir())
            self._bound.put(written, lambda: self._publish(draft, place))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EFBIG):
                raise
            wanted = f"{place.parent} wants {max(n_bytes, 1000) / 1e6:.3f} MB"
            raise MachineError(
                f"The disk is full: {wanted}; make room, and run the same command again to go on."
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    @contextmanager
    def alone(self, kind: Kind, key: str) -> Iterator[None]:
        """Hold the lock of one entry, so that two processes never build it at the same time."""
        place = self._place(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f".{key}.lock")):
            yield

    def make_room(self, n_bytes: int) -> bool:
        """Make room for an entry that need not be stored, and say whether it fits."""
        return self._bound.make_room(n_bytes)

    def unpinned_bytes(self) -> float:
        """Say how much entries that are not pinned may take together, infinity where there is no limit.

        Negative where the pinned ones alone pass the limit.
        """
        return self._bound.unpinned_bytes()

    def sizes(self) -> dict[Kind, int]:
        """Say how many bytes the entries of each kind take."""
        return {
            kind: sum(entry.n_bytes for entry in entries(self.root) if entry.place.parent.name == kind)
            for kind in BOUNDED
        }

    def touch(self, kind: Kind, key: str) -> None:
        """Note that an entry is in use, without looking at it; one that is not there is no error."""
        with suppress(FileNotFoundError):
            os.utime(self._place(kind, key))

    def discard(self, kind: Kind, key: str) -> None:
        """Remove an entry; one that is not there is no error."""
        self._discard(self._place(kind, key))

    def sweep(self) -> None:
        """Remove what builders left behind, drafts and locks; those of the last day may be in use."""
        for left in self.root.glob("*/.*.*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _OLDEST_DRAFT_S:
                    shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()

    def _place(self, kind: Kind, key: str) -> Path:
        return place_of(self.root, kind, key)

    def _publish(self, draft: Path, place: Path) -> None:
        self._discard(place)
        number = (draft / MANIFEST).stat().st_ino
        try:
            draft.rename(place)
        except OSError:
            # Another process built the same entry meanwhile, which holds the same.
            if not (place / MANIFEST).is_file():
                raise
            return
        self._checked[place] = number

    def _discard(self, place: Path) -> None:
        """Take an entry away at once, so that nobody finds half of it, and then its files."""
        self._checked.pop(place, None)
        grave = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):
            place.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)


def _write_manifest(draft: Path) -> None:
    files = {path.name: digest_of_file(path) for path in sorted(draft.iterdir())}
    manifest = draft / MANIFEST
    with manifest.open("w") as file:
        json.dump(files, file)
        file.flush()
        os.fsync(file.fileno())


def _is_whole(place: Path) -> bool:
    try:
        files = json.loads((place / MANIFEST).read_text())
        return all(digest_of_file(place / name) == digest for name, digest in files.items())
    except (OSError, ValueError):
        return False
