"""The contract of executors, which all of them keep."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from real_ray import cluster
from small_work import MakePlan, segment

from search.errors import SpaceError, TrialError
from search.executor.cluster import ClusterExecutor
from search.executor.devices import Device
from search.executor.executor import Executor
from search.executor.inline import InlineExecutor
from search.executor.processes import ProcessExecutor

MAKERS: dict[str, Callable[[], AbstractContextManager[Executor]]] = {
    "inline": lambda: closing(InlineExecutor()),
    "processes": lambda: closing(ProcessExecutor([Device(), Device()])),
    "cluster": lambda: on_a_cluster(),
}


@contextmanager
def on_a_cluster() -> Iterator[Executor]:
    with cluster({"RAY_AUTH_MODE": "disabled"}) as address, closing(ClusterExecutor(address, 4, 1.0)) as made:
        yield made


@pytest.fixture(scope="module", params=MAKERS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with MAKERS[request.param]() as made:
        yield made


@pytest.fixture
def begun(executor: Executor, make_plan: MakePlan, tmp_path: Path) -> Executor:
    executor.begin(make_plan(tmp_path), lambda *what: None)
    return executor


def test_each_slot_gives_what_its_worker_gives(begun: Executor) -> None:
    futures = [
        begun.submit("run", segment(head__lr=1e-3 * (1 + slot)), slot=slot) for slot in range(begun.slots)
    ]

    for future in futures:
        assert [epoch.epoch for epoch in future.result().epochs] == [1]


def test_numbers_are_those_of_the_inline_executor(
    begun: Executor, make_plan: MakePlan, tmp_path: Path
) -> None:
    alone = InlineExecutor()
    alone.begin(make_plan(tmp_path / "alone"), lambda *what: None)
    for asked in (segment("head", 2), segment("tune", 2)):
        expected = alone.submit("run", asked).result()
        found = begun.submit("run", asked, slot=begun.slots - 1).result()

        assert [epoch.metrics for epoch in found.epochs] == [epoch.metrics for epoch in expected.epochs]
        assert found.checkpoint == expected.checkpoint


def test_the_second_slot_goes_on_from_what_the_first_one_stored(begun: Executor) -> None:
    first = begun.submit("run", segment("head", 1), slot=0).result()
    both = begun.submit("run", segment("head", 2), slot=begun.slots - 1).result()

    assert both.epochs[0] == first.epochs[0]
    assert (first.ran, both.ran) == ({1}, {2})


def test_a_lost_trial_and_a_mistake_of_the_user_come_out_as_such(begun: Executor) -> None:
    with pytest.raises(TrialError, match="epoch 1 of stage head"):
        begun.submit("run", segment(head__lr=1e38)).result()
    with pytest.raises(SpaceError, match="no_such_layer") as caught:
        begun.submit("check", segment(unfreeze="no_such_layer").config, "val_loss").result()
    assert len(caught.value.sentences) == 1
    assert begun.submit("run", segment()).result().epochs


def test_a_bug_comes_out_with_its_name(begun: Executor) -> None:
    with pytest.raises(KeyError, match="no such split"):
        begun.submit("predict", segment(), "no such split").result()
