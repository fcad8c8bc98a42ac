"""Finalists: the best few trials run again on fresh seeds after the search."""

import threading
from collections.abc import Callable

from search.config.space import Space
from search.driver.driver import Driver
from search.driver.kept import Kept
from search.driver.limits import Limits
from search.driver.view import View
from search.executor.executor import Executor
from search.recorder.recorder import Recorder
from search.scheduler.race import Race, RaceResult, field
from search.scheduler.scheduler import Scheduler


def race_finalists(
    space: Space,
    scheduler: Scheduler,
    executor: Executor,
    recorder: Recorder,
    view: View,
    seconds_left: Callable[[], float] | None,
    stop: threading.Event,
    limits: Limits,
    kept: Kept,
) -> RaceResult | None:
    """Let the best trials of a study race.

    Args:
        space: Says how many, and on how many seeds.
        scheduler: Knows the trials.
        executor: Does the work.
        recorder: Records.
        view: Watches.
        seconds_left: Tells how much of the study's time is left; None where it has no limit.
        stop: Set from outside.
        limits: Say what may be trained.
        kept: Pins checkpoints.

    Returns:
        How it ended; None where there was no finalist or no time, no run came to its end, or it was stopped.
    """
    metric = space.objective.metric
    few = field(scheduler, space.finalists.k, metric, seconds_left)
    if not few:
        return None
    view.say(f"finalists on fresh seeds: trials {', '.join(str(trial.number) for trial in few)}")
    race = Race(scheduler, few, space.finalists.seeds, metric, seconds_left)
    trial_timeout_s = space.budget.trial_timeout_s
    Driver(race, executor, recorder, view, metric, stop, limits, kept, trial_timeout_s).run()
    _end_open_runs(race, recorder, view, "the study was stopped" if stop.is_set() else "time was up", metric)
    result = None if stop.is_set() else race.result()
    if result is not None:
        recorder.finalists(result, metric)
    return result


def _end_open_runs(race: Race, recorder: Recorder, view: View, why: str, metric: str) -> None:
    """End what came to no end; a later start takes it up again, if its finalists are the same."""
    for run in race.trials:
        if run.state == "running":
            run.end("pruned", why, metric)
            recorder.end(run)
            view.ended(run)
