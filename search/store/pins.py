"""Pins: entries that are not dropped, however full the store is.

Each study has one small file of them, which outlives a killed driver: what it pinned stays until the study
goes on and says otherwise, or is discarded.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from search.store.files import write_whole
from search.store.kinds import Kind, place_of

_FOLDER = "pins"

Entries = Iterable[tuple[Kind, str]]


class Pins:
    """The pins of one study, under names such as `trial 3` or `champion`. One process writes them.

    Args:
        root: The store's folder.
        owner: What tells the study from all others that use the store; a legal file name.
    """

    def __init__(self, root: Path, owner: str) -> None:
        self._file = root / _FOLDER / f"{owner}.json"
        self._held: dict[str, list[list[str]]] = _read(self._file)

    def hold(self, name: str, entries: Entries) -> None:
        """Pin entries, there or not, by kind and key, in place of what the name held before."""
        held = [[kind, key] for kind, key in entries]
        if self._held.get(name, []) != held:
            self._held[name] = held
            self._write()

    def release(self, name: str) -> None:
        """Let go of what a name held; a name that held nothing is no error."""
        if self._held.pop(name, None) is not None:
            self._write()

    def names(self) -> list[str]:
        """List the names that hold something."""
        return sorted(name for name, held in self._held.items() if held)

    def discard(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        write_whole(self._file, json.dumps(self._held, indent=1))


def pinned(root: Path) -> set[Path]:
    """List the folders of all entries that some study pins."""
    files = [_read(file) for file in sorted((root / _FOLDER).glob("*.json"))]
    return {
        place_of(root, kind, key)  # type: ignore[arg-type]
        for held in files
        for entries in held.values()
        for kind, key in entries
    }


def _read(file: Path) -> dict[str, list[list[str]]]:
    try:
        held: dict[str, list[list[str]]] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return held
