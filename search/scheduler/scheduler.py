"""Scheduler: which trial comes next, which segment of it, and whether it goes on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from search.config.callbacks import are_shared
from search.config.space import Space
from search.config.trial_config import STAGES, Stage, TrialConfig
from search.scheduler.allowance import Allowance, Work
from search.scheduler.asking import Asking
from search.scheduler.distributions import params_of
from search.scheduler.judge import Judge, Verdict
from search.scheduler.promotion import Promotion
from search.scheduler.pruning import Pruning
from search.scheduler.ranking import BEST_FEW, best_of
from search.scheduler.rungs import epochs_left, rungs_of
from search.scheduler.steps import most_head_epochs, steps_of
from search.scheduler.trial import Proposal, Trial, Way
from search.training.own_functions import why_not_reused
from search.training.segment import Epoch, Segment, better


class Scheduler:
    """Decides from what is known of the study's trials, and from nothing else.

    Whoever drives it, be it the driver or a simulation, does this whenever a slot is free:

        found = scheduler.next_trial()
        if found is None: the study is over; each paused trial gets `trial.close(metric)`
        if found is a Proposal: make it a `Trial` with the next number, then `scheduler.begin(trial)`
        if found is a Trial: it was paused and is running again

    and with the trial, until it stops:

        segment = scheduler.next_segment(trial)      None: `trial.end("complete", None, metric)` and
                                                     `scheduler.end(trial)`
        train from `segment.after` to `segment.until`
        verdict = scheduler.observe(trial, epoch)    for each epoch in order
        verdict.state is "paused": `trial.pause(verdict.reason, metric)`
        verdict.state is "pruned": `trial.end("pruned", verdict.reason, metric)` and `scheduler.end(trial)`

    After each epoch `trial.count(epoch, is_own)` says whether it was trained for it or for another, which
    counts for the budget of epochs; no segment starts once `scheduler.is_spent()`. A trial that is running
    then stays so, and a later start takes it up again.

    A trial that is lost gets `trial.end("failed", reason, metric)` and `scheduler.end(trial)`. Segments are
    one epoch long; several trials may run at once. `scheduler.trials` are all trials, `scheduler.best()` the
    best one.

    Args:
        space: The search space.
        recipes: The configs of the baselines by name, in the order in which they run.
        trials: The trials that the study already has, in the order of their numbers.
        most_trials: How many trials the study may have in all, not counting those that continue another;
            None for no limit.
        most_head: The most epochs of stage 1 in this study, if recipes that are left out count as well.
        study_uid: What tells this study from all others.
        seconds_left: Tells how much of the study's time is left, finalists included; None where it has no
            limit.
        n_pictures: How many pictures an epoch trains on, for `budget.picture_passes`.
    """

    def __init__(
        self,
        space: Space,
        recipes: Mapping[str, TrialConfig],
        trials: Sequence[Trial],
        most_trials: int | None,
        most_head: int | None = None,
        study_uid: str = "",
        seconds_left: Callable[[], float] | None = None,
        n_pictures: int = 1,
    ) -> None:
        self.trials: list[Trial] = []
        self.most_head = most_head or most_head_epochs(space, recipes.values())
        self._space, self._recipes, self._most_trials = space, recipes, most_trials
        self._metric, self._study_uid = space.objective.metric, study_uid
        self._asking = Asking(space, self.most_head)
        left = None if seconds_left is None else lambda: seconds_left() - self._reserve_s()
        self._allowance = Allowance(space.budget.most_epochs(n_pictures), left)
        # whether the last proposal was withheld since there is not enough left for it
        self._is_too_late = False
        self._judge: Judge = (
            Promotion(space, self._is_last_call) if space.pruner.name == "promote" else Pruning(space)
        )
        for trial in trials:
            self._take_in(trial)

    def next_trial(self) -> Trial | Proposal | None:
        """Give what a free slot is to do: a paused trial whose time has come, else a new one.

        Returns:
            A trial that was paused and is running again; the proposal of a new one, or of one that continues
            a trial that was closed; None where nothing is left to do.
        """
        self._is_too_late = False
        found = self._promoted() or self._affordable(self.propose())
        # where no new trial can start, the best ones go on to their ends
        return found or self._promoted() or self._leading()

    def is_spent(self) -> bool:
        """Tell whether the search has trained all the epochs that it may, or its time is up.

        Of the time it leaves the finalists their share (`finalists.time_share`), if two can run in that.
        """
        return self._allowance.is_spent(self.trials)

    def seconds_to_run(self, trial: Trial) -> float:
        """Estimate what all epochs of a trial take, by the seconds measured so far, else by what it took."""
        stages = trial.config.stages
        found = self._allowance.seconds_of(Work(trial.config, s, trial.config.epochs(s)) for s in stages)
        return found or (trial.outcome.seconds if trial.outcome else 0.0)

    def propose(self) -> Proposal | None:
        """Propose the next new trial; recipes come first, then the points at which the search begins.

        Returns:
            The proposal, or None where the study has all the trials it may have, all points were tried, or so
            many trials in a row were no better that it stops (`budget.stagnation`).
        """
        if self._is_full():
            return None
        for name, config in self._recipes_to_run():
            params, distributions = params_of(self._space, config) or ({}, {})
            return Proposal(config, params, distributions, name)
        asked = self._asked()
        if asked is None:
            return None
        point = params_of(self._space, asked)
        assert point is not None, "what is suggested is a point of the space"
        return Proposal(asked, *point)

    def begin(self, trial: Trial) -> None:
        """Take a proposal in that has become a trial; one that continues another trains as that did."""
        if trial.proposal.continues is not None and trial.accumulation is None:
            trial.accumulation = self.trials[trial.proposal.continues].accumulation
        trial.promotions = list(trial.promotions or trial.proposal.promotions)
        self.trials.append(trial)
        self._judge.begin(trial)

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

    def observe(self, trial: Trial, epoch: Epoch) -> Verdict | None:
        """Take in what an epoch gave; None lets the trial go on."""
        trial.epochs[epoch.stage].append(epoch)
        self._allowance.learn(trial, epoch)
        verdict = self._judge.observe(trial, epoch)
        verdict = self._out_of_time(trial) or verdict
        if self._has_gone_on(trial, epoch) or trial.current_stage(self._metric) is None:
            verdict = None
        if verdict is None:
            self._judge.go_on(trial, epoch)
        return verdict

    def end(self, trial: Trial) -> None:
        """Take in that a trial is over; its state says how."""
        self._judge.end(trial)

    def last_paused(self) -> Trial | None:
        """Give the paused trial that is to end where there is no room for all, None where none is paused."""
        return self._judge.last()

    def unwanted(self) -> list[Trial]:
        """Give the complete trials whose weights nobody asks for: neither a recipe nor of the best few."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        best = {trial.number for trial in best_of(complete, BEST_FEW, self._metric)}
        return [trial for trial in complete if trial.number not in best and not trial.proposal.recipe]

    def steps(self, trial: Trial, epoch: Epoch) -> list[int]:
        """Give the steps at which an epoch's value is reported: its own, and the boundary after stage 1."""
        return steps_of(trial, epoch, self._metric, self.most_head)

    def best(self) -> Trial | None:
        """Give the trial with the best value, the first one of equals; None before the first epoch."""
        return next(best_of(self.trials, 1, self._metric), None)

    def _reserve_s(self) -> float:
        """Give the seconds that the search leaves its finalists."""
        timeout_s, finalists = self._space.budget.timeout_s, self._space.finalists
        few = min(2, finalists.k)
        best = list(best_of(self.trials, few, self._metric))
        share_s = (timeout_s or 0.0) * finalists.time_share
        is_enough = sum(self.seconds_to_run(trial) for trial in best) <= share_s
        return share_s if few and len(best) == few and is_enough else 0.0

    def _has_gone_on(self, trial: Trial, epoch: Epoch) -> bool:
        """Tell whether the trial of a dead driver got past this epoch, which another one now replays.

        That it went on was decided then. With several workers more trials may be known by now, and the same
        question would get another answer.
        """
        return max(trial.reported, default=0) > max(self.steps(trial, epoch))

    def _segment(self, trial: Trial, stage: Stage, until: int) -> Segment:
        origin = self._origin(trial)
        is_reused = self._space.reuse.enabled and why_not_reused(trial.config) is None
        owner = None if is_reused else f"{self._study_uid}/{origin.number}"
        files = None if are_shared(trial.config.callbacks) else self._files(origin.number, trial)
        asker = f"{self._study_uid}/{trial.key}"
        return trial.segment(stage, until, self._metric, self._space.seed, asker, owner, files)

    def _files(self, number: int, trial: Trial) -> str:
        """Name the folder of a trial's callbacks, which no other trial of any study has."""
        seed = f".seed{trial.proposal.replicate}" if trial.proposal.replicate else ""
        return f"{self._space.study}.{self._study_uid}.{number}{seed}"

    def _origin(self, trial: Trial) -> Trial:
        """Find the trial whose epochs and checkpoints a continuing one takes up."""
        while trial.proposal.continues is not None:
            trial = self.trials[trial.proposal.continues]
        return trial

    def _take_in(self, trial: Trial) -> None:
        """Show a stored trial to the judge as it once happened; one that is running will be shown again."""
        known = {stage: list(trial.epochs[stage]) for stage in STAGES}
        for stage in STAGES:
            trial.epochs[stage].clear()
        self.begin(trial)
        if trial.state == "running":
            return
        epochs = [epoch for stage in STAGES for epoch in known[stage]]
        for epoch in epochs:
            trial.epochs[epoch.stage].append(epoch)
            self._allowance.learn(trial, epoch)
            self._judge.observe(trial, epoch)
            if trial.state not in ("pruned", "paused") or epoch is not epochs[-1]:
                self._judge.go_on(trial, epoch)
        if trial.state != "paused":
            self._judge.end(trial)

    def _promoted(self) -> Trial | Proposal | None:
        """Take up a waiting trial that can come to its next rung; where time is limited, the cheapest one."""
        for group in self._judge.due():
            work = {trial.number: self._to_next_rung(trial) for trial, _ in group}
            able = [
                found
                for found in group
                if self._allowance.covers([work[found[0].number], *self._kept(found[0])], self.trials)
            ]
            if able and self._allowance.is_timed:
                able.sort(key=lambda found: self._allowance.seconds_of([work[found[0].number]]))
            if able:
                return self._taken_up(*able[0])
        return None

    def _leading(self) -> Trial | Proposal | None:
        """Take up the leading one though it cannot come to its end, where none has: its best epoch counts."""
        is_needed = self._allowance.is_limited and all(trial.state != "complete" for trial in self.trials)
        leader = self._judge.leader() if is_needed else None
        return self._taken_up(leader, "rank") if leader else None

    def _to_next_rung(self, trial: Trial) -> Work:
        return Work(trial.config, "tune", epochs_left(rungs_of(self._space.pruner), trial)[0])

    def _kept(self, trial: Trial | None) -> list[Work]:
        """Give what is to be kept, whatever starts: the way of the leading trial to its end."""
        leader = self._judge.leader() if self._allowance.is_limited else None
        if leader is None or leader is trial:
            return []
        return [Work(leader.config, "tune", epochs_left(rungs_of(self._space.pruner), leader)[1])]

    def _taken_up(self, trial: Trial, way: Way) -> Trial | Proposal:
        """Promote a trial. To one that is closed nothing can be added, so another one continues it."""
        if trial.closed:
            promotions = (*trial.promotions, way)
            return replace(trial.proposal, continues=trial.number, promotions=promotions)
        trial.promote(way)
        return trial

    def _affordable(self, proposal: Proposal | None) -> Proposal | None:
        """Withhold a trial after whose first rung nothing is left to bring the leading one to its end.

        A recipe is never paused, so it needs all of its epochs.
        """
        if proposal is None or not self._allowance.is_limited:
            return proposal
        stages = proposal.config.stages if proposal.recipe else STAGES[:1]
        work = [Work(proposal.config, stage, proposal.config.epochs(stage)) for stage in stages]
        self._is_too_late = not self._allowance.covers([*work, *self._kept(None)], self.trials)
        return None if self._is_too_late else proposal

    def _out_of_time(self, trial: Trial) -> Verdict | None:
        limit_s = self._space.budget.trial_timeout_s
        seconds = sum(epoch.seconds for stage in STAGES for epoch in trial.epochs[stage])
        if limit_s is None or seconds <= limit_s:
            return None
        return Verdict(
            "pruned", f"budget.trial_timeout: {seconds:.0f} s of training, at most {limit_s:.0f} s"
        )

    def _is_full(self) -> bool:
        if self._most_trials is not None and self._n_started() >= self._most_trials:
            return True
        stagnation = self._space.budget.stagnation
        return stagnation is not None and self._n_since_best() >= stagnation

    def _is_last_call(self) -> bool:
        """Tell whether no new trial will start."""
        is_finite = self._asking.is_finite and not self._recipes_to_run()
        return self._is_full() or self._is_too_late or (is_finite and self._asked() is None)

    def _n_since_best(self) -> int:
        """Count the trials that started, and stopped at least once, after the one with the best value."""
        best: float | None = None
        n_since = 0
        for trial in self.trials:
            value = trial.value(self._metric)
            if trial.state == "failed" or value is None or trial.proposal.continues is not None:
                continue
            is_better = better(self._metric, value, best)
            best = value if is_better else best
            n_since = 0 if is_better else n_since + (trial.state != "running")
        return n_since

    def _n_started(self) -> int:
        return sum(trial.proposal.continues is None for trial in self.trials)

    def _recipes_to_run(self) -> list[tuple[str, TrialConfig]]:
        done = {trial.proposal.recipe for trial in self.trials}
        return [(name, config) for name, config in self._recipes.items() if name not in done]

    def _asked(self) -> TrialConfig | None:
        continued = {trial.proposal.continues for trial in self.trials}
        known = [trial for trial in self.trials if trial.number not in continued]
        return self._asking.point(known, self._n_started())
