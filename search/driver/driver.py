"""Driver: the loop. It asks for a segment, has it done, records what came out, and decides."""

import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace

from search.driver.kept import Kept
from search.driver.limits import Limits
from search.driver.records import Records
from search.driver.slots import Slots
from search.driver.view import View
from search.errors import OutOfMemory, TrialError, WorkerLost
from search.executor.executor import Executor
from search.scheduler.judge import Verdict
from search.scheduler.race import Race
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import State, Trial
from search.training.segment import Accumulation, Segment, SegmentResult

# In how many parts batches go through the network where memory is too small for them whole.
_PARTS = 2


@dataclass
class _Running:
    """A segment that a slot works on."""

    trial: Trial
    segment: Segment
    slot: int
    since: float = field(default_factory=time.monotonic)
    is_overdue: bool = False


class Driver:
    """Runs a study until its trials are done, its time is up, or it is asked to stop.

    Where its budget is reached, the trials that are paused are closed; where it is stopped they stay.

    Args:
        scheduler: Decides; of a study, or of the race of its finalists.
        executor: Does the work.
        recorder: Records.
        view: Watches.
        metric: The study's objective.
        stop: Set from outside; the running segments are finished and stored, and no other starts.
        limits: Says whether a point may be trained.
        kept: Pins the checkpoints of trials that may go on.
        trial_timeout_s: How long one segment may take; None for no limit. What a trial's segments take
            together is the scheduler's to judge.
    """

    def __init__(
        self,
        scheduler: Scheduler | Race,
        executor: Executor,
        recorder: Records,
        view: View,
        metric: str,
        stop: threading.Event,
        limits: Limits,
        kept: Kept,
        trial_timeout_s: float | None = None,
    ) -> None:
        self._scheduler, self._executor, self._recorder, self._view = scheduler, executor, recorder, view
        self._metric, self._stop, self._limits = metric, stop, limits
        self._kept, self._trial_timeout_s = kept, trial_timeout_s
        self._waiting: deque[Trial] = deque()
        self._slots = Slots(executor.slots)
        self._busy: dict[Future[SegmentResult], _Running] = {}
        # by trial: how often workers died of the segment that it waits for
        self._deaths: dict[int | str, int] = {}

    def run(self) -> None:
        """Run the study. Trials of a dead driver are taken up again or closed first."""
        for trial in self._scheduler.trials:
            if trial.state == "running":
                self._begin(trial, resumed=True)
            elif trial.is_open and trial.state != "paused":
                self._recorder.close(trial)
        self._work()
        if not self._stop.is_set():
            self._close_paused()
        self._recorder.finish()

    def _work(self) -> None:
        while True:
            self._fill_slots()
            if not self._busy:
                break
            done, _ = wait(self._busy, timeout=self._seconds_to_wait(), return_when=FIRST_COMPLETED)
            for future in done:
                running = self._busy.pop(future)
                self._slots.give_back(running.slot)
                self._take(running, future)
            self._end_overdue()

    def _fill_slots(self) -> None:
        while self._slots.any_free and not self._closing():
            if not self._waiting and not self._take_up():
                return
            if self._waiting:
                self._start(self._waiting.popleft())

    def _start(self, trial: Trial) -> None:
        segment = self._scheduler.next_segment(trial)
        assert segment is not None, "a trial that waits has something to do"
        slot = self._slots.take(trial)
        self._view.assigned(slot, trial)
        running = _Running(trial, segment, slot)
        self._busy[self._executor.submit("run", segment, slot=slot)] = running

    def _seconds_to_wait(self) -> float | None:
        """Say when the next segment is overdue; None where none will be."""
        if self._trial_timeout_s is None:
            return None
        began = [running.since for running in self._busy.values() if not running.is_overdue]
        return max(0.0, min(began) + self._trial_timeout_s - time.monotonic()) if began else None

    def _end_overdue(self) -> None:
        """End segments that alone take longer than a trial may: they hang."""
        now = time.monotonic()
        for future, running in self._busy.items():
            is_late = self._trial_timeout_s is not None and now - running.since >= self._trial_timeout_s
            if is_late and not future.done() and not running.is_overdue:
                running.is_overdue = True
                self._executor.end(running.slot)

    def _closing(self) -> bool:
        return self._stop.is_set() or self._scheduler.is_spent()

    def _take_up(self) -> bool:
        """Take up what the scheduler says, False where that is nothing; what is too large ends at once."""
        found = self._scheduler.next_trial()
        if isinstance(found, Trial):
            self._recorder.promote(found)
            self._view.promoted(found)
            self._waiting.append(found)
        elif found is not None:
            proposal = replace(found, constraints=self._limits.of(found.config))
            trial = self._recorder.add(proposal)
            self._scheduler.begin(trial)
            self._begin(trial, resumed=False)
        return found is not None

    def _begin(self, trial: Trial, resumed: bool) -> None:
        self._recorder.begin(trial)
        self._view.began(trial, resumed)
        broken = self._limits.broken(trial.proposal.constraints)
        if broken:
            self._end(trial, "pruned", broken)
        else:
            self._waiting.append(trial)

    def _take(self, running: _Running, future: Future[SegmentResult]) -> None:
        trial = running.trial
        try:
            result = future.result()
        except OutOfMemory as error:
            self._try_again(running, str(error))
            return
        except TrialError as error:
            self._end(trial, "failed", str(error))
            return
        except WorkerLost as error:
            self._slots.forget(running.slot)
            self._try_again(running, str(error))
            return
        self._deaths.pop(trial.key, None)
        self._kept.hold(trial, result.checkpoint)
        trial.files, trial.programs = result.files, trial.programs + result.programs
        for epoch in result.epochs:
            verdict = self._scheduler.observe(trial, epoch)
            steps = self._scheduler.steps(trial, epoch)
            trial.count(epoch, epoch.epoch in result.ran or epoch.asker == running.segment.asker)
            self._recorder.epoch(trial, epoch, steps, self._metric)
            self._view.epoch(trial, epoch)
            if verdict is not None:
                self._obey(trial, verdict)
                return
        if self._scheduler.next_segment(trial) is None:
            self._end(trial, "complete", None)
        else:
            self._waiting.appendleft(trial)

    def _try_again(self, running: _Running, reason: str) -> None:
        """Have a segment that ended in a worker's death, or in want of memory, run again.

        Once it runs as it is; then, as a worker may have died of want of memory too, its batches go through
        the network in parts. One that hung does not run again.
        """
        trial, segment = running.trial, running.segment
        where = f"{segment.stage} epoch {segment.until}"
        if running.is_overdue:
            limit = f"at most {self._trial_timeout_s:.0f} s"
            self._end(trial, "pruned", f"budget.trial_timeout: {where} did not end, {limit}")
            return
        deaths = self._deaths[trial.key] = self._deaths.get(trial.key, 0) + 1
        if deaths > 1 and trial.accumulation is not None:
            self._end(trial, "failed", f"{where} was tried {deaths} times; the last time: {reason}")
            return
        note = f"{where}: {reason}"
        if deaths > 1:
            trial.accumulation = Accumulation(segment.stage, segment.until, _PARTS)
            note = f"{note}; from now on with batches in {_PARTS} parts"
        self._recorder.retried(trial, note)
        self._view.say(f"trial {trial.number} runs again at {note}")
        self._waiting.appendleft(trial)

    def _obey(self, trial: Trial, verdict: Verdict) -> None:
        if verdict.state == "pruned":
            self._end(trial, "pruned", verdict.reason)
            return
        trial.pause(verdict.reason, self._metric)
        self._recorder.pause(trial)
        self._view.paused(trial)
        while self._kept.is_too_much() and (last := self._scheduler.last_paused()):
            self._end(last, "pruned", f"the checkpoints of paused trials fill the store; {last.reason}")

    def _close_paused(self) -> None:
        """Close what is paused: in Optuna it would be running for ever. A later start can continue it."""
        for trial in self._scheduler.trials:
            if trial.state == "paused":
                trial.close(self._metric)
                self._note_end(trial)

    def _end(self, trial: Trial, state: State, reason: str | None) -> None:
        trial.end(state, reason, self._metric)
        self._note_end(trial)

    def _note_end(self, trial: Trial) -> None:
        self._scheduler.end(trial)
        self._recorder.end(trial)
        self._view.ended(trial)
        if trial.state != "complete":
            self._kept.release(trial)
        for unwanted in self._scheduler.unwanted():
            self._kept.release(unwanted)
