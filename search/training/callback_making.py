"""Making callbacks from their names and arguments, and refusing what does not fit trials in segments."""

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from search.config.callbacks import KERAS, PATHS
from search.config.trial_config import Stage, TrialConfig
from search.errors import SpaceError
from search.training.callback_state import KeptCallback
from search.training.schedule import is_scheduled
from search.user_function import UserFunction, user_function

Setting = Mapping[str, Mapping[str, Any]]

# Metrics of which Keras cannot tell, from a model that is not compiled, that more is better.
_RISING = ("accuracy", "f1", "auc")
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end",
                "on_test_batch_begin", "on_test_batch_end")  # fmt: skip
# What Keras' own callbacks do batch by batch, by the value of the attribute at which they do nothing then.
# TerminateOnNaN is not among them: a loss that is not finite ends every trial.
_BY_EPOCH: dict[str, tuple[type, object]] = {
    "save_freq": (keras.callbacks.ModelCheckpoint | keras.callbacks.BackupAndRestore, "epoch"),
    "update_freq": (keras.callbacks.TensorBoard, "epoch"),
    "_should_trace": (keras.callbacks.TensorBoard, False),
}
_NO_BATCHES = "an epoch is one compiled program that calls nobody between its batches"
_KERAS_CLASSES = [keras.callbacks.Callback, *(getattr(keras.callbacks, kind) for kind in PATHS)]


def make_callback(setting: Setting, folder: Path | None) -> keras.callbacks.Callback:
    """Make a callback.

    Args:
        setting: Its name, mapped to its arguments.
        folder: Where it writes; a function of the user's own gets it if it has an argument `folder`. None
            where only callbacks are made that write nothing.

    Raises:
        SpaceError: There is no such function, or it does not take such arguments.
    """
    ((name, arguments),) = setting.items()
    if name.startswith(KERAS):
        kind = name.removeprefix(KERAS)
        maker, arguments = getattr(keras.callbacks, kind), _as_keras_takes(kind, arguments, folder)
    else:
        maker = _function(name).call
        takes_folder = "folder" in inspect.signature(maker).parameters
        arguments = {"folder": folder, **arguments} if takes_folder else arguments
    _check_arguments(name, maker, arguments)
    try:
        callback = maker(**arguments)
    except ValueError as error:
        raise SpaceError(f"callbacks: {name} takes no such arguments: {error}") from error
    monitor = str(getattr(callback, "monitor", ""))
    if getattr(callback, "mode", None) == "auto" and monitor.removeprefix("val_") in _RISING:
        callback.mode = "max"
    return callback


def identity_of(config: TrialConfig) -> list[dict[str, Any]]:
    """Tell all that decides what the callbacks of a config do, the source of the user's own functions too."""
    return [
        {"callback": setting, "sources": [function.digest for function in _functions_of(setting)]}
        for setting in config.callbacks
    ]


def check_callbacks(config: TrialConfig, metric: str, n_classes: int) -> None:
    """Make the callbacks of a config and refuse what cannot be kept or does not fit.

    Args:
        config: The settings.
        metric: The study's objective.
        n_classes: How many classes the pictures have.

    Raises:
        SpaceError: What is wrong, one sentence a mistake.
    """
    mistakes: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        for setting in config.callbacks:
            callback = make_callback(setting, Path(place))
            (name,) = setting
            mistakes += [f"callbacks: {name} {what}" for what in _wrong(callback, config, metric, n_classes)]
            if isinstance(callback, keras.callbacks.Callback):
                KeptCallback(name, callback).attributes()
    if mistakes:
        raise SpaceError(*mistakes)


def of_two_rates(stage: Stage) -> str:
    """Say that a callback cannot set a learning rate that the settings change from step to step."""
    return (
        f"sets the learning rate, which {stage}.lr_schedule or {stage}.warmup changes from step to step; "
        f"write {stage}.lr_schedule: constant and {stage}.warmup: 0.0, or leave it out."
    )


