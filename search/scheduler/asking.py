"""Asking: the study in memory from which points are asked.

In the stored study a paused trial is RUNNING, and TPE takes every running trial for a bad one. Here only
those that are being trained are.
"""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.config.space import Space
from search.config.trial_config import STAGES, TrialConfig
from search.scheduler.distributions import in_order, names_of, suggest
from search.scheduler.samplers import make_sampler
from search.scheduler.steps import steps_of
from search.scheduler.trial import State, Trial
from search.seeds import seed_for

# what a trial stands as whose value is not final
_OTHERS: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "paused": TrialState.PRUNED,
    "complete": TrialState.PRUNED,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

# How often a point is asked before one that was tried is taken again. A sampler that is sure of its best
# point gives it each time, so the last tries are random.
_MOST_TRIES, _SAMPLER_TRIES = 10, 5


class Asking:
    """Asks for points.

    Args:
        space: The search space.
        most_head: The most epochs of stage 1 in this study, for the meaning of a step.

    Attributes:
        is_finite: Whether all points may have been tried some day.
    """

    def __init__(self, space: Space, most_head: int) -> None:
        self._space, self._most_head, self._metric = space, most_head, space.objective.metric
        self._promotes, self._is_gp = space.pruner.name == "promote", space.sampler.name == "gp"
        self.is_finite = space.sampler.name == "grid" or not space.dimensions

    def point(self, trials: Sequence[Trial], number: int) -> TrialConfig | None:
        """Ask for the point of the next trial.

        Args:
            trials: What is known, without trials that others continue.
            number: How many trials were started before, which decides the sampler's seed.

        Returns:
            Its config, or None where all points were tried. A point that a trial had before, or whose network
            broke a constraint, is asked again with another seed; if it comes up each time, it is taken.
        """
        starts = self._space.starts[sum(trial.proposal.recipe is None for trial in trials) :]
        start = starts[0] if starts else None
        seen = [self.frozen(trial) for trial in trials if trial.proposal.params]
        for attempt in range(_MOST_TRIES):
            config = self._suggested(seen, number, attempt, start)
            is_new = not any(_same(trial.config, config) for trial in trials)
            is_legal = not any(_breaks_with(trial, config) for trial in trials)
            if (is_new and is_legal) or self.is_finite or start:
                break
        return None if self.is_finite and not is_new else config

    def _suggested(
        self, seen: Sequence[FrozenTrial], number: int, attempt: int, start: dict[str, Any] | None
    ) -> TrialConfig:
        sampler = make_sampler(self._space, number, attempt)
        if attempt >= _SAMPLER_TRIES:
            sampler = RandomSampler(seed=seed_for(self._space.seed, f"point, attempt {attempt}", number))
        study = optuna.create_study(direction=self._space.objective.direction, sampler=sampler)
        study.add_trials(seen)
        if start:
            study.enqueue_trial(names_of(self._space, start))
        return suggest(self._space, study.ask())

    def frozen(self, trial: Trial) -> FrozenTrial:
        """Show a trial as the sampler is to see it."""
        proposal = trial.proposal
        names = in_order(self._space, proposal.params)
        values = {
            step: epoch.metrics[self._metric]
            for stage in STAGES
            for epoch in trial.epochs[stage]
            for step in steps_of(trial, epoch, self._metric, self._most_head)
        }
        is_complete = self._is_shown_complete(trial)
        return create_trial(
            state=TrialState.COMPLETE if is_complete else _OTHERS[trial.state],
            value=trial.value(self._metric) if is_complete else None,
            params={name: proposal.params[name] for name in names},
            distributions={name: proposal.distributions[name] for name in names},
            intermediate_values=values,
            constraints=dict(proposal.constraints),
        )

    def _is_shown_complete(self, trial: Trial) -> bool:
        """Tell whether a trial's value counts as final.

        TPE takes any complete trial for better than any pruned one. Where trials are paused after stage 1,
        one that has no stage 2 stands beside them, or the search would stay with such. GP knows only
        complete ones.
        """
        if not self._promotes:
            return trial.state == "complete"
        if self._is_gp:
            return trial.state in ("complete", "paused", "pruned") and trial.value(self._metric) is not None
        return trial.state == "complete" and trial.config.tunes


def _breaks_with(trial: Trial, config: TrialConfig) -> bool:
    """Tell whether a config has the network of a trial that broke a constraint."""
    is_broken = any(over > 0 for over in trial.proposal.constraints.values())
    same = (trial.config.backbone, trial.config.image_size) == (config.backbone, config.image_size)
    return is_broken and same


def _same(one: TrialConfig, other: TrialConfig) -> bool:
    """Tell whether two configs are one point; the number of draws is no dimension."""
    return one.model_copy(update={"n_draws": other.n_draws}).flat() == other.flat()
