"""A few drawn pictures, a plan for workers on them, and small segments."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.config.sections import Reuse
from search.config.trial_config import Stage, TrialConfig
from search.data.sample import draw_sample
from search.data.split import SplitRule
from search.data.table import DataSet, read_pictures
from search.store.entries import Store
from search.training.segment import Segment
from search.training.worker import WorkerPlan

MakePlan = Callable[[Path], WorkerPlan]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp("pictures") / "drawn"
    draw_sample(folder, n_per_class=30)
    store = Store(tmp_path_factory.mktemp("reading"))
    return read_pictures(folder, SplitRule(0.2, 0.2, 42), name="drawn", source=str(folder), store=store)


@pytest.fixture(scope="session")
def make_plan(data: DataSet) -> MakePlan:
    """Plan work on the pictures, in a store of its own."""
    return lambda folder: WorkerPlan(data, 0, folder / "store", None, Reuse())


def config(**settings: object) -> TrialConfig:
    values: dict[str, object] = {
        "backbone": "mobilenet_025",
        "weights": "shapes",
        "image_size": 32,
        "batch_size": 16,
        "unfreeze": 0.5,
        "head.epochs": 2,
        "tune.epochs": 2,
        "augment": 0.5,
    }
    return TrialConfig.model_validate(
        values | {key.replace("__", "."): value for key, value in settings.items()}
    )


def segment(stage: Stage = "head", until: int = 1, **settings: object) -> Segment:
    return Segment(config(**settings), stage, until, after=0, head_epochs=2, metric="val_loss", study_seed=0)
