"""Scheduler: which trial comes next, which segment of it, and whether it goes on."""

from collections.abc import Sequence
from dataclasses import replace

import optuna
from optuna.trial import TrialState, create_trial

from search.config.space import Space
from search.config.trial_config import STAGES, Stage, TrialConfig
from search.scheduler.distributions import params_of, suggest
from search.scheduler.pruning import Pruning
from search.scheduler.samplers import make_sampler
from search.scheduler.steps import boundary_step, most_head_epochs, step_of
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch, Segment

_OPTUNA_STATE = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Scheduler:
    """Decides from what is known of the study's trials, and from nothing else.

    Args:
        space: The search space.
        recipes: The configs of the baselines by name, in the order in which they run.
        trials: The trials that the study already has, in the order of their numbers.
        most_trials: How many trials the study may have in all; None for no limit.
    """

    def __init__(
        self,
        space: Space,
        recipes: dict[str, TrialConfig],
        trials: Sequence[Trial],
        most_trials: int | None,
    ) -> None:
        self.trials: list[Trial] = []
        self.most_head = most_head_epochs(space, recipes.values())
        self._space, self._recipes, self._most_trials = space, recipes, most_trials
        self._metric = space.objective.metric
        self._pruning = Pruning(space)
        for trial in trials:
            self._take_in(trial)

    def propose(self) -> Proposal | None:
        """Propose the next trial; recipes come first.

        Returns:
            The proposal, or None where the study has all the trials it may have or all points were tried.
        """
        if self._most_trials is not None and len(self.trials) >= self._most_trials:
            return None
        done = {trial.proposal.recipe for trial in self.trials}
        for name, config in self._recipes.items():
            if name not in done:
                params, distributions = params_of(self._space, config) or ({}, {})
                return Proposal(config, params, distributions, name)
        return self._ask()

    def begin(self, trial: Trial) -> None:
        """Take a proposal in that has become a trial."""
        self.trials.append(trial)
        self._pruning.begin(trial)

    def next_segment(self, trial: Trial) -> Segment | None:
        """Give the next segment of a trial, one epoch long, or None where both stages are over."""
        stage = trial.current_stage(self._metric)
        if stage is None:
            return None
        return self._segment(trial, stage, len(trial.epochs[stage]) + 1)

    def last_segment(self, trial: Trial) -> Segment:
        """Give the segment that ends where a finished trial ended, from which its best weights come."""
        return self._segment(trial, trial.stage, len(trial.epochs[trial.stage]))

    def segment_from_start(self, trial: Trial, stage: Stage) -> Segment:
        """Give the segment that replays a whole stage of a trial that is over, for all its metrics."""
        return replace(self._segment(trial, stage, len(trial.epochs[stage])), after=0)

    def observe(self, trial: Trial, epoch: Epoch) -> str | None:
        """Take in what an epoch gave.

        Returns:
            Why the trial should end now, or None.
        """
        trial.epochs[epoch.stage].append(epoch)
        reason = self._pruning.observe(trial, epoch.stage, epoch.epoch)
        if reason is None and trial.current_stage(self._metric) != epoch.stage:
            self._pruning.end_stage(trial, epoch.stage)
        return reason

    def end(self, trial: Trial) -> None:
        """Take in that a trial is over; its state says how."""
        self._pruning.end(trial)

    def steps(self, trial: Trial, epoch: Epoch) -> list[int]:
        """Give the steps at which an epoch's value is reported: its own, and the boundary after stage 1."""
        steps = [step_of(epoch.stage, epoch.epoch, self.most_head)]
        ends_head = epoch.stage == "head" and trial.current_stage(self._metric) != "head"
        if ends_head and epoch.epoch == len(trial.epochs["head"]):
            steps.append(boundary_step(self.most_head))
        return list(dict.fromkeys(steps))

    def best(self) -> Trial | None:
        """Give the complete trial with the best value, the first one of equals."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        sign = 1.0 if self._space.objective.direction == "minimize" else -1.0
        return min(complete, key=lambda trial: sign * (trial.value(self._metric) or 0.0), default=None)

    def _segment(self, trial: Trial, stage: Stage, until: int) -> Segment:
        owner = None if self._space.reuse.enabled else f"{self._space.study}/{trial.number}"
        return trial.segment(stage, until, self._metric, self._space.seed, owner)

    def _take_in(self, trial: Trial) -> None:
        """Show a stored trial to the pruners as it once happened. One that is running will be shown again."""
        known = {stage: list(trial.epochs[stage]) for stage in STAGES}
        for stage in STAGES:
            trial.epochs[stage].clear()
        self.begin(trial)
        if trial.state == "running":
            return
        for stage in STAGES:
            for epoch in known[stage]:
                self.observe(trial, epoch)
        self.end(trial)

    def _ask(self) -> Proposal | None:
        number = len(self.trials)
        study = optuna.create_study(
            direction=self._space.objective.direction, sampler=make_sampler(self._space, number)
        )
        study.add_trials([self._frozen(trial) for trial in self.trials if trial.proposal.params])
        asked = study.ask()
        config = suggest(self._space, asked)
        if self._space.sampler.name == "grid" and any(trial.config == config for trial in self.trials):
            return None
        return Proposal(config, asked.params, asked.distributions)

    def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
        values = {
            step_of(stage, epoch.epoch, self.most_head): epoch.metrics[self._metric]
            for stage in STAGES
            for epoch in trial.epochs[stage]
        }
        return create_trial(
            state=_OPTUNA_STATE[trial.state],
            value=trial.value(self._metric) if trial.state == "complete" else None,
            params=dict(trial.proposal.params),
            distributions=dict(trial.proposal.distributions),
            intermediate_values=values,
        )
