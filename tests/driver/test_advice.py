"""Advice by a table of probes: who is first, what is asked, and what is not."""

import json
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.data.split import SplitRule
from search.data.table import DataSet, read_pictures
from search.driver.advice import advise, wants_advice
from search.errors import SpaceError
from search.training.probe import Probe

ACCURACIES = {"a": 0.85, "b": 0.95, "c": 0.95}
LOSSES = {"a": 0.4, "b": 0.2, "c": 0.1}


class Table:
    """An executor that looks answers up; its best backbone has two places below the top."""

    slots = 1

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def submit(self, task: str, *arguments: Any) -> "Future[Any]":
        config = arguments[0]
        self.asked.append((task, config.backbone, config.codes if task == "probe" else config.unfreeze))
        future: Future[Any] = Future()
        try:
            future.set_result(self._probe(config) if task == "probe" else 10.0 * config.unfreeze)
        except SpaceError as error:
            future.set_exception(error)
        return future

    def _probe(self, config: TrialConfig) -> Probe:
        name, codes, px = config.backbone, config.codes, config.image_size
        assert isinstance(codes, float)
        if codes == 0.25:
            raise SpaceError("there is no feature map")
        layer, accuracy = f"layer {max(codes, 0.75)}", ACCURACIES[name] + codes - 1
        return Probe(name, codes, layer, 8, px, 40, accuracy, 0.01, LOSSES[name], 0.9, -0.1, 1.0)

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(60):
        place = folder / ("cats" if i % 2 else "dogs") / f"{i}.png"
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20 + i, 30), (4 * i, 10, 20)).save(place)
    return read_pictures(folder, SplitRule())


def make_space(backbones: str = "abc", **sections: Any) -> Space:
    form = {
        "study": "small",
        "data": {"source": "pictures"},
        "free": {"backbone": {"choice": list(backbones)}, "image_size": {"choice": [64, 96]}},
    }
    return Space.model_validate({**form, **sections})


@pytest.fixture(scope="module")
def space() -> Space:
    return make_space()


def test_the_most_accurate_backbone_is_first_and_of_equals_the_one_with_less_loss(
    space: Space, data: DataSet
) -> None:
    found = advise(space, data, Table(), is_brief=False)
    assert [row.probe.backbone for row in found.backbones] == ["c", "b", "a"]
    assert [row.epoch_s for row in found.backbones] == [10.0, 10.0, 10.0]
    # a size that the space has, though the default is not one of them
    assert {row.probe.image_size_px for row in found.backbones} == {64}


def test_the_best_one_is_probed_deeper_where_it_has_places_for_that(space: Space, data: DataSet) -> None:
    table, counted = Table(), list[tuple[int, int]]()
    found = advise(
        space, data, table, is_brief=False, progress=lambda done, total: counted.append((done, total))
    )
    assert [row[1:] for row in table.asked if row[0] == "probe"][3:] == [("c", 0.75), ("c", 0.5), ("c", 0.25)]
    # two depths come to one layer, and one has none
    assert [(row.probe.codes, row.epoch_s) for row in found.depths] == [(0.75, 2.5)]
    assert counted == [(n, 12) for n in range(1, len(table.asked))]  # all but the one that was refused
    assert found.case.name == "small and similar"


def test_a_study_asks_for_no_epochs_and_of_large_data_for_no_depths(
    space: Space, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table()
    found = advise(space, data, table, is_brief=True)
    assert {row[0] for row in table.asked} == {"probe"}
    assert len(table.asked) == 6
    assert found.backbones[0].epoch_s is None
    monkeypatch.setattr("search.driver.case.SMALL", 10)
    table = Table()
    found = advise(space, data, table, is_brief=True)
    assert (len(table.asked), found.depths, found.case.name) == (3, (), "large and similar")


def test_a_study_asks_only_where_it_can_use_the_answer(space: Space, data: DataSet) -> None:
    assert wants_advice(space, data)
    assert not wants_advice(make_space("a"), data)
    assert not wants_advice(make_space(advice={"enabled": False}), data)
    assert not wants_advice(make_space(reuse={"enabled": False}), data)
    firsts = data.table[data.table["split"] == "train"].groupby("label").head(1)
    assert not wants_advice(space, replace(data, table=firsts))


def test_a_space_that_takes_its_codes_from_within_is_not_probed_deeper(data: DataSet) -> None:
    table = Table()
    assert advise(make_space(fixed={"codes": 0.75}), data, table, is_brief=False).depths == ()
    assert {row[2] for row in table.asked if row[0] == "probe"} == {0.75}


def test_it_has_a_json_form(space: Space, data: DataSet) -> None:
    found = json.loads(json.dumps(advise(space, data, Table(), is_brief=False).to_json()))
    assert set(found) == {"overview", "backbones", "depths", "case"}
    assert found["overview"]["counts"]["cats"]["train"] > 0
