"""Replay: a study run by the real driver and scheduler in simulated time, its epochs taken from a table."""

import math
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from optuna.samplers import BaseSampler

from recorded.clock import Clock
from recorded.curves import Curves, Table
from search.config.space import Space
from search.config.trial_config import STAGES, Stage, TrialConfig
from search.driver.driver import Driver
from search.driver.kept import Kept
from search.driver.limits import Limits
from search.errors import SpaceError, TrialError
from search.executor.executor import SlotProgress
from search.scheduler import asking
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch, Segment, SegmentResult, Size, better
from search.training.worker import WorkerPlan

# Makes the sampler that proposes a trial from the space, the trial's number and the number of the attempt.
MakeSampler = Callable[[Space, int, int], BaseSampler]


@dataclass(frozen=True)
class Incumbent:
    """The best that a study had at a time, trials that were given up included.

    Attributes:
        since_s: When it came to be the best.
        value: Its best value so far, as its scheduler saw it.
        config: Its settings.
        head_epochs: Epochs of stage 1 that it had by then.
        tune_epochs: Epochs of stage 2 that it had by then.
    """

    since_s: float
    value: float
    config: TrialConfig
    head_epochs: int
    tune_epochs: int


@dataclass(frozen=True)
class Replay:
    """What a study came to in simulated time.

    Attributes:
        incumbents: The best trial, each time there was a better one.
        n_trials: Trials that it began.
        seconds: Simulated seconds that it took.
    """

    incumbents: tuple[Incumbent, ...]
    n_trials: int
    seconds: float

    def at(self, cost_s: float) -> Incumbent | None:
        """Give the best trial at a time, or None before the first epoch."""
        n_before = bisect_right(self.incumbents, cost_s, key=lambda incumbent: incumbent.since_s)
        return self.incumbents[n_before - 1] if n_before else None


def replay(
    space: Space,
    table: Table,
    most_s: float = math.inf,
    most_trials: int | None = None,
    make_sampler: MakeSampler | None = None,
    timed: bool = False,
) -> Replay:
    """Run a study against a table.

    Args:
        space: The study's space; `Table.check` says whether it can be replayed.
        table: The table. Only its first seed is shown.
        most_s: Simulated seconds after which no epoch starts any more.
        most_trials: Trials after which none starts any more.
        make_sampler: Makes its samplers instead of what the space names.
        timed: Whether its scheduler knows how much of the time is left.
    """
    clock, stop = Clock(table.costs), threading.Event()
    metric = space.objective.metric
    with _sampled_by(make_sampler):
        left = (lambda: most_s - clock.now_s) if timed else None
        decides = Scheduler(space, {}, [], most_trials, seconds_left=left)
        notes = _Notes(clock)
        executor = _TableExecutor(table.shown, clock, most_s, stop)
        Driver(decides, executor, notes, _Nobody(), metric, stop, _no_limits(space), _Nothing()).run()
    return Replay(tuple(notes.incumbents), notes.n_trials, clock.now_s)


class _TableExecutor:
    """A worker that takes epochs from curves and lets the clock run."""

    slots = 1

    def __init__(self, curves: Curves, clock: Clock, most_s: float, stop: threading.Event) -> None:
        self._curves, self._clock, self._most_s, self._stop = curves, clock, most_s, stop

    def submit(self, task: str, *arguments: Any, slot: int = 0) -> Future[Any]:
        assert task == "run", "a driver only has segments run"
        future: Future[Any] = Future()
        try:
            future.set_result(self._run(*arguments))
        except TrialError as error:
            future.set_exception(error)
        if self._clock.now_s >= self._most_s:
            self._stop.set()
        return future

    def begin(self, plan: WorkerPlan, progress: SlotProgress) -> None:
        """The curves are all there is to know."""

    def end(self, slot: int) -> None:
        """Nothing runs when this is called."""

    def close(self) -> None:
        """There is nothing to end."""

    def _run(self, segment: Segment) -> SegmentResult:
        ran, epochs = set(), []
        for number in range(segment.after + 1, segment.until + 1):
            part = replace(segment, until=number)
            seconds, is_new = self._clock.train(part)
            if is_new:
                ran.add(number)
            epochs.append(Epoch(segment.stage, number, self._curves.metrics(part), seconds, 0.0, 0))
        return SegmentResult(tuple(epochs), frozenset(ran), checkpoint="", programs=0)


class _Notes:
    """Records of a study in memory; the best trials are noted as they come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.n_trials = 0
        self.incumbents: list[Incumbent] = []

    def add(self, proposal: Proposal) -> Trial:
        self.n_trials += 1
        # later than any epoch, so that what was not run counts as reused
        return Trial(self.n_trials - 1, proposal, started_ms=1)

    def begin(self, trial: Trial) -> None:
        pass

    def epoch(self, trial: Trial, epoch: Epoch, steps: list[int], metric: str) -> None:
        value = epoch.metrics[metric]
        if better(metric, value, self.incumbents[-1].value if self.incumbents else None):
            n_head, n_tune = (len(trial.epochs[stage]) for stage in STAGES)
            self.incumbents.append(Incumbent(self._clock.now_s, value, trial.config, n_head, n_tune))

    def retried(self, trial: Trial, note: str) -> None:
        pass

    def pause(self, trial: Trial) -> None:
        pass

    def promote(self, trial: Trial) -> None:
        pass

    def close(self, trial: Trial) -> None:
        pass

    def end(self, trial: Trial) -> None:
        pass

    def finish(self) -> None:
        pass


class _Nothing(Kept):
    """A simulation keeps no checkpoints."""

    def __init__(self) -> None:
        pass

    def hold(self, trial: Trial, checkpoint: str) -> None:
        pass

    def release(self, trial: Trial) -> None:
        pass

    def is_too_much(self) -> bool:
        return False


def _no_limits(space: Space) -> Limits:
    def measure(config: TrialConfig) -> Size:
        raise SpaceError("A table knows no sizes; leave constraints out.")

    return Limits(space, {}, measure, lambda network, size: None)


class _Nobody:
    """Nobody watches."""

    def say(self, sentence: str) -> None:
        pass

    def advised(self, advice: Mapping[str, Any]) -> None:
        pass

    def began(self, trial: Trial, resumed: bool) -> None:
        pass

    def assigned(self, slot: int, trial: Trial) -> None:
        pass

    def progress(self, slot: int, stage: Stage, epoch: int, share: float) -> None:
        pass

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        pass

    def paused(self, trial: Trial) -> None:
        pass

    def promoted(self, trial: Trial) -> None:
        pass

    def ended(self, trial: Trial) -> None:
        pass


@contextmanager
def _sampled_by(make_sampler: MakeSampler | None) -> Iterator[None]:
    """Have the scheduler's samplers made elsewhere. A study has no such door: it is what its settings say."""
    names = vars(asking)
    shipped = names["make_sampler"]
    names["make_sampler"] = make_sampler or shipped
    try:
        yield
    finally:
        names["make_sampler"] = shipped
