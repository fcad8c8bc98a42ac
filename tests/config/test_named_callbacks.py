"""Callbacks in spaces and recipes: what is taken, and what is told of the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.config.callbacks import are_shared
from search.config.read import SpaceFile, read_recipe, read_space
from search.config.trial_config import TrialConfig
from search.errors import SpaceError

WriteSpace = Callable[..., str]
HEAD = "study: small\ndata: {source: pictures}\nfixed: {backbone: small_net}\n"
STOPPING = {"keras.callbacks.EarlyStopping": {"patience": 3}}
OWN = {"my_module:factory": {"name": "value"}}
TEXT = HEAD + (
    "callbacks:\n  - keras.callbacks.EarlyStopping: {patience: 3}\n  - my_module:factory: {name: value}\n"
)

MISTAKES = [
    (
        "- keras.callbacks.EarlyStopping",
        "line 5: callbacks: expected one callback with its arguments, such as",
    ),
    ("- keras.callbacks.EarlyStopping:", r"EarlyStopping: expected its arguments, got None; write \{keras.*"),
    ("- {a:b: {}, c:d: {}}", "expected one callback with its arguments"),
    (
        "- EarlyStopping: {}",
        "no callback is called 'EarlyStopping'; there are keras.callbacks.BackupAndResto",
    ),
    ("- keras.callbacks.SwapEMAWeights: {}", "SwapEMAWeights does not work in trials that are laid aside"),
    (
        "- keras.callbacks.CSVLogger: {filename: /tmp/a.csv}",
        "a path begins in a folder of the trial; .*a.csv",
    ),
    ("- keras.callbacks.CSVLogger: {filename: ../a.csv}", "write one such as logs/a.csv, got '../a.csv'"),
    ("- keras.callbacks.ModelCheckpoint: {filepath: 's3://a/b.keras'}", "got 's3://a/b.keras'"),
    (r"- keras.callbacks.ModelCheckpoint: {filepath: 'C:\b.keras'}", r"got 'C:\\\\b.keras'"),
    ("- keras.callbacks.TensorBoard: {log_dir: 3}", "TensorBoard: log_dir: expected a path, got 3"),
    ("- keras.callbacks.LearningRateScheduler: {}", "write schedule: MODULE:FUNCTION, got None"),
    ("- keras.callbacks.LearningRateScheduler: {schedule: falling}", "MODULE:FUNCTION, got 'falling'"),
    ("- keras.callbacks.EarlyStopping: {baseline: .nan}", "an argument is neither text nor number"),
]


def _read(study: str, *assignments: str) -> SpaceFile:
    return read_space(study, assignments, ("small_net",))


def test_callbacks_are_those_of_every_trial(write_space: WriteSpace) -> None:
    space = _read(write_space(TEXT)).space
    config = space.config({"backbone": "small_net"})
    assert config.callbacks == [STOPPING, OWN]
    assert config.flat()["callbacks"] == [STOPPING, OWN]
    assert TrialConfig.model_validate(config.flat()) == config


def test_a_space_without_callbacks_is_the_study_that_it_was(write_space: WriteSpace) -> None:
    without, with_some = (_read(write_space(text)).space for text in (HEAD, TEXT))
    assert "callbacks" not in without.identity()
    assert "callbacks" not in without.config({"backbone": "small_net"}).flat()
    assert with_some.digest() != without.digest()


def test_callbacks_can_be_set(write_space: WriteSpace) -> None:
    space = _read(write_space(TEXT), "callbacks=[{keras.callbacks.TerminateOnNaN: {}}]").space
    assert space.callbacks == [{"keras.callbacks.TerminateOnNaN": {}}]
    with pytest.raises(SpaceError, match="--set: callbacks: expected one callback"):
        _read(write_space(TEXT), "callbacks=[keras.callbacks.TerminateOnNaN]")


@pytest.mark.parametrize(("item", "told"), MISTAKES, ids=[item for item, _ in MISTAKES])
def test_a_callback_that_cannot_be_is_told_with_its_line(
    item: str, told: str, write_space: WriteSpace, tmp_path: Path
) -> None:
    with pytest.raises(SpaceError, match=told):
        _read(write_space(HEAD + f"callbacks:\n  {item}\n"))
    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"summary: one\nfixed: {{}}\n\ncallbacks:\n  {item}\n")
    with pytest.raises(SpaceError, match=told):
        read_recipe(recipe, ("small_net",))


def test_a_recipe_has_callbacks_of_its_own_or_those_of_the_study(
    write_space: WriteSpace, tmp_path: Path
) -> None:
    texts = {"none": "callbacks: []\n", "own": "callbacks: [{keras.callbacks.TensorBoard: {}}]\n", "same": ""}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(f"summary: one\nfixed: {{head.epochs: 3}}\n{text}")
    names = ", ".join(f"'{tmp_path / name}.yaml'" for name in texts)
    file = _read(write_space(TEXT + f"recipes: [{names}]\n"))
    found = {one.name: file.space.config_of_recipe(one.settings).callbacks for one in file.recipes}
    assert found == {"none": [], "own": [{"keras.callbacks.TensorBoard": {}}], "same": [STOPPING, OWN]}


@pytest.mark.parametrize(
    ("callbacks", "shared"),
    [
        ([], True),
        ([STOPPING, {"keras.callbacks.ReduceLROnPlateau": {}}, {"keras.callbacks.TerminateOnNaN": {}}], True),
        ([STOPPING, {"keras.callbacks.TensorBoard": {}}], False),
        ([{"keras.callbacks.LearningRateScheduler": {"schedule": "a:b"}}], False),
        ([OWN], False),
    ],
)
def test_only_callbacks_that_leave_nothing_but_numbers_let_trials_share(
    callbacks: list[Any], shared: bool
) -> None:
    assert are_shared(callbacks) == shared
