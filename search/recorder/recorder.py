"""Recorder: tells Optuna and MLflow the same things at the same steps."""

import shutil
import time
from collections import deque
from typing import Any

from search.config.trial_config import STAGES, TrialConfig
from search.recorder.optuna_half import StoredStudy
from search.recorder.tracking import Status, Tracking
from search.scheduler.race import RaceResult
from search.scheduler.trial import Proposal, State, Trial
from search.training.segment import Epoch

# How long a finished trial waits to be closed in Optuna until MLflow has told its run's id.
_LONGEST_WAIT_S = 10.0

_STATUS: dict[State, Status] = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


class Recorder:
    """Both halves. A trial is closed in Optuna once its MLflow run is known, since it carries the run's id.

    A trial that a kill finds between its end and its close is running in Optuna, with its end noted there; it
    is closed at the next start.

    Args:
        study: The Optuna half.
        tracking: The MLflow half.
        tags: Tags of every run: what the code and the data are.
    """

    def __init__(self, study: StoredStudy, tracking: Tracking, tags: dict[str, str]) -> None:
        self._study, self._tracking, self._tags = study, tracking, tags
        self._ending: deque[tuple[Trial, float]] = deque()

    def add(self, proposal: Proposal) -> Trial:
        """Store a proposal, which makes it a trial. A run on a fresh seed is none: only MLflow knows it."""
        if proposal.repeats is None:
            return self._study.add(proposal)
        trial = Trial(proposal.repeats, proposal, started_ms=0)
        trial.started_ms = self._study.begun_ms(str(trial.key))
        return trial

    def begin(self, trial: Trial) -> None:
        """Open a trial's run, or take it up again."""
        tags = {**self._tags, "search.state": "running"}
        if trial.proposal.recipe:
            tags["search.recipe"] = trial.proposal.recipe
        if trial.proposal.continues is not None:
            tags["search.continues"] = str(trial.proposal.continues)
        params: dict[str, Any] = dict(trial.config.flat())
        if trial.config.tunes:
            params["tune.lr"] = trial.config.lr("tune")
        self._tracking.start_trial(trial.key, run_name(trial), params, tags, trial.started_ms)

    def epoch(self, trial: Trial, epoch: Epoch, steps: list[int], metric: str) -> None:
        """Record an epoch at its steps; the first one also stands for the boundary, where it has one."""
        if trial.proposal.repeats is None:
            self._study.report(trial, steps, epoch.metrics[metric])
        facts = {"seconds": epoch.seconds, "pictures_per_s": epoch.pictures_per_s}
        for step in steps:
            self._tracking.log_epoch(trial.key, step, epoch.time_ms, {**epoch.metrics, **facts})
        if epoch.before:
            self._tracking.log_epoch(trial.key, 0, epoch.time_ms, epoch.before)
        if epoch.epoch == 1:
            trained = {
                f"{epoch.stage}.trained_layers": epoch.trained_layers,
                f"{epoch.stage}.trained_parameters": epoch.trained_parameters,
            }
            self._tracking.log_params(trial.key, trained)
            self._tracking.tag_trial(trial.key, {"search.stage": epoch.stage})
        self.close_ended()

    def retried(self, trial: Trial, note: str) -> None:
        """Record that a segment of a trial runs again: in the same run, with a note of it."""
        trial.retries.append(note)
        if trial.proposal.repeats is None:
            self._study.note_retries(trial)
        self._tracking.tag_trial(trial.key, {"search.retries": "; ".join(trial.retries)})

    def pause(self, trial: Trial) -> None:
        """Record that a trial is paused: its run and its Optuna trial stay open."""
        self._log_files(trial)
        self._study.pause(trial)
        self._tracking.tag_trial(trial.key, {"search.state": "paused", "search.reason": trial.reason or ""})

    def promote(self, trial: Trial) -> None:
        """Record that a paused trial is taken up again."""
        self._study.promote(trial)
        self._tracking.tag_trial(trial.key, {"search.state": "running", "search.reason": ""})

    def end(self, trial: Trial) -> None:
        """Record how a trial ended."""
        tags: dict[str, str] = {"search.state": trial.state, "search.stage": trial.stage}
        if trial.reason:
            tags["search.reason"] = trial.reason
        metrics: dict[str, float] = {}
        if trial.outcome:
            tags["search.best_epoch"] = f"{trial.outcome.stage} {trial.outcome.epoch}"
            metrics = {f"best_{name}": value for name, value in trial.outcome.metrics.items()}
            metrics |= {"epochs_run": trial.outcome.epochs_run, "epochs_reused": trial.outcome.epochs_reused}
            metrics |= {"seconds_spent": trial.outcome.spent_s, "seconds_saved": trial.outcome.saved_s}
        self._log_files(trial)
        self._tracking.end_trial(trial.key, _STATUS[trial.state], _end_ms(trial), tags, metrics)
        if trial.proposal.repeats is None:
            self._study.end(trial)
            self.close(trial)
        if trial.files is not None and not trial.closed:
            shutil.rmtree(trial.files, ignore_errors=True)

    def finalists(self, result: RaceResult, metric: str) -> None:
        """Record how the finalists did on fresh seeds: all of it in the study, its figures in their runs."""
        self._study.note_finalists(result, metric)
        for one in result.standings:
            facts = {
                "search.finalist_mean": one.mean(metric),
                "search.finalist_spread": one.spread(metric),
                "search.finalist_stopped": one.stopped,
            }
            # what an earlier start found is overwritten
            tags = {name: "" if value is None else str(value) for name, value in facts.items()}
            self._tracking.tag_trial(one.trial.key, tags)

    def close(self, trial: Trial) -> None:
        """Close a trial that has ended, as soon as its run is known."""
        self._ending.append((trial, time.monotonic()))
        self.close_ended()

    def close_ended(self, wait_s: float = _LONGEST_WAIT_S) -> None:
        """Close in Optuna what has ended and either knows its run or has waited long enough."""
        while self._ending:
            trial, since = self._ending[0]
            trial.run_id = self._tracking.run_id(trial.key)
            if trial.run_id is None and time.monotonic() - since < wait_s:
                return
            self._study.close(trial)
            self._ending.popleft()

    def finish(self) -> None:
        """Close all trials that have ended, after a last chance for MLflow to tell its runs' ids."""
        if self._ending:
            self._tracking.flush(_LONGEST_WAIT_S)
        self.close_ended(wait_s=0.0)

    def _log_files(self, trial: Trial) -> None:
        """Give a trial's run what its callbacks wrote so far."""
        if trial.files is not None and trial.files.is_dir():
            self._tracking.log_artifacts(trial.key, trial.files)


def run_name(trial: Trial) -> str:
    """Name a trial's run so that a list of them can be read: `0017 mobilenet_v2 u0.4`."""
    config: TrialConfig = trial.config
    depth = f"u{config.unfreeze:g}" if isinstance(config.unfreeze, float) else f"u {config.unfreeze}"
    recipe = f" {trial.proposal.recipe}" if trial.proposal.recipe else ""
    seed = f" seed {trial.proposal.replicate}" if trial.proposal.replicate else ""
    return f"{trial.number:04} {config.backbone} {depth}{recipe}{seed}"


def _end_ms(trial: Trial) -> int:
    """The time of the last epoch, which is the same however often the trial is replayed."""
    times = [epoch.time_ms for stage in STAGES for epoch in trial.epochs[stage]]
    return max([trial.started_ms, *times])
