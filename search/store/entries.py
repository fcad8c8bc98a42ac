"""Entries: folders named by the digest of all that can change them.

An entry is built in a temporary folder beside its place, its manifest is written last, and one rename
makes it visible, so a killed builder leaves no entry. The manifest holds the digest of each file; an
entry whose files do not fit it is damaged, is dropped, and gets built again.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock

from search.digests import digest_of_file

Kind = Literal["arrays", "features", "checkpoints", "contents"]
MANIFEST = "manifest.json"
_OLDEST_DRAFT_S = 24 * 3600


class Store:
    """Entries below one folder, one sub-folder a kind."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._checked: set[Path] = set()

    def find(self, kind: Kind, key: str) -> Path | None:
        """Find a whole entry; a damaged one is dropped and counts as not there.

        Returns:
            The entry's folder, or None. Do not write into it.
        """
        place = self._place(kind, key)
        if not (place / MANIFEST).is_file():
            return None
        if place not in self._checked:
            if not _is_whole(place):
                self._discard(place)
                return None
            self._checked.add(place)
        os.utime(place)
        return place

    @contextmanager
    def build(self, kind: Kind, key: str) -> Iterator[Path]:
        """Build an entry: yields an empty folder to fill, which becomes the entry when the block ends.

        Only one process builds an entry at a time; who waited finds what the other one built and may
        still build it again, which changes nothing. If the block raises, nothing is left behind.
        """
        place = self._place(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f".{key}.{uuid.uuid4().hex}")
        draft.mkdir()
        try:
            yield draft
            _write_manifest(draft)
            self._publish(draft, place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    @contextmanager
    def alone(self, kind: Kind, key: str) -> Iterator[None]:
        """Hold the lock of one entry, so that two processes never build it at the same time."""
        place = self._place(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f".{key}.lock")):
            yield

    def discard(self, kind: Kind, key: str) -> None:
        """Remove an entry; one that is not there is no error."""
        self._discard(self._place(kind, key))

    def sweep(self) -> None:
        """Remove what killed builders left behind; a draft of the last day may still be in work."""
        for left in self.root.glob("*/.*.*"):
            if left.is_dir() and time.time() - left.stat().st_mtime > _OLDEST_DRAFT_S:
                shutil.rmtree(left, ignore_errors=True)

    def _place(self, kind: Kind, key: str) -> Path:
        return self.root / kind / key

    def _publish(self, draft: Path, place: Path) -> None:
        if place.exists():
            self._discard(place)
        draft.rename(place)
        self._checked.add(place)

    def _discard(self, place: Path) -> None:
        self._checked.discard(place)
        if not place.exists():
            return
        grave = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
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
