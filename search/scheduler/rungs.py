"""Rungs: the places in the schedule where trials are compared, like with like."""

from dataclasses import dataclass

from search.config.sections import Pruner
from search.config.trial_config import Stage
from search.scheduler.trial import Trial
from search.training.segment import Epoch, better


@dataclass(frozen=True)
class Rung:
    """A place that trials reach.

    Attributes:
        stage: The stage.
        epoch: An epoch of that stage; None for its last one, which may be another in each trial.
    """

    stage: Stage
    epoch: int | None

    def __str__(self) -> str:
        """Name it for people."""
        return f"the end of stage {self.stage}" if self.epoch is None else f"{self.stage} epoch {self.epoch}"


def rungs_of(pruner: Pruner) -> tuple[Rung, ...]:
    """Give the rungs in the order in which a trial reaches them: that of stage 1 first."""
    return (Rung("head", None), *(Rung("tune", epoch) for epoch in pruner.rungs))


def reached(rungs: tuple[Rung, ...], trial: Trial, epoch: Epoch, metric: str) -> int | None:
    """Give the index of the rung that a trial reaches with its last epoch, or None."""
    if epoch.stage == "head":
        return 0 if trial.current_stage(metric) != "head" else None
    places = [rung.epoch if rung.stage == "tune" else None for rung in rungs]
    return places.index(epoch.epoch) if epoch.epoch in places else None


def value_at(trial: Trial, stage: Stage, metric: str) -> float:
    """Give the value by which a trial is compared: the best of its stage so far.

    That of another stage does not count: a good head must not keep a stage 2 alive that ruins it.
    """
    best: float | None = None
    for value in trial.values(stage, metric):
        best = value if better(metric, value, best) else best
    assert best is not None, "a trial has an epoch where it is compared"
    return best


def epochs_left(rungs: tuple[Rung, ...], trial: Trial) -> tuple[int, int]:
    """Count the epochs of stage 2 that a waiting trial needs to its next rung and to its end."""
    done, end = len(trial.epochs["tune"]), trial.config.tune_epochs
    later = [rung.epoch for rung in rungs if rung.epoch is not None and rung.epoch > done]
    return min([end, *later]) - done, end - done
