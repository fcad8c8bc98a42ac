"""Callback state: what callbacks hold and have written at a checkpoint, and the way back there.

A kill may come between what an epoch writes and its checkpoint. The epoch is trained again then, so what it
had appended or added is taken away first; a file that it wrote anew is written again.
"""

import hashlib
import io
import os
import pickle
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from search.digests import digest_of_file
from search.errors import SpaceError

# What is made anew where a stage goes on: open files, where they are, and what is not to be written there.
_MADE_ANEW: dict[type, set[str]] = {
    keras.callbacks.Callback: {"_model", "params"},
    keras.callbacks.CSVLogger: {"csv_file", "writer", "append", "append_header"},
    keras.callbacks.TensorBoard: {
        "_writers", "_summary_module", "_prev_summary_state", "_log_write_dir", "_train_dir", "_val_dir",
        "write_graph",
    },
}  # fmt: skip
_CODE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type)


@dataclass(frozen=True)
class State:
    """All that is kept of the callbacks of a trial.

    Attributes:
        attributes: Of each callback, those that are no longer as they were when it was made.
        files: The size in bytes and the digest of each file that they wrote, by its path below their folder.
    """

    attributes: list[dict[str, Any]]
    files: Mapping[str, tuple[int, str]]

    def to_bytes(self) -> bytes:
        """Write the state as what `from_bytes` reads."""
        return pickle.dumps((self.attributes, dict(self.files)))

    @classmethod
    def from_bytes(cls, state: bytes) -> "State":
        """Read a state; none at all is that of callbacks that have just been made."""
        return cls(*pickle.loads(state)) if state else cls([], {})


class KeptCallback:
    """A callback that can be brought back to where it was.

    Args:
        name: As the space names it.
        callback: The callback, just made.
    """

    def __init__(self, name: str, callback: keras.callbacks.Callback) -> None:
        self.name, self.callback = name, callback
        self._as_made = {key: (value, _pickled(value)) for key, value in vars(callback).items()}

    def attributes(self) -> dict[str, Any]:
        """Give the attributes that are no longer as they were made.

        Raises:
            SpaceError: One cannot be stored.
        """
        return {key: value for key, value in vars(self.callback).items() if self._is_to_keep(key, value)}

    def take(self, attributes: Mapping[str, Any]) -> None:
        """Take over attributes that were kept."""
        vars(self.callback).update(attributes)

    def resume(self, model: keras.Model, params: dict[str, int], attributes: Mapping[str, Any]) -> None:
        """Go on in the middle of a stage, which does not begin again."""
        callback = self.callback
        if isinstance(callback, keras.callbacks.TensorBoard):
            callback.write_graph = False  # it was written where the stage began
        callback.set_model(model)
        callback.set_params(params)
        if isinstance(callback, keras.callbacks.CSVLogger):
            callback.append = True
            callback.on_train_begin()
        self.take(attributes)

    def _is_to_keep(self, key: str, value: Any) -> bool:
        if any(isinstance(self.callback, kind) and key in keys for kind, keys in _MADE_ANEW.items()):
            return False
        made, made_as = self._as_made.get(key, (None, None))
        if value is made and isinstance(value, _CODE):
            return False
        pickled = _pickled(value)
        if pickled is None:
            raise SpaceError(
                f"callbacks: {self.name} holds something in its attribute {key} that cannot be stored with a "
                f"checkpoint ({type(value).__name__}); hold numbers, text, arrays, lists and mappings only."
            )
        return pickled != made_as


def written(folder: Path) -> dict[str, tuple[int, str]]:
    """List the files below a folder as `State.files` holds them."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, digest_of_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def bring_back(folder: Path, files: Mapping[str, tuple[int, str]]) -> None:
    """Take away what came below a folder after it was listed: other files, and what was appended to these."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        size, digest = files.get(path.relative_to(folder).as_posix(), (-1, ""))
        if size < 0:
            path.unlink()
        elif path.stat().st_size > size and _digest_of_beginning(path, size) == digest:
            os.truncate(path, size)


def _digest_of_beginning(path: Path, n_bytes: int) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(n_bytes)).hexdigest()


class _Pickler(pickle.Pickler):
    """Refuses what belongs to the model: a copy of it would no longer be the model's."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, keras.Layer | keras.Variable | keras.optimizers.Optimizer):
            raise pickle.PicklingError(f"{type(value).__name__} is a part of the model")
        return NotImplemented


def _pickled(value: Any) -> bytes | None:
    buffer = io.BytesIO()
    try:
        _Pickler(buffer).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError):
        return None
    return buffer.getvalue()
