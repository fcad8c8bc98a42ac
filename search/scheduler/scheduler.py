"""Scheduler: which trial comes next, which segment of it, and whether it goes on."""

from collections.abc import Sequence
from dataclasses import replace

import optuna
from optuna.trial import TrialState, create_trial

from search.config.space import Space
from search.config.trial_config import STAGES, Stage, TrialConfig
from search.scheduler.distributions import in_order, names_of, params_of, suggest
from search.scheduler.pruning import Pruning
from search.scheduler.samplers import make_sampler
from search.scheduler.steps import boundary_step, most_head_epochs, step_of
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch, Segment, better

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
        most_head: The most epochs of stage 1 in this study, if recipes that are left out count as well.
    """

    def __init__(
        self,
        space: Space,
        recipes: dict[str, TrialConfig],
        trials: Sequence[Trial],
        most_trials: int | None,
        most_head: int | None = None,
        study_uid: str = "",
    ) -> None:
        self.trials: list[Trial] = []
        self.most_head = most_head or most_head_epochs(space, recipes.values())
        self._space, self._recipes, self._most_trials = space, recipes, most_trials
        self._metric, self._study_uid = space.objective.metric, study_uid
        self._pruning = Pruning(space)
        for trial in trials:
            self._take_in(trial)

    def propose(self) -> Proposal | None:
        """Propose the next trial; recipes come first, then the points at which the search begins.

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
        reason = self._show(trial, epoch)
        if self._has_gone_on(trial, epoch) or trial.current_stage(self._metric) is None:
            reason = None
        if reason is None:
            self._end_stage(trial, epoch.stage)
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
        best: Trial | None = None
        for trial in complete:
            value = trial.value(self._metric)
            if value is not None and better(self._metric, value, best.value(self._metric) if best else None):
                best = trial
        return best

    def _show(self, trial: Trial, epoch: Epoch) -> str | None:
        trial.epochs[epoch.stage].append(epoch)
        return self._pruning.observe(trial, epoch.stage, epoch.epoch)

    def _end_stage(self, trial: Trial, stage: Stage) -> None:
        if trial.current_stage(self._metric) != stage:
            self._pruning.end_stage(trial, stage)

    def _has_gone_on(self, trial: Trial, epoch: Epoch) -> bool:
        """Tell whether the trial of a dead driver got past this epoch, which another one now replays.

        That it went on was decided then. With several workers more trials may be known by now, and the same
        question would get another answer.
        """
        return max(trial.reported, default=0) > max(self.steps(trial, epoch))

    def _segment(self, trial: Trial, stage: Stage, until: int) -> Segment:
        owner = None if self._space.reuse.enabled else f"{self._study_uid}/{trial.number}"
        return trial.segment(stage, until, self._metric, self._space.seed, owner)

    def _take_in(self, trial: Trial) -> None:
        """Show a stored trial to the pruners as it once happened; one that is running will be shown again."""
        known = {stage: list(trial.epochs[stage]) for stage in STAGES}
        for stage in STAGES:
            trial.epochs[stage].clear()
        self.begin(trial)
        if trial.state == "running":
            return
        epochs = [epoch for stage in STAGES for epoch in known[stage]]
        for epoch in epochs:
            self._show(trial, epoch)
            if trial.state != "pruned" or epoch is not epochs[-1]:
                self._end_stage(trial, epoch.stage)
        self.end(trial)

    def _ask(self) -> Proposal | None:
        sampler = make_sampler(self._space, len(self.trials))
        study = optuna.create_study(direction=self._space.objective.direction, sampler=sampler)
        study.add_trials([self._frozen(trial) for trial in self.trials if trial.proposal.params])
        starts = self._space.starts
        searched = sum(trial.proposal.recipe is None for trial in self.trials)
        if searched < len(starts):
            study.enqueue_trial(names_of(self._space, starts[searched]))
        config = suggest(self._space, study.ask())
        finite = self._space.sampler.name == "grid" or not self._space.dimensions
        if finite and any(_same(trial.config, config) for trial in self.trials):
            return None
        point = params_of(self._space, config)
        assert point is not None, "what is suggested is a point of the space"
        return Proposal(config, *point)

    def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
        proposal = trial.proposal
        names = in_order(self._space, proposal.params)
        values = {
            step: epoch.metrics[self._metric]
            for stage in STAGES
            for epoch in trial.epochs[stage]
            for step in self.steps(trial, epoch)
        }
        return create_trial(
            state=_OPTUNA_STATE[trial.state],
            value=trial.value(self._metric) if trial.state == "complete" else None,
            params={name: proposal.params[name] for name in names},
            distributions={name: proposal.distributions[name] for name in names},
            intermediate_values=values,
        )


def _same(one: TrialConfig, other: TrialConfig) -> bool:
    """Tell whether two configs are one point; the number of draws is no dimension."""
    return one.model_copy(update={"n_draws": other.n_draws}).flat() == other.flat()
