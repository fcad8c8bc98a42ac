"""Spool: records that wait on disk until they are sent.

One file holds a line of JSON a record, a small one beside it says how far they are sent. A record is on
disk when `append` returns; a line that a kill tore is dropped at the next start. Records may be sent
twice after a kill, never lost, so sending must be idempotent.
"""

import json
import os
import shutil
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from search.store.files import write_whole

# A spool that is wholly sent is emptied beyond this size; below it, emptying costs more than it saves.
_KEPT_BYTES = 1 << 20


@dataclass(frozen=True)
class Line:
    """A waiting record and the place in the file where it ends, in bytes."""

    record: Mapping[str, object]
    end: int


class Spool:
    """A queue of records in one file, for one writing process; threads may share it.

    Beside `name.jsonl` stand `name.offset` (bytes sent), `name.files/` (folders that records speak of),
    `name.rejected` (records that can never be sent, each with its reason) and `name.place` (where they go).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected = path.with_suffix(".rejected")
        self.folders = path.with_suffix(".files")
        self._place_of_sent = path.with_suffix(".offset")
        self._destination = path.with_suffix(".place")
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._drop_torn_line()
        self._sent = self._read_sent()
        self._n_waiting = self._count_waiting()
        self._drop_sent_folders()

    @property
    def n_waiting(self) -> int:
        """Say how many records are not yet sent."""
        return self._n_waiting

    @property
    def destination(self) -> str | None:
        """Say where the records go, as it was last noted; None where it never was."""
        try:
            return self._destination.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def note_destination(self, destination: str) -> None:
        """Note where the records go, as it may be shown, for who sends them when this process is over."""
        if destination != self.destination:
            write_whole(self._destination, destination)

    def append(self, record: Mapping[str, object], durable: bool = True) -> None:
        """Store one record. When this returns it outlives this process.

        Args:
            record: The record.
            durable: Whether it and all before it outlive the machine as well, which flushes the disk.

        Raises:
            ValueError: A number in it is NaN or infinite.
            OSError: The disk is full, say; nothing of the record is stored then.
        """
        line = json.dumps(record, allow_nan=False, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            size = self._size()
            try:
                self._write(line, durable)
            except OSError:
                self._cut(size)
                raise
            self._n_waiting += 1

    def peek(self, most: int) -> list[Line]:
        """Read the first waiting records, at most so many; none is taken off.

        A line that is not JSON comes as a record of the kind `unreadable`, so that it is set aside.
        """
        with self._lock, self.path.open("rb") as file:
            end = file.seek(self._sent)
            texts = list(islice(file, most))
        lines = []
        for text in texts:
            end += len(text)
            lines.append(Line(_record_of(text), end))
        return lines

    def advance(self, lines: list[Line]) -> None:
        """Take these lines, the first that wait, off the queue."""
        if not lines:
            return
        with self._lock:
            self._sent = lines[-1].end
            self._n_waiting -= len(lines)
            self._write_sent()
            if self._n_waiting == 0 and self._sent > _KEPT_BYTES:
                self._empty()
        for line in lines:
            self._drop_folder(line.record)

    def reject(self, record: Mapping[str, object], reason: str) -> None:
        """Note a record that can never be sent, with the reason, in the file `rejected`."""
        with self.rejected.open("a") as file:
            file.write(json.dumps({"reason": reason, "record": record}, ensure_ascii=False) + "\n")

    def keep(self, folder: Path) -> str:
        """Copy a folder into the spool; it stays until the record with this name under `folder` is sent."""
        name = uuid.uuid4().hex
        draft = self.folders / f".{name}"
        shutil.copytree(folder, draft)
        draft.rename(self.folders / name)
        return name

    def close(self) -> None:
        """Close the file; it goes away if nothing waits any more."""
        with self._lock:
            if self._n_waiting == 0 and not self._file.closed:
                self._empty()
                self.path.unlink(missing_ok=True)
                self._place_of_sent.unlink(missing_ok=True)
                self._destination.unlink(missing_ok=True)
            self._file.close()

    def _write(self, line: bytes, durable: bool) -> None:
        if self._file.write(line) != len(line):
            raise OSError(f"{self.path}: the disk took only a part of a record")
        if durable:
            os.fsync(self._file.fileno())

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _cut(self, size: int) -> None:
        os.ftruncate(self._file.fileno(), size)

    def _drop_torn_line(self) -> None:
        with self.path.open("rb") as file:
            size = sum(len(text) for text in file if text.endswith(b"\n"))
        if size < self._size():
            self._cut(size)

    def _read_sent(self) -> int:
        try:
            sent = int(self._place_of_sent.read_text())
        except (OSError, ValueError):
            return 0
        return sent if sent <= self._size() else 0

    def _write_sent(self, durable: bool = False) -> None:
        # Need not be durable after a sending: to send again is harmless.
        draft = self._place_of_sent.with_suffix(".draft")
        with draft.open("w") as file:
            file.write(str(self._sent))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(self._place_of_sent)

    def _empty(self) -> None:
        # The place first and for good: an old place beyond new records would hide them.
        self._sent = 0
        self._write_sent(durable=True)
        self._cut(0)

    def _count_waiting(self) -> int:
        with self.path.open("rb") as file:
            file.seek(self._sent)
            return sum(1 for _ in file)

    def _drop_sent_folders(self) -> None:
        waiting = {line.record.get("folder") for line in self.peek(self._n_waiting)}
        for place in self.folders.glob("*"):
            if place.name not in waiting:
                shutil.rmtree(place, ignore_errors=True)

    def _drop_folder(self, record: Mapping[str, object]) -> None:
        name = record.get("folder")
        if isinstance(name, str):
            shutil.rmtree(self.folders / name, ignore_errors=True)


def _record_of(text: bytes) -> Mapping[str, object]:
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    if isinstance(record, dict):
        return record
    return {"kind": "unreadable", "text": text.decode(errors="replace")}
