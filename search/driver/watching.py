"""Watching: shows a study that another process runs, from what its database holds."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from search.driver.lease import is_held
from search.driver.request import Request
from search.driver.study import check_stored
from search.driver.view import View
from search.errors import StudyError
from search.recorder.optuna_half import StoredStudy
from search.scheduler.trial import Trial

_EVERY_S = 1.0


def watch(
    request: Request,
    open_view: Callable[[list[Trial], float | None], AbstractContextManager[View]],
    stop: threading.Event,
) -> None:
    """Show a study until nobody runs it any more.

    Args:
        request: Says which.
        open_view: Makes the view, from the trials that are there already and the deadline.
        stop: Set from outside to stop watching; the study goes on.

    Raises:
        StudyError: Nobody runs the study.
    """
    options, space = request.options, request.file.space
    if not is_held(options.home, space.study) or not check_stored(request):
        raise StudyError(
            f"--attach: nobody runs study {space.study} in {options.home} now; leave --attach out to run it."
        )
    with StoredStudy(options.storage_url, space) as study:
        trials = study.trials_so_far(request.most_head_epochs)
        with open_view(trials, None) as view:
            known = {trial.number: trial.state for trial in trials}
            while is_held(options.home, space.study) and not stop.wait(_EVERY_S):
                for trial in study.trials_so_far(request.most_head_epochs):
                    _show(view, trial, known.get(trial.number) != trial.state)
                    known[trial.number] = trial.state


def _show(view: View, trial: Trial, is_new: bool) -> None:
    """Show a trial as it stands, and say so where its state is new."""
    view.began(trial, resumed=False)
    if not is_new or trial.state == "running":
        return
    if trial.state == "paused":
        view.paused(trial)
    else:
        view.ended(trial)
