"""LiveView: a table that is drawn again and again, for people at a terminal."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.config.trial_config import Stage
from search.scheduler.ranking import best_of
from search.scheduler.trial import Trial
from search.training.segment import Epoch
from search.view.advice import advice_text
from search.view.lines import duration_text, settings_text

# Rows of the table: what a terminal of 24 lines can show beside the rest.
_MOST_ROWS = 12

_MOST_BARS = 8

_STYLES = {"running": "cyan", "paused": "blue", "complete": "green", "pruned": "yellow", "failed": "red"}


class LiveView:
    """Draws the last trials, the best so far, and how far the running epoch is.

    Args:
        console: Where to.
        study: The study's name.
        metric: Its objective.
        most_trials: How many trials the study has in all, None if nobody knows.
        trials: The trials it has already.
        deadline: When time is up, on `time.monotonic`'s clock, or None.
    """

    def __init__(
        self,
        console: Console,
        study: str,
        metric: str,
        most_trials: int | None,
        trials: list[Trial],
        deadline: float | None,
    ) -> None:
        self._study, self._metric, self._most_trials, self._deadline = study, metric, most_trials, deadline
        self._trials: dict[int | str, Trial] = {trial.key: trial for trial in trials}
        self._resumed = 0
        # by slot: the trial's key, where it is, and how much of that epoch is done
        self._now: dict[int, tuple[int | str, str, float]] = {}
        self._started, self._ended_here = time.monotonic(), 0
        self._live = Live(console=console, get_renderable=self._drawn, refresh_per_second=4, transient=False)

    def __enter__(self) -> "LiveView":
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Draw a last time."""
        self._live.stop()

    def say(self, sentence: str) -> None:
        """Write a remark above the table."""
        self._live.console.print(sentence, markup=False, highlight=False)

    def advised(self, advice: Mapping[str, Any]) -> None:
        """Write what the data say above the table."""
        self.say(advice_text(advice))

    def began(self, trial: Trial, resumed: bool) -> None:
        """Show a trial that begins or goes on."""
        self._trials[trial.key] = trial
        self._resumed += resumed

    def assigned(self, slot: int, trial: Trial) -> None:
        """Show from now on how far this trial is."""
        self._now[slot] = (trial.key, "", 0.0)

    def progress(self, slot: int, stage: Stage, epoch: int, share: float) -> None:
        """Show how far a running epoch is."""
        if slot in self._now:
            self._now[slot] = (self._now[slot][0], f"{stage} epoch {epoch}", share)

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Show what an epoch gave."""
        self._trials[trial.key] = trial

    def paused(self, trial: Trial) -> None:
        """Nothing to do: the table is drawn from the trials."""

    def promoted(self, trial: Trial) -> None:
        """Show a trial that goes on; a stored one is another object than at the start."""
        self._trials[trial.key] = trial

    def ended(self, trial: Trial) -> None:
        """Count a trial that ended."""
        self._ended_here += 1

    def _drawn(self) -> RenderableType:
        return Group(self._table(), Text(self._status()), self._bars())

    def _table(self) -> Table:
        table = Table(title=f"study {self._study}", title_justify="left", expand=False)
        for name in ("trial", "settings", "epoch", self._metric, "state"):
            table.add_column(
                name, no_wrap=True, justify="right" if name in ("trial", self._metric) else "left"
            )
        best = self._best()
        for trial in list(self._trials.values())[-_MOST_ROWS:]:
            value = trial.value(self._metric)
            epochs = trial.epochs["head"] + trial.epochs["tune"]
            last = epochs[-1] if epochs else None
            state = f"{trial.state}{' *' if trial is best else ''}"
            table.add_row(
                str(trial.key),
                settings_text(trial),
                f"{last.stage} {last.epoch}" if last else "",
                "" if value is None else f"{value:.4f}",
                Text(state, style=_STYLES[trial.state]),
            )
        return table

    def _status(self) -> str:
        searched = self._searched()
        states = Counter(trial.state for trial in searched)
        done = len(searched) - states["running"]
        parts = [f"{done}/{self._most_trials or '?'} trials"]
        parts += [f"{states[state]} {state}" for state in ("paused", "pruned", "failed") if states[state]]
        if self._resumed:
            parts.append(f"{self._resumed} resumed")
        best = self._best()
        if best is not None:
            parts.append(f"best {best.number}: {self._metric} {best.value(self._metric):.4f}")
        return ", ".join([*parts, *self._time_left(done)])

    def _time_left(self, done: int) -> list[str]:
        if self._deadline is not None:
            return [f"{duration_text(max(0.0, self._deadline - time.monotonic()))} left"]
        if self._most_trials is None or self._ended_here == 0:
            return []
        a_trial = (time.monotonic() - self._started) / self._ended_here
        return [f"about {duration_text(a_trial * (self._most_trials - done))} left"]

    def _best(self) -> Trial | None:
        return next(best_of(self._searched(), 1, self._metric), None)

    def _searched(self) -> list[Trial]:
        """The trials of the study, without the runs on fresh seeds."""
        return [trial for trial in list(self._trials.values()) if not trial.proposal.replicate]

    def _bars(self) -> RenderableType:
        """Draw a bar a slot: who works there, and how far the epoch is."""
        bars = Table.grid(padding=(0, 1))
        for _, (key, epoch, share) in sorted(self._now.items())[:_MOST_BARS]:
            bars.add_row(f"trial {key}", epoch, ProgressBar(total=1.0, completed=share, width=40))
        return bars
