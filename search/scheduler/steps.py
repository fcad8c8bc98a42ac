"""Steps: where an epoch of a stage stands on the one axis that Optuna and MLflow show.

A step counts quarter epochs. Stage 1 ends at the same step in every trial, however short it was, so one
step always means one stage.
"""

from collections.abc import Iterable

from search.config.space import Space
from search.config.trial_config import Stage, TrialConfig
from search.scheduler.trial import Trial
from search.training.segment import Epoch

STEPS_AN_EPOCH = 4


def most_epochs(space: Space, stage: Stage) -> int:
    """Find the most epochs that a stage can have in a trial of a space."""
    dimension = space.dimensions.get(f"{stage}.epochs")
    if dimension is not None:
        return max(int(end) for end in dimension.ends())
    return space.config({"backbone": space.backbones[0]}).epochs(stage)


def most_head_epochs(space: Space, recipes: Iterable[TrialConfig]) -> int:
    """Find the most epochs that stage 1 can have in a study.

    Args:
        space: The space.
        recipes: All recipes that the space names, those that are left out included: a step must mean the
            same at every start of a study.
    """
    return max([most_epochs(space, "head"), *(config.head_epochs for config in recipes)])


def step_of(stage: Stage, epoch: int, most_head: int) -> int:
    """Give the step of an epoch, counted from 1."""
    return STEPS_AN_EPOCH * (epoch if stage == "head" else most_head + epoch)


def boundary_step(most_head: int) -> int:
    """Give the step at which every trial shows the value that its stage 1 ended with."""
    return STEPS_AN_EPOCH * most_head


def steps_of(trial: Trial, epoch: Epoch, metric: str, most_head: int) -> list[int]:
    """Give the steps at which an epoch's value is reported: its own, and the boundary after stage 1."""
    steps = [step_of(epoch.stage, epoch.epoch, most_head)]
    ends_head = epoch.stage == "head" and trial.current_stage(metric) != "head"
    if ends_head and epoch.epoch == len(trial.epochs["head"]):
        steps.append(boundary_step(most_head))
    return list(dict.fromkeys(steps))
