"""A few drawn pictures, and plans for workers on them."""

import pytest
from small_work import MakePlan

from search.config.sections import Reuse
from search.data.sample import draw_sample
from search.data.split import SplitRule
from search.data.table import DataSet, read_pictures
from search.store.entries import Store
from search.training.worker import WorkerPlan


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
