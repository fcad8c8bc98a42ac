"""A study that pauses and promotes, through the command: its end, and what goes on later."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from command import PROMOTE, Command
from mlflow import MlflowClient
from reading import epochs_trained, table_of, trials_of

pytestmark = pytest.mark.slow

# all have a stage 2, and half of them reach it, so that enough is paused in few trials
TUNED = (*PROMOTE, "--set", "fixed.unfreeze=1.0", "--set", "pruner.head_reduction_factor=2", "--seed", "1")

State = optuna.trial.TrialState


@pytest.fixture(scope="module")
def ended(
    small_data: Path, small_space: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Command, dict[str, Any]]:
    """A promoting study whose budget of trials is reached."""
    command = Command(small_space, small_data, tmp_path_factory.mktemp("ended") / "home")
    return command, command.summary(*TUNED, "--trials", "6")


def test_what_is_paused_when_the_budget_is_reached_is_closed_with_the_reason(
    ended: tuple[Command, dict[str, Any]],
) -> None:
    command, summary = ended
    trials = trials_of(command.home)
    pruned = [trial for trial in trials if trial.state == State.PRUNED]

    assert summary["trials"]["paused"] == summary["trials"]["running"] == 0
    assert summary["trials"]["complete"] >= 1
    assert len(pruned) == summary["trials"]["pruned"] >= 1
    client = MlflowClient(f"sqlite:///{command.home / 'mlflow.db'}")
    for trial in pruned:
        assert trial.user_attrs["reason"].startswith("the study's budget was reached; paused at")
        assert trial.user_attrs["state"] == "paused"
        run = client.get_run(trial.user_attrs["mlflow_run_id"])
        assert (run.info.status, run.data.tags["search.state"]) == ("KILLED", "pruned")
        assert run.data.tags["search.reason"] == trial.user_attrs["reason"]


def test_where_paused_trials_fill_the_store_the_worst_one_ends(command: Command) -> None:
    full = ("--set", "reuse.limit=5MB", "--set", "pruner.head_reduction_factor=1")
    summary = command.summary(*TUNED, *full, "--trials", "6")
    reasons = [trial.user_attrs.get("reason", "") for trial in trials_of(command.home)]
    ended = [reason for reason in reasons if reason.startswith("the checkpoints of paused trials fill")]
    assert ended
    assert summary["trials"]["complete"] >= 1


def test_with_more_trials_a_closed_one_goes_on_and_no_epoch_is_trained_twice(
    ended: tuple[Command, dict[str, Any]],
) -> None:
    command, _ = ended
    before = table_of(command.home)
    summary = command.summary(*TUNED, "--trials", "18")
    trials = trials_of(command.home)

    continuing = [trial for trial in trials if "continues" in trial.user_attrs]
    assert continuing
    assert table_of(command.home)[: len(before)] == before
    assert len(trials) == 18 + len(continuing)
    for trial in continuing:
        closed = trials[trial.user_attrs["continues"]]
        assert closed.state == State.PRUNED
        assert closed.params == trial.params
        # from where it was: all of its values, and at least one more
        assert closed.intermediate_values.items() < trial.intermediate_values.items()
    assert summary["epochs_run"] == epochs_trained(command.home)
