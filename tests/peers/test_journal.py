"""What an arm has reached stays, however it ends."""

import time
from pathlib import Path

import numpy as np

from peers.journal import Journal, read_best, read_epochs
from peers.setting import Setting
from search.config.trial_config import TrialConfig

CONFIG = TrialConfig(backbone="mobilenet_025")


def setting(home: Path) -> Setting:
    return Setting("cats_dogs_cpu", (), "data", "weights", str(home), 0, 60.0, time.time() - 5.0)


def test_a_setting_is_sent_whole(tmp_path: Path) -> None:
    sent = Setting("cats_dogs_cpu", ("recipes=[]", "seed=3"), "data", "weights", str(tmp_path), 0, 60.0, 1.0)
    assert Setting.load(sent.dump()) == sent


def test_the_first_points_are_those_of_the_space_with_every_dimension(tmp_path: Path) -> None:
    one = setting(tmp_path)
    assert [point["backbone"] for point in one.first_points] == ["mobilenet_v2_035", "mobilenet_025"]
    assert all(point.keys() == one.space.dimensions.keys() for point in one.first_points)
    assert one.most_epochs == 22


def test_every_epoch_is_noted_and_the_weights_of_the_best_are_kept(tmp_path: Path) -> None:
    assert read_best(tmp_path) is None
    assert read_epochs(tmp_path) == []
    journal = Journal(setting(tmp_path))
    for value in (0.5, 0.3, 0.4):
        journal.note(CONFIG, value, [np.full(3, value)])
    best, epochs = read_best(tmp_path), read_epochs(tmp_path)
    assert [value for _, value in epochs] == [0.5, 0.3, 0.4]
    assert all(5.0 <= seconds < 60.0 for seconds, _ in epochs)
    assert best is not None
    assert (best.value, best.settings) == (0.3, CONFIG.flat())
    assert list(tmp_path.glob("*.npz")) == [best.weights_of(tmp_path)]
    assert np.load(best.weights_of(tmp_path))["arr_0"].tolist() == [0.3] * 3


def test_a_second_journal_of_a_run_knows_the_best_of_the_first(tmp_path: Path) -> None:
    Journal(setting(tmp_path)).note(CONFIG, 0.3, [np.zeros(3)])
    second = Journal(setting(tmp_path))
    second.note(CONFIG, 0.4, [np.ones(3)])
    first = read_best(tmp_path)
    second.note(CONFIG, 0.2, [np.ones(3)])
    best = read_best(tmp_path)
    assert first is not None
    assert best is not None
    assert (first.value, best.value) == (0.3, 0.2)
