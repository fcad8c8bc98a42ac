"""PlainView: one line a trial, for pipes and log files."""

from collections.abc import Mapping
from typing import Any, TextIO

from search.config.trial_config import Stage
from search.scheduler.trial import Trial
from search.training.segment import Epoch
from search.view.advice import advice_text
from search.view.lines import result_text, settings_text


class PlainView:
    """Writes a line when a trial ends, and remarks as they come.

    Args:
        stream: Where to.
        most_trials: How many trials the study has in all, None if nobody knows.
    """

    def __init__(self, stream: TextIO, most_trials: int | None) -> None:
        self._stream, self._most_trials = stream, most_trials

    def __enter__(self) -> "PlainView":
        """Begin to watch."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is left to be done."""

    def say(self, sentence: str) -> None:
        """Write a remark."""
        print(sentence, file=self._stream, flush=True)

    def advised(self, advice: Mapping[str, Any]) -> None:
        """Write what the data say."""
        self.say(advice_text(advice))

    def began(self, trial: Trial, resumed: bool) -> None:
        """Write that a trial is taken up again; one that begins is not worth a line."""
        if resumed:
            self.say(f"trial {trial.number} goes on where it was left")

    def assigned(self, slot: int, trial: Trial) -> None:
        """Nothing to write."""

    def progress(self, slot: int, stage: Stage, epoch: int, share: float) -> None:
        """Nothing to write."""

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Nothing to write."""

    def paused(self, trial: Trial) -> None:
        """Write the trial's line so far."""
        self._write(trial)

    def promoted(self, trial: Trial) -> None:
        """Write that a paused trial goes on."""
        self.say(f"trial {trial.number} is promoted and goes on")

    def ended(self, trial: Trial) -> None:
        """Write the trial's line."""
        self._write(trial)

    def _write(self, trial: Trial) -> None:
        recipe = f" [{trial.proposal.recipe}]" if trial.proposal.recipe else ""
        place = f"{trial.number + 1}/{self._most_trials or '?'}"
        if trial.proposal.replicate:
            place = f"seed {trial.proposal.replicate}"
        self.say(f"{place} trial {trial.number}{recipe} {settings_text(trial)}: {result_text(trial)}")
