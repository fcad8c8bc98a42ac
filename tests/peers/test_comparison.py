"""What a comparison makes of the runs."""

import math
from pathlib import Path

import pytest

from peers.comparison import area, is_confirmed, lines, ratio, write_plot
from peers.measured import Measured


def run(
    arm: str, epochs: list[tuple[float, float]], accuracy: float = 0.9, limit_s: float = 100.0
) -> Measured:
    return Measured("small", arm, 0, 99.0, limit_s, epochs, 0.3, accuracy, 10**9)


PEER = run("optuna_median", [(20.0, 0.6), (60.0, 0.3), (80.0, 0.4), (101.0, 0.1)])


def test_only_epochs_within_the_time_count() -> None:
    assert PEER.best == 0.3
    assert PEER.seconds_to(0.2) is None
    assert PEER.seconds_to(0.6) == 20.0
    assert run("ours", []).best == math.inf


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ([(10.0, 0.5), (15.0, 0.3)], 4.0),
        ([(30.0, 0.2)], 2.0),
        ([(50.0, 0.31)], 0.0),
        ([(101.0, 0.2)], 0.0),
        ([], 0.0),
    ],
)
def test_the_ratio_is_that_of_the_times_to_the_peers_own_best(
    epochs: list[tuple[float, float]], expected: float
) -> None:
    assert ratio(PEER, run("ours", epochs)) == expected


def test_a_peer_without_an_epoch_has_no_ratio() -> None:
    assert ratio(run("keras_tuner", []), run("ours", [(10.0, 0.5)])) == 0.0


def test_the_area_is_the_mean_of_the_best_so_far() -> None:
    expected = (20 * math.log(2) + 40 * 0.6 + 40 * 0.3) / 100
    assert area(PEER) == pytest.approx(expected)
    assert area(run("ours", [])) == pytest.approx(math.log(2))


def test_the_test_split_bears_it_out_up_to_a_standard_error() -> None:
    # of 100 pictures at 90 % it is 3 points
    assert is_confirmed(PEER, run("ours", [], accuracy=0.871), 100)
    assert not is_confirmed(PEER, run("ours", [], accuracy=0.869), 100)


def test_the_table_has_a_row_a_run_and_a_median_a_peer(tmp_path: Path) -> None:
    found = [PEER, run("ours", [(15.0, 0.3)])]
    texts = lines(found, 100)
    assert [text.split()[0] for text in texts[:3]] == ["arm", "optuna_median", "ours"]
    assert texts[1].split()[-2:] == ["4.00", "yes"]
    assert texts[2].split()[-2:] == ["-", "-"]
    assert texts[-1] == "  optuna_median: 4.00 by the median of 4.00"
    write_plot(tmp_path / "plot.html", found)
    assert "optuna_median" in (tmp_path / "plot.html").read_text(encoding="utf-8")
