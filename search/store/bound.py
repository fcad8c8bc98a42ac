"""Bound: keeps the entries of a store below its limit in bytes; the least recently used one goes first."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from search.store.kinds import BOUNDED
from search.store.pins import pinned

# Share of the limit that is made free where something has to go, so that not every new entry has to ask.
_ROOM = 0.1
# Share of what is free that one process fills before it counts the whole store again: others fill it too.
_UNCOUNTED = 1 / 8


@dataclass(frozen=True)
class Entry:
    """An entry as the bound sees it: its folder, its size, and when it was last used (nanoseconds)."""

    place: Path
    n_bytes: int
    used_ns: int


class Bound:
    """Keeps the sum of all entries below a limit, whichever processes write them.

    Counting looks at every file, so it is not done for every entry: after a count, this process may fill
    a share of what was free before it counts again.

    Args:
        root: The store's folder.
        limit_bytes: The limit; None for no limit.
        drop: Takes an entry away at once.
    """

    def __init__(self, root: Path, limit_bytes: int | None, drop: Callable[[Path], None]) -> None:
        self._root, self._limit, self._drop = root, limit_bytes, drop
        self._uncounted = 0.0

    def make_room(self, n_bytes: int) -> bool:
        """Drop what was not used for longest, as far as a new entry needs it and pins allow.

        Returns:
            Whether the entry fits then; for one that does not fit even so, nothing is dropped.
        """
        if self._limit is None or n_bytes <= self._uncounted:
            return True
        with self._alone():
            return n_bytes <= self._free(n_bytes, must=False)

    def put(self, n_bytes: int, publish: Callable[[], None]) -> None:
        """Publish an entry after others have gone for it, as many as it takes."""
        if self._limit is None or n_bytes <= self._uncounted:
            publish()
            self._uncounted -= n_bytes
            return
        with self._alone():
            free = self._free(n_bytes, must=True)
            publish()
        self._uncounted = _UNCOUNTED * max(0, free - n_bytes)

    def unpinned_bytes(self) -> float:
        """Say how much entries that are not pinned may take, infinity where there is no limit."""
        if self._limit is None:
            return float("inf")
        kept = pinned(self._root)
        return self._limit - sum(entry.n_bytes for entry in entries(self._root) if entry.place in kept)

    def _alone(self) -> FileLock:
        self._root.mkdir(parents=True, exist_ok=True)
        return FileLock(self._root / ".room.lock")

    def _free(self, n_bytes: int, must: bool) -> int:
        """Count what is free, after what had to go for an entry."""
        assert self._limit is not None, "without a limit nothing has to go"
        found = entries(self._root)
        free = self._limit - sum(entry.n_bytes for entry in found)
        if n_bytes <= free:
            return free
        kept = pinned(self._root)
        loose = [entry for entry in found if entry.place not in kept]
        if not must and n_bytes > free + sum(entry.n_bytes for entry in loose):
            return free
        for entry in sorted(loose, key=lambda entry: entry.used_ns):
            if free >= n_bytes + _ROOM * self._limit:
                break
            self._drop(entry.place)
            free += entry.n_bytes
        return free


def entries(root: Path) -> list[Entry]:
    """List all entries that count; one that is dropped meanwhile is left out."""
    places = (place for kind in BOUNDED for place in (root / kind).glob("[!.]*") if place.is_dir())
    return list(_whole(places))


def _whole(places: Iterator[Path]) -> Iterator[Entry]:
    for place in places:
        try:
            with os.scandir(place) as files:
                n_bytes = sum(file.stat().st_size for file in files)
            yield Entry(place, n_bytes, place.stat().st_mtime_ns)
        except FileNotFoundError:
            continue
