"""Trial: one two-stage training as the scheduler sees it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search.config.trial_config import STAGES, Stage, TrialConfig
from search.training.segment import Accumulation, Epoch, Segment, better, stage_ended

State = Literal["running", "paused", "complete", "pruned", "failed"]
# How a trial got past a rung: by its rank there, or as one of the few that rank badly.
Way = Literal["rank", "long shot"]


@dataclass(frozen=True)
class Proposal:
    """A trial that has no number yet.

    Attributes:
        config: Its settings.
        params: What Optuna is told of them; empty for a recipe that is no point of the space.
        distributions: Where each of the params came from, Optuna's objects.
        recipe: The recipe's name, None for a trial of the search.
        continues: The number of the closed trial that it takes up, from its checkpoint; None for a new one.
        promotions: How that trial and its promotion now got past each rung.
        repeats: The number of the trial that it runs again on a fresh seed; None for a trial of the study.
        replicate: Which fresh seed, from 1; 0 in the search.
        constraints: Optuna's value of each of the space's constraints; above 0 where it is broken.
    """

    config: TrialConfig
    params: Mapping[str, Any]
    distributions: Mapping[str, Any]
    recipe: str | None = None
    continues: int | None = None
    promotions: tuple[Way, ...] = ()
    repeats: int | None = None
    replicate: int = 0
    constraints: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reached:
    """What a trial came to by a stage's best epoch, or before training.

    Attributes:
        stage: The stage.
        epoch: That epoch's number within the stage; 0 before training.
        metrics: Its validation metrics.
        trained_parameters: Numbers that the stage trains; 0 before training.
    """

    stage: Stage
    epoch: int
    metrics: Mapping[str, float]
    trained_parameters: int


@dataclass(frozen=True)
class Outcome:
    """What a trial came to, as the stored study keeps it; of a paused one, so far.

    Attributes:
        stage: The stage of its best epoch.
        epoch: That epoch's number within the stage, from 1.
        metrics: That epoch's metrics.
        seconds: Measured seconds of all its epochs, replayed ones included.
        epochs_run: Epochs trained for it.
        epochs_reused: Epochs taken from the store, of other trials.
        spent_s: Measured seconds of the epochs trained for it.
        saved_s: Seconds that it would have taken more if nothing had been reused: those of its reused epochs,
            and what stored features saved in all its epochs.
        stages: What it came to before training and in each stage.
    """

    stage: Stage
    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    epochs_run: int
    epochs_reused: int
    spent_s: float
    saved_s: float
    stages: tuple[Reached, ...] = ()


@dataclass
class Trial:
    """A trial and what is known of it so far.

    Attributes:
        number: Optuna's number; of a run on a fresh seed, that of the trial that it repeats.
        proposal: What it is.
        state: Where it stands.
        epochs: What each epoch gave, by stage; of a stored trial that is over or paused, the objective only.
        started_ms: When it was asked, milliseconds since 1970.
        reported: The steps that Optuna already holds.
        reason: Why it was paused, pruned or failed.
        outcome: What it came to, once it is over or paused; None if it had no epoch.
        epochs_run: Epochs trained for it so far.
        epochs_reused: Epochs taken from the store so far.
        spent_s: Seconds of the epochs trained for it so far.
        saved_s: Seconds that reuse has saved it so far.
        run_id: Its MLflow run, once that is known.
        is_open: Whether Optuna still has it as running.
        promotions: How it got past each rung so far, the first rung first.
        closed: Whether it was only paused when the study's budget was reached: it is pruned, and may go on
            as another trial.
        must_replay: Whether its epochs hold the objective only, so that they are replayed before it goes on.
        files: The folder of what its callbacks wrote, once it is known; None where they write nothing.
        retries: Which of its segments had to run again, and why.
        accumulation: From where on its batches go through the network in parts; None where they never do.
        programs: Training programs that this driver had compiled for it.
    """

    number: int
    proposal: Proposal
    started_ms: int
    state: State = "running"
    epochs: dict[Stage, list[Epoch]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    reported: set[int] = field(default_factory=set)
    reason: str | None = None
    outcome: Outcome | None = None
    epochs_run: int = 0
    epochs_reused: int = 0
    spent_s: float = 0.0
    saved_s: float = 0.0
    run_id: str | None = None
    is_open: bool = True
    promotions: list[Way] = field(default_factory=list)
    closed: bool = False
    must_replay: bool = False
    files: Path | None = None
    retries: list[str] = field(default_factory=list)
    accumulation: Accumulation | None = None
    programs: int = 0

    @property
    def config(self) -> TrialConfig:
        """Its settings."""
        return self.proposal.config

    @property
    def is_in(self) -> bool:
        """Whether it may be the best one: it came to its end, or only the budget keeps it from that."""
        return self.closed or self.state in ("running", "paused", "complete")

    @property
    def key(self) -> int | str:
        """What it is known by: its number, or `7/2` where it runs trial 7 again on the second fresh seed."""
        replicate = self.proposal.replicate
        return f"{self.number}/{replicate}" if replicate else self.number

    @property
    def stage(self) -> Stage:
        """The stage of its last epoch; `head` before the first."""
        return "tune" if self.epochs["tune"] else "head"

    def values(self, stage: Stage, metric: str) -> list[float]:
        """Give the objective after each epoch of a stage."""
        return [epoch.metrics[metric] for epoch in self.epochs[stage]]

    def best_epoch(self, metric: str) -> Epoch | None:
        """Give the epoch with the best objective over both stages, the first one of equals."""
        return _best_of([epoch for stage in STAGES for epoch in self.epochs[stage]], metric)

    def best_metrics(self, metric: str) -> Mapping[str, float]:
        """Give all metrics of its best epoch, of which it has one."""
        best = self.outcome or self.best_epoch(metric)
        assert best is not None, "a trial that is shown has an epoch"
        return best.metrics

    def value(self, metric: str) -> float | None:
        """Give the trial's value: the best objective over both stages."""
        best = self.best_epoch(metric)
        return None if best is None else best.metrics[metric]

    def count(self, epoch: Epoch, is_own: bool) -> None:
        """Count an epoch as run for this trial or taken from another.

        Args:
            epoch: The epoch.
            is_own: Whether it was trained for this trial, be it by a driver that died.
        """
        self.saved_s += epoch.saved_s
        if is_own:
            self.epochs_run += 1
            self.spent_s += epoch.seconds
        else:
            self.epochs_reused += 1
            self.saved_s += epoch.seconds

    def pause(self, reason: str, metric: str) -> None:
        """Lay the trial aside until it is promoted."""
        self._stop("paused", reason, metric)

    def promote(self, way: Way) -> None:
        """Take the trial up again, past the rung at which it was paused."""
        self.promotions.append(way)
        self.state, self.reason, self.outcome = "running", None, None
        if self.must_replay:
            self.epochs = {stage: [] for stage in STAGES}
            self.epochs_run = self.epochs_reused = 0
            self.spent_s = self.saved_s = 0.0
            self.must_replay = False

    def end(self, state: State, reason: str | None, metric: str) -> None:
        """Close the trial."""
        self._stop(state, reason, metric)

    def close(self, metric: str) -> None:
        """End a paused trial because the study's budget is reached."""
        self.closed = True
        self._stop("pruned", f"the study's budget was reached; {self.reason}", metric)

    def current_stage(self, metric: str) -> Stage | None:
        """Give the stage that is to be trained next, or None where both are over."""
        for stage in self.config.stages:
            epochs = self.epochs[stage]
            stopped = bool(epochs) and epochs[-1].stops
            if not stage_ended(self.config, stage, self.values(stage, metric), metric, stopped):
                return stage
        return None

    def _stop(self, state: State, reason: str | None, metric: str) -> None:
        self.state, self.reason = state, reason
        best = self.best_epoch(metric)
        # what a stored trial came to is known better than its epochs
        if best is not None and not self.must_replay:
            seconds = sum(epoch.seconds for stage in STAGES for epoch in self.epochs[stage])
            self.outcome = Outcome(
                best.stage,
                best.epoch,
                best.metrics,
                seconds,
                self.epochs_run,
                self.epochs_reused,
                self.spent_s,
                self.saved_s,
                tuple(self._reached(metric)),
            )

    def _reached(self, metric: str) -> Iterator[Reached]:
        first = next(iter(self.epochs["head"]), None)
        if first is not None and first.before:
            yield Reached("head", 0, first.before, 0)
        for stage in STAGES:
            best = _best_of(self.epochs[stage], metric)
            if best is not None:
                metrics = {name: best.metrics[name] for name in best.metrics if name.startswith("val_")}
                yield Reached(stage, best.epoch, metrics, best.trained_parameters)

    def segment(
        self,
        stage: Stage,
        until: int,
        metric: str,
        study_seed: int,
        asker: str,
        owner: str | None,
        files: str | None = None,
    ) -> Segment:
        """Describe the work from what is known of a stage up to an epoch."""
        return Segment(
            config=self.config,
            stage=stage,
            until=until,
            after=min(until, len(self.epochs[stage])),
            head_epochs=len(self.epochs["head"]),
            metric=metric,
            study_seed=study_seed,
            replicate=self.proposal.replicate,
            asker=asker,
            owner=owner,
            files=files,
            accumulation=self.accumulation,
        )


def _best_of(epochs: Sequence[Epoch], metric: str) -> Epoch | None:
    best: Epoch | None = None
    for epoch in epochs:
        if best is None or better(metric, epoch.metrics[metric], best.metrics[metric]):
            best = epoch
    return best
