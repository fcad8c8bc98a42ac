"""Studies that train nothing: a curve gives what each epoch would have given."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import optuna
import pytest

from search.config.space import Space
from search.config.trial_config import STAGES, Stage, TrialConfig
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Trial
from search.training.segment import Epoch

Curve = Callable[[Trial, Stage, int], float]
MakeSpace = Callable[..., Space]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def make_space() -> MakeSpace:
    """Make a space; sampler and pruner by name, free dimensions and fixed settings as in a file."""

    def make(
        free: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        sampler: str = "random",
        pruner: str | Mapping[str, Any] = "none",
        **rest: Any,
    ) -> Space:
        form = {
            "study": "small",
            "data": {"source": "pictures"},
            "sampler": {"name": sampler},
            "pruner": {"stages": ["head", "tune"]}
            | ({"name": pruner} if isinstance(pruner, str) else pruner),
            "free": {"backbone": {"choice": ["a", "b"]}} if free is None else free,
            "fixed": fixed or {},
        }
        return Space.model_validate({**form, **rest})

    return make


class FakeStudy:
    """Drives a scheduler as the driver does, one trial after the other."""

    def __init__(
        self,
        space: Space,
        curve: Curve,
        recipes: Mapping[str, TrialConfig] | None = None,
        trials: Sequence[Trial] = (),
        most_trials: int | None = None,
        time_s: float | None = None,
        cost: Callable[[Trial, Stage], float] = lambda trial, stage: 1.0,
    ) -> None:
        self.space, self.curve, self.recipes, self.most_trials = (
            space,
            curve,
            dict(recipes or {}),
            most_trials,
        )
        self.metric = space.objective.metric
        self.time_s, self.cost = time_s, cost
        seconds_left = None if time_s is None else lambda: self.time_s or 0.0
        self.scheduler = Scheduler(space, self.recipes, trials, most_trials, seconds_left=seconds_left)
        # what a database would hold of how each trial got past its rungs
        self.stored = {trial.number: list(trial.promotions) for trial in trials}

    @property
    def trials(self) -> list[Trial]:
        return self.scheduler.trials

    def run(self, n_epochs: int | None = None) -> "FakeStudy":
        """Run to the end, or until so many epochs were observed; then a trial may be left running."""
        left = itertools.count() if n_epochs is None else iter(range(n_epochs))
        for trial in self._to_run():
            while trial.state == "running":
                if next(left, None) is None or self.is_over():
                    return self
                self.step(trial)
        return self

    def is_over(self) -> bool:
        """Whether no segment may start any more."""
        return self.scheduler.is_spent() or (self.time_s is not None and self.time_s <= 0)

    def close(self) -> "FakeStudy":
        """Close what is paused, as the driver does where the budget is reached."""
        for trial in self.trials:
            if trial.state == "paused":
                trial.close(self.metric)
                self.scheduler.end(trial)
        return self

    def step(self, trial: Trial) -> str | None:
        """Observe one epoch of a trial, report it and end the trial if it is over."""
        segment = self.scheduler.next_segment(trial)
        assert segment is not None
        value = self.curve(trial, segment.stage, segment.until)
        seconds = self.cost(trial, segment.stage)
        epoch = Epoch(segment.stage, segment.until, {self.metric: value}, seconds, 1.0, 0)
        self.time_s = None if self.time_s is None else self.time_s - seconds
        verdict = self.scheduler.observe(trial, epoch)
        trial.reported.update(self.scheduler.steps(trial, epoch))
        trial.count(epoch, is_own=True)
        if verdict is not None and verdict.state == "paused":
            trial.pause(verdict.reason, self.metric)
            self.stored[trial.number] = list(trial.promotions)
        elif verdict is not None:
            self.end(trial, "pruned", verdict.reason)
        elif self.scheduler.next_segment(trial) is None:
            self.end(trial, "complete", None)
        return verdict and verdict.reason

    def end(self, trial: Trial, state: Any, reason: str | None) -> None:
        trial.end(state, reason, self.metric)
        self.scheduler.end(trial)

    def begin(self) -> Trial | None:
        found = self.scheduler.next_trial()
        if found is None:
            return None
        if isinstance(found, Trial):
            self.stored[found.number] = list(found.promotions)
            return found
        trial = Trial(len(self.trials), found, started_ms=0)
        self.scheduler.begin(trial)
        self.stored[trial.number] = list(trial.promotions)
        return trial

    def restarted(self) -> "FakeStudy":
        """The study as a new driver finds it: a trial that was running has only its reported steps."""
        trials = deepcopy(self.trials)
        for trial in trials:
            trial.promotions = list(self.stored[trial.number])
            trial.must_replay = trial.state == "paused" or trial.closed
            if trial.state == "running":
                trial.epochs = {stage: [] for stage in STAGES}
                trial.epochs_run = 0
        return FakeStudy(self.space, self.curve, self.recipes, trials, self.most_trials)

    def table(self) -> list[tuple[Any, ...]]:
        """All that must be equal after a restart."""
        return [
            (
                trial.number,
                trial.config,
                dict(trial.proposal.params),
                trial.proposal.recipe,
                trial.state,
                trial.reason,
                trial.promotions,
                {stage: trial.values(stage, self.metric) for stage in STAGES},
                sorted(trial.reported),
            )
            for trial in self.trials
        ]

    def _to_run(self) -> Iterable[Trial]:
        yield from [trial for trial in self.trials if trial.state == "running"]
        while (trial := self.begin()) is not None:
            yield trial


@pytest.fixture
def fake_study() -> type[FakeStudy]:
    """Give the class of studies that train nothing."""
    return FakeStudy
