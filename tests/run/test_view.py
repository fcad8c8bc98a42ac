"""What people see of a running study."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from search.config.trial_config import TrialConfig
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch
from search.view.lines import duration_text, result_text, settings_text
from search.view.live import LiveView
from search.view.plain import PlainView


def trial_of(number: int, losses: list[float], state: str = "running", **settings: object) -> Trial:
    values = {"backbone": "mobilenet_v2", "unfreeze": 0.5, "head.epochs": 3, "tune.epochs": 4, **settings}
    trial = Trial(number, Proposal(TrialConfig.model_validate(values), {}, {}), 0)
    for i, loss in enumerate(losses):
        metrics = {"val_loss": loss, "val_accuracy": 1 - loss}
        trial.epochs["head"].append(Epoch("head", i + 1, metrics, 2.0, 100.0, i))
    if state != "running":
        trial.end(state, "median at epoch 2" if state == "pruned" else None, "val_loss")  # type: ignore[arg-type]
    return trial


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (41, "41 s"), (89, "89 s"), (90, "2 min"), (719, "12 min"), (12000, "3 h 20 min")],
)
def test_durations_can_be_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_trial_is_told_in_a_line() -> None:
    trial = trial_of(3, [0.4, 0.2, 0.3], "pruned")
    assert settings_text(trial) == "mobilenet_v2 unfreeze 0.5 lr 0.001 x 0.1 epochs 3+4"
    assert result_text(trial) == "pruned val_loss 0.2000 val_accuracy 80.0% (head 2) 6 s - median at epoch 2"
    assert settings_text(trial_of(0, [], unfreeze=0.0)) == "mobilenet_v2 unfreeze 0 lr 0.001 epochs 3"
    assert settings_text(trial_of(0, [], unfreeze="block5_conv1")).startswith(
        "mobilenet_v2 unfreeze block5_conv1"
    )


def test_a_pipe_gets_one_line_a_trial() -> None:
    stream = io.StringIO()
    with PlainView(stream, 5) as view:
        running = trial_of(1, [0.4])
        view.began(running, resumed=False)
        view.assigned(0, running)
        view.progress(0, "head", 1, 0.5)
        view.epoch(running, running.epochs["head"][0])
        view.ended(trial_of(1, [0.4], "complete"))
        view.began(trial_of(2, []), resumed=True)
    assert stream.getvalue().splitlines() == [
        "2/5 trial 1 mobilenet_v2 unfreeze 0.5 lr 0.001 x 0.1 epochs 3+4: "
        "complete val_loss 0.4000 val_accuracy 60.0% (head 1) 2 s",
        "trial 2 goes on where it was left",
    ]


def drawn(trials: list[Trial], most_trials: int | None = 20) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    view = LiveView(console, "cats", "val_loss", most_trials, trials, None)
    console.print(view._drawn())
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_shows_the_last_trials_the_best_and_the_counts() -> None:
    trials = [trial_of(i, [0.5 - 0.01 * i], "complete") for i in range(15)]
    trials += [trial_of(15, [0.9], "pruned"), trial_of(16, [])]
    text = drawn(trials)
    assert "study cats" in text
    assert "16/20 trials, 1 pruned, best 14: val_loss 0.3600" in text
    assert "complete *" in text
    rows = [line for line in text.splitlines() if "mobilenet_v2" in line]
    assert len(rows) == 12
    assert "running" in rows[-1]


def test_a_run_on_a_fresh_seed_is_shown_and_is_no_trial_of_the_study() -> None:
    trials = [trial_of(0, [0.4], "complete"), trial_of(1, [0.5], "paused"), trial_of(0, [0.1], "complete")]
    trials[2].proposal = replace(trials[2].proposal, repeats=0, replicate=2)
    text = drawn(trials)
    assert "2/20 trials, 1 paused, best 0: val_loss 0.4000" in text
    assert "0/2" in text
    stream = io.StringIO()
    PlainView(stream, 5).ended(trials[2])
    assert stream.getvalue().startswith("seed 2 trial 0 mobilenet_v2")


def test_an_empty_study_can_be_drawn() -> None:
    assert "0/? trials" in drawn([], None)
