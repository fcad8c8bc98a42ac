"""Stored trial: what Optuna's database holds of a trial, and the way back."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.config.trial_config import STAGES, Stage, TrialConfig
from search.scheduler.steps import step_of
from search.scheduler.trial import Outcome, Proposal, Reached, State, Trial
from search.training.segment import Accumulation, Epoch

_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
OPTUNA_STATES = {state: optuna_state for optuna_state, state in _STATES.items()}


def read_trial(frozen: FrozenTrial, most_head: int, metric: str) -> Trial:
    """Read a trial from a database.

    Args:
        frozen: Optuna's trial.
        most_head: The most epochs of stage 1 in the study, for the meaning of a step.
        metric: The study's objective.
    """
    attrs = frozen.user_attrs
    config = TrialConfig.model_validate(attrs["config"])
    proposal = Proposal(
        config,
        frozen.params,
        frozen.distributions,
        recipe=attrs.get("recipe"),
        continues=attrs.get("continues"),
        constraints=frozen.constraints,
    )
    started = frozen.datetime_start
    assert started is not None, "a trial that is not waiting has started"
    trial = Trial(frozen.number, proposal, int(started.timestamp() * 1000), _STATES[frozen.state])
    trial.run_id = attrs.get("mlflow_run_id")
    trial.reported = set(frozen.intermediate_values)
    trial.promotions = list(attrs.get("promotions", ()))
    trial.retries = list(attrs.get("retries", ()))
    if "accumulation" in attrs:
        trial.accumulation = Accumulation(**attrs["accumulation"])
    trial.is_open = trial.state == "running"
    if attrs.get("state") == "paused":
        trial.must_replay, trial.closed = True, not trial.is_open
    if trial.is_open:
        trial.state = attrs.get("state", "running")
    if trial.state != "running":
        trial.reason = attrs.get("last_pause" if trial.state == "paused" else "reason")
        trial.outcome = _outcome(attrs)
        trial.epochs = reported_epochs(frozen, most_head, metric)
    return trial


def reported_epochs(frozen: FrozenTrial, most_head: int, metric: str) -> dict[Stage, list[Epoch]]:
    """Read the epochs that a trial has reported, by stage, with the objective as their only metric."""
    return {stage: _epochs(frozen, stage, most_head, metric) for stage in STAGES}


def _epochs(frozen: FrozenTrial, stage: Stage, most_head: int, metric: str) -> list[Epoch]:
    """The epochs of a trial that is over, with the objective as their only metric and their mean seconds."""
    values = list(_values(frozen, stage, most_head))
    seconds = frozen.user_attrs.get(f"{stage}_seconds", 0.0) / max(1, len(values))
    return [
        Epoch(
            stage,
            number,
            {metric: value},
            seconds,
            pictures_per_s=0.0,
            time_ms=0,
            stops=number == len(values) and stage in frozen.user_attrs.get("stopped", ()),
        )
        for number, value in enumerate(values, start=1)
    ]


def _values(frozen: FrozenTrial, stage: Stage, most_head: int) -> Iterator[float]:
    most = int(frozen.user_attrs.get("head_epochs", most_head)) if stage == "head" else None
    number = 1
    while most is None or number <= most:
        step = step_of(stage, number, most_head)
        if step not in frozen.intermediate_values:
            return
        yield frozen.intermediate_values[step]
        number += 1


def facts_of(trial: Trial) -> dict[str, Any]:
    """Sum up a trial that is over or paused."""
    outcome = trial.outcome
    facts: dict[str, Any] = {"head_epochs": len(trial.epochs["head"])}
    if outcome:
        facts |= dict(outcome.metrics)
        facts |= {"best_stage": outcome.stage, "best_epoch": outcome.epoch, "seconds": outcome.seconds}
        facts |= {"epochs_run": outcome.epochs_run, "epochs_reused": outcome.epochs_reused}
        facts |= {"seconds_spent": outcome.spent_s, "seconds_saved": outcome.saved_s}
        facts["stages"] = [asdict(one) for one in outcome.stages]
    stopped = [stage for stage, epochs in trial.epochs.items() if epochs and epochs[-1].stops]
    facts |= {"stopped": stopped} if stopped else {}
    for stage, epochs in trial.epochs.items():
        facts[f"{stage}_seconds"] = sum(epoch.seconds for epoch in epochs)
    return facts


def _outcome(attrs: dict[str, Any]) -> Outcome | None:
    if "best_epoch" not in attrs:
        return None
    names = [f"{prefix}{name}" for prefix in ("", "val_") for name in ("loss", "accuracy", "f1", "auc")]
    return Outcome(
        stage=attrs["best_stage"],
        epoch=attrs["best_epoch"],
        metrics={name: attrs[name] for name in names if name in attrs},
        seconds=attrs["seconds"],
        epochs_run=attrs["epochs_run"],
        epochs_reused=attrs["epochs_reused"],
        spent_s=attrs["seconds_spent"],
        saved_s=attrs["seconds_saved"],
        stages=tuple(Reached(**one) for one in attrs["stages"]),
    )
