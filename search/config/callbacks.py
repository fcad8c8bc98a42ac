"""Callbacks as a space or a recipe names them: those of Keras, and functions of the user's own that make one.

What is checked here takes no Keras; a worker makes them all and checks the rest before a study begins.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import BeforeValidator

KERAS = "keras.callbacks."

# Keras' callbacks that work here, each with the argument that says where it writes.
PATHS: dict[str, str | None] = {
    "BackupAndRestore": "backup_dir",
    "CSVLogger": "filename",
    "EarlyStopping": None,
    "LearningRateScheduler": None,
    "ModelCheckpoint": "filepath",
    "ReduceLROnPlateau": None,
    "TensorBoard": "log_dir",
    "TerminateOnNaN": None,
}
# Those that leave nothing behind but the numbers of the epochs, so that trials may share them.
_QUIET = {"EarlyStopping", "ReduceLROnPlateau", "TerminateOnNaN"}

_FORM = "{keras.callbacks.EarlyStopping: {patience: 3}}"


def _legal_callback(value: object) -> object:
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"expected one callback with its arguments, such as {_FORM}, got {value!r}")
    ((name, arguments),) = value.items()
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ValueError(
            f"{name}: expected its arguments, got {arguments!r}; write {{{name}: {{}}}} for none"
        )
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: an argument is neither text nor number ({error}); mend it") from error
    if name.startswith(KERAS):
        _check_arguments(name, arguments)
    elif ":" not in name:
        known = ", ".join(KERAS + kind for kind in PATHS)
        raise ValueError(f"no callback is called '{name}'; there are {known}, or write MODULE:FUNCTION")
    return value


def _check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    kind = name.removeprefix(KERAS)
    if kind not in PATHS:
        known = ", ".join(PATHS)
        raise ValueError(
            f"{name} does not work in trials that are laid aside and taken up again; there are {known}, or "
            "write MODULE:FUNCTION, a function of your own that makes a callback"
        )
    argument = PATHS[kind]
    if argument is not None and argument in arguments:
        _check_path(f"{name}: {argument}", arguments[argument])
    schedule = arguments.get("schedule")
    if kind == "LearningRateScheduler" and (not isinstance(schedule, str) or ":" not in schedule):
        raise ValueError(
            f"{name}: schedule is a function (epoch from 0, rate) -> rate of your own; "
            f"write schedule: MODULE:FUNCTION, got {schedule!r}"
        )


def _check_path(where: str, path: object) -> None:
    if not isinstance(path, str) or not path:
        raise ValueError(f"{where}: expected a path, got {path!r}")
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive or ".." in parts or "://" in path:
        raise ValueError(
            f"{where}: files are kept with each trial's run, so a path begins in a folder of the trial; "
            f"write one such as logs/{PurePosixPath(path).name}, got {path!r}"
        )


# One callback: its name, mapped to its arguments.
Callback = Annotated[dict[str, dict[str, Any]], BeforeValidator(_legal_callback)]


def are_shared(callbacks: Sequence[Callback]) -> bool:
    """Tell whether trials may share epochs under these callbacks: none of them writes or does anything else.

    What a function of the user's own does cannot be told, so its trials train all their epochs themselves.
    """
    return all(name.removeprefix(KERAS) in _QUIET for callback in callbacks for name in callback)
