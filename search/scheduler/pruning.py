"""Pruning within a stage: Optuna's pruners, shown one stage at a time.

Optuna's pruners look at all steps of a trial at once: a good head keeps alive a stage 2 that ruins it, and
heads are held against tuned models. So each stage has a study of its own in memory, in which a step is an
epoch of that stage and a trial is complete when it has finished the stage.
"""

import warnings
from collections.abc import Iterator

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from search.config.sections import Pruner
from search.config.space import Space
from search.config.trial_config import STAGES, Stage
from search.scheduler.judge import Verdict
from search.scheduler.rungs import value_at
from search.scheduler.steps import most_epochs
from search.scheduler.trial import Trial, Way
from search.training.segment import Epoch


class Pruning:
    """Asks the study's pruner after every epoch."""

    def __init__(self, space: Space) -> None:
        self._metric = space.objective.metric
        self._name, self._stages = space.pruner.name, space.pruner.stages
        self._views = {stage: _View(space, stage) for stage in STAGES}

    def begin(self, trial: Trial) -> None:
        """Take a trial in; trials must come in the order of their numbers."""
        for view in self._views.values():
            view.begin(trial.number)

    def observe(self, trial: Trial, epoch: Epoch) -> Verdict | None:
        """Show an epoch to the pruner.

        Recipes are shown but never end, nor does a trial in a stage in which the study does not prune.
        """
        stage, value = epoch.stage, epoch.metrics[self._metric]
        prune = self._views[stage].report(trial.number, epoch.epoch, value)
        if not prune or trial.proposal.recipe or stage not in self._stages:
            return None
        where = f"epoch {epoch.epoch} of stage {stage}"
        return Verdict("pruned", f"{self._name} at {where}: {self._metric} {value:.4g}")

    def go_on(self, trial: Trial, epoch: Epoch) -> None:
        """Note that a trial goes on, and whether it has finished a stage."""
        if trial.current_stage(self._metric) != epoch.stage:
            value = value_at(trial, epoch.stage, self._metric)
            self._views[epoch.stage].end(trial.number, value)

    def end(self, trial: Trial) -> None:
        """Note that a trial is over; a stage it did not finish counts as pruned."""
        for view in self._views.values():
            view.end(trial.number, None)

    def due(self) -> Iterator[list[tuple[Trial, Way]]]:
        """Nothing is ever paused, so nothing is taken up again."""
        yield from ()

    def last(self) -> Trial | None:
        """Nothing waits."""
        return None

    def leader(self) -> Trial | None:
        """Nothing waits."""
        return None


class _View:
    """A study in memory that holds one stage's values."""

    def __init__(self, space: Space, stage: Stage) -> None:
        self._study = optuna.create_study(
            direction=space.objective.direction,
            sampler=RandomSampler(seed=0),  # never asked for a value
            pruner=_make_pruner(space.pruner, most_epochs(space, stage)),
            study_name=f"{space.study} {stage}",  # Hyperband draws a trial's bracket from the name
        )
        self._trials: dict[int, optuna.Trial] = {}

    def begin(self, number: int) -> None:
        trial = self._study.ask()
        assert trial.number == number, "trials must be shown in the order of their numbers"
        self._trials[number] = trial

    def report(self, number: int, step: int, value: float) -> bool:
        trial = self._trials[number]
        trial.report(value, step)
        with warnings.catch_warnings():
            # Wilcoxon's, about a trial that is longer than the best one
            warnings.simplefilter("ignore", UserWarning)
            return trial.should_prune()

    def end(self, number: int, value: float | None) -> None:
        trial = self._trials.pop(number, None)
        if trial is None:
            return
        if value is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, value)


def _make_pruner(pruner: Pruner, most_epochs: int) -> BasePruner:
    """Make a pruner for steps that count epochs from 1; Optuna's count from 0."""
    startup, warmup = pruner.startup_trials, pruner.warmup_epochs + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match pruner.name:
            case "median":
                return MedianPruner(startup, warmup)
            case "percentile":
                return PercentilePruner(pruner.percentile, startup, warmup)
            case "hyperband":
                return HyperbandPruner(1, most_epochs, pruner.reduction_factor)
            case "successive_halving":
                return SuccessiveHalvingPruner(min_resource=1, reduction_factor=pruner.reduction_factor)
            case "patient":
                # alone it would end every trial that has reached its plateau, the best ones first
                return PatientPruner(MedianPruner(startup, warmup), pruner.patience - 1)
            case "wilcoxon":
                return WilcoxonPruner(p_threshold=pruner.p_threshold, n_startup_steps=warmup)
            case _:
                return NopPruner()