def _as_keras_takes(kind: str, arguments: Mapping[str, Any], folder: Path | None) -> Mapping[str, Any]:
    path = PATHS[kind]
    if kind == "TensorBoard":
        arguments = {"log_dir": "logs", **arguments}
    if kind == "CSVLogger":
        # Both stages write one file, which does not hold those of another training.
        arguments = {"append": True, **arguments}
    if path is not None and path in arguments:
        assert folder is not None, "a callback that writes has a folder"
        place = folder / arguments[path]
        place.parent.mkdir(parents=True, exist_ok=True)
        arguments = {**arguments, path: str(place)}
    if kind == "LearningRateScheduler":
        arguments = {**arguments, "schedule": _function(arguments["schedule"]).call}
    return arguments


def _check_arguments(name: str, maker: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a function does not name, those that it would pass over among them."""
    parameters = inspect.signature(maker).parameters
    known = [key for key, one in parameters.items() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    foreign = [key for key in arguments if key not in known]
    if foreign and (name.startswith(KERAS) or known == list(parameters)):
        raise SpaceError(f"callbacks: {name} has no argument {foreign[0]}; there are {', '.join(known)}.")
    try:
        inspect.signature(maker).bind(**arguments)
    except TypeError as error:
        raise SpaceError(f"callbacks: {name}: {error}; give it.") from error


@cache
def _function(name: str) -> UserFunction:
    """Load a function once: its digest is that of the source that was loaded."""
    return user_function(name, "callbacks")


def _functions_of(setting: Setting) -> list[UserFunction]:
    ((name, arguments),) = setting.items()
    if name == f"{KERAS}LearningRateScheduler":
        return [_function(str(arguments["schedule"]))]
    return [] if name.startswith(KERAS) else [_function(name)]


def _wrong(callback: Any, config: TrialConfig, metric: str, n_classes: int) -> Iterator[str]:
    if not isinstance(callback, keras.callbacks.Callback):
        yield f"gives a {type(callback).__name__}, which is no keras.callbacks.Callback; return one."
        return
    if isinstance(callback, keras.callbacks.TensorBoard) and find_spec("tensorflow") is None:
        yield "writes by TensorFlow under every backend, and that is not installed; leave it out."
    yield from _wrong_batches(callback)
    yield from _wrong_names(callback, n_classes)
    if getattr(callback, "restore_best_weights", False) and callback.monitor != metric:
        yield (
            f"restores the weights of the best {callback.monitor}, but a trial keeps those of its best "
            f"{metric}; write monitor: {metric}, or leave restore_best_weights out."
        )
    sets_rate = keras.callbacks.ReduceLROnPlateau | keras.callbacks.LearningRateScheduler
    for stage in config.stages:
        if isinstance(callback, sets_rate) and is_scheduled(config, stage):
            yield of_two_rates(stage)


def _wrong_batches(callback: keras.callbacks.Callback) -> Iterator[str]:
    """Refuse what is done batch by batch."""
    for hook in _BATCH_HOOKS:
        found = getattr(type(callback), hook)
        if hook in vars(callback) or all(found is not getattr(kind, hook) for kind in _KERAS_CLASSES):
            yield f"has {hook}, but {_NO_BATCHES}; use on_epoch_begin or on_epoch_end."
    for attribute, (kind, value) in _BY_EPOCH.items():
        if isinstance(callback, kind) and getattr(callback, attribute) != value:
            argument = "profile_batch" if attribute == "_should_trace" else attribute
            yield f"has {argument}, which works batch by batch, but {_NO_BATCHES}; leave it out."


def _wrong_names(callback: keras.callbacks.Callback, n_classes: int) -> Iterator[str]:
    """Refuse names of metrics that no epoch has."""
    of_each = ["loss", "accuracy", "f1", *(["auc"] if n_classes == 2 else [])]
    known = [*of_each, *(f"val_{name}" for name in of_each), "learning_rate"]
    monitor = getattr(callback, "monitor", None)
    if isinstance(monitor, str) and monitor not in known:
        yield f"monitors {monitor}, which no epoch has; there are {', '.join(known)}."
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        try:
            callback.filepath.format(epoch=1, **dict.fromkeys(known, 0.0))
        except (KeyError, IndexError, ValueError) as error:
            yield f"has a filepath that cannot be filled in ({error}); there are epoch, {', '.join(known)}."
