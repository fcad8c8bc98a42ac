"""Made-up tables in the form that scripts/record_table writes, and what they are made of."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from recorded.curves import Table, read_table
from recorded.factorial import head_of, points_of
from search.config.read import read_space
from search.config.space import Space
from search.config.trial_config import Stage
from search.model.backbones import BACKBONES

# Gives val_loss from a point, the replicate, the stage and the epoch; None: it is not finite.
Loss = Callable[[Mapping[str, Any], int, Stage, int], float | None]
MakeTable = Callable[..., Table]

# seconds, each another power of ten, so that a sum tells what it is made of
COSTS = {
    "compile_backbone": 100_000.0,
    "compile_tune": 10_000.0,
    "features_train": 1_000.0,
    "features_validation": 100.0,
    "head": 1.0,
    "cut_train": 1_000_000.0,
    "cut_validation": 10_000_000.0,
    "tune": 10.0,
}

SPACE = """\
study: made_up
data: {source: made_up}
fixed: {image_size: 32, head.epochs: 2, tune.epochs: 3}
free:
  backbone: {choice: [mobilenet_025, mobilenet_v2_035]}
  unfreeze: {choice: [0.5, 1.0]}
  tune.lr_ratio: {choice: [0.1, 0.3]}
  augment: {choice: [0.0, 0.5]}
"""


def flat(point: Mapping[str, Any], replicate: int, stage: Stage, epoch: int) -> float:
    """A loss that falls with every epoch, and hangs on no setting."""
    return 1.0 - 0.1 * epoch - (0.5 if stage == "tune" else 0.0)


def form_of(space: Space, loss: Loss, head_epochs: int, costs: Mapping[str, float]) -> dict[str, Any]:
    heads: dict[str, dict[str, Any]] = {}
    tunes, kinds = [], {}
    for point, replicate in itertools.product(points_of(space), (0, 1)):
        config = space.config(dict(point))
        head = {**head_of(point), "replicate": replicate}
        heads[json.dumps(head)] = {**head, **curves_of(loss, head_of(point), replicate, "head", head_epochs)}
        curves = curves_of(loss, point, replicate, "tune", config.tune_epochs)
        tunes.append({**point, "replicate": replicate, **curves})
        kind = (config.backbone, config.unfreeze, config.augment)
        kinds[kind] = dict(zip(("backbone", "unfreeze", "augment"), kind, strict=True)) | costs
    header = {"complete": True, "head_epochs": head_epochs, "space": space.identity()}
    return {"header": header, "costs": list(kinds.values()), "heads": list(heads.values()), "tunes": tunes}


def curves_of(
    loss: Loss, point: Mapping[str, Any], replicate: int, stage: Stage, epochs: int
) -> dict[str, Any]:
    given = (loss(point, replicate, stage, epoch) for epoch in range(1, epochs + 1))
    losses = list(itertools.takewhile(lambda value: value is not None, given))
    return {"val_loss": losses, "val_accuracy": [0.5] * len(losses), "seconds": [1.0] * len(losses)}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    """The space of the made-up tables."""
    path = tmp_path / "made_up.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def make_space(space_file: Path) -> Callable[..., Space]:
    """Give the space with changes as of `--set`."""
    return lambda *changes: read_space(str(space_file), list(changes), BACKBONES).space


@pytest.fixture
def table_file(tmp_path: Path, make_space: Callable[..., Space]) -> Callable[..., Path]:
    """Write a made-up table; its losses and its header can be chosen."""

    def write(loss: Loss = flat, head_epochs: int = 3, changes: tuple[str, ...] = (), **header: Any) -> Path:
        form = form_of(make_space(*changes), loss, head_epochs, COSTS)
        form["header"] |= header
        path = tmp_path / "curves.json"
        path.write_text(json.dumps(form))
        return path

    return write


@pytest.fixture
def make_table(table_file: Callable[..., Path]) -> MakeTable:
    """Make a made-up table and read it."""
    return lambda *args, **settings: read_table(table_file(*args, **settings))
