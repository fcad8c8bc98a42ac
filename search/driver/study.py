"""Study: one run of the main job, from checked request to champion and summary."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from search import __version__
from search.data.split import SPLITS, SplitRule
from search.data.table import DataSet, read_pictures
from search.data.threads import Progress
from search.driver.advice import advise, wants_advice
from search.driver.checks import check_networks
from search.driver.driver import Driver
from search.driver.finalists import race_finalists
from search.driver.finish import Results, finish
from search.driver.kept import Kept, forget_pins, is_of_study
from search.driver.lease import unwritable
from search.driver.limits import Limits, measured_by
from search.driver.own_functions import remarks_on_reuse, states
from search.driver.prior import Prior
from search.driver.request import Request
from search.driver.totals import Totals
from search.driver.view import View
from search.errors import DataError, UserError
from search.executor.executor import Executor
from search.recorder.holder import Holder
from search.recorder.optuna_half import StoredStudy, check_database, delete_study
from search.recorder.recorder import Recorder
from search.recorder.spool import Spool
from search.recorder.tracking import Tracking
from search.scheduler.ranking import BEST_FEW, best_of
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Trial
from search.store.entries import Store
from search.training.worker import WorkerPlan

# How long the end of a run waits for MLflow before what is left stays on disk for the next start.
_LONGEST_FLUSH_S = 30.0
# Who stops a study may have given notice of half a minute.
_FLUSH_WHEN_STOPPED_S = 5.0

OpenView = Callable[[list[Trial], float | None], AbstractContextManager[View]]


@dataclass(frozen=True)
class Outcome:
    """What a run of a study came to.

    Attributes:
        trials: All trials of the study.
        best: The trial with the best value; None where none has an epoch.
        results: Champion and baselines; None where there is no trial to choose, or the run was stopped.
        stopped: Whether the user stopped it.
        seconds: Wall time of this run.
        waiting: Records that MLflow has not taken yet.
        problems: What went wrong with tracking, a sentence each.
        programs: Training programs that this run compiled.
        totals: What its trials cost, and what reuse saved them.
        advice: The advice with which the study began, as JSON values; None where it asked for none.
        store_bytes: Size of the store after this run, what other studies left in it included.
    """

    trials: list[Trial]
    best: Trial | None
    results: Results | None
    stopped: bool
    seconds: float
    waiting: int
    problems: list[str]
    programs: int
    totals: Totals
    store_bytes: int
    advice: dict[str, Any] | None


def read_data(request: Request, store: Store, progress: Progress | None) -> DataSet:
    """Read the table of a request's pictures.

    Raises:
        DataError: The pictures cannot be used.
        StudyError: The study was begun on other pictures.
    """
    source, space = request.source, request.file.space
    assert source is not None, "the pictures are located first"
    if source.kind == "sample":
        from search.data.sample import draw_sample

        draw_sample(source.place)
    split = space.data.split
    data = read_pictures(
        source.place,
        SplitRule(split.validation, split.test, split.seed),
        name=source.name,
        source="sample" if source.kind == "sample" else str(source.place),
        store=store,
        progress=progress,
    )
    if space.objective.metric == "val_auc" and len(data.classes) != 2:
        raise DataError(
            f"objective.metric: val_auc needs two classes, got {len(data.classes)}; take val_loss."
        )
    if not request.options.fresh:
        request.study_file.check_data(data.fingerprint, sizes(data), space.study, request.options.command)
    return data


def sizes(data: DataSet) -> dict[str, Any]:
    """Count a data set for people: pictures by split, and the classes."""
    return {**{f"n_{split}": len(data.indices(split)) for split in SPLITS}, "classes": list(data.classes)}


def check_home(request: Request) -> None:
    """Make the home where it is not there.

    Raises:
        StudyError: It cannot be written.
    """
    folder = request.study_file.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(request.options.home, error) from error


def check_stored(request: Request) -> bool:
    """Tell whether the study is begun, and open its database where there is one.

    Raises:
        StudyError: The database cannot be opened, or a driver with another home writes the study.
    """
    options = request.options
    if options.storage is None and not (options.home / "optuna.db").exists():
        return False
    return check_database(options.storage_url, request.file.space.study)


def discard(request: Request) -> None:
    """Delete a study's trials and what MLflow was not told of them; its runs and models stay."""
    study, file = request.file.space.study, request.study_file
    delete_study(request.options.storage_url, study)
    spooled = file.path.parent.glob(f"{study}.*.spool.*")
    written = (request.options.home / "store" / "files").glob(f"{study}.*")
    for left in (left for left in [*spooled, *written] if is_of_study(left.name, study)):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    forget_pins(request.options.home / "store", study)
    file.delete()


def run_study(
    request: Request, data: DataSet, open_view: OpenView, stop: threading.Event, executor: Executor
) -> Outcome:
    """Run a study to its end, and choose and register its champion.

    Args:
        request: The checked request, with its pictures located.
        data: Its pictures.
        open_view: Makes the view, from the trials that are there already and the deadline.
        stop: Set from outside to stop after the running epochs.
        executor: Does the work; it is closed by whoever opened it.
    """
    with StoredStudy(request.options.storage_url, request.file.space, Holder.here()) as study:
        return _run_study(request, data, study, open_view, stop, executor)


def _run_study(
    request: Request,
    data: DataSet,
    study: StoredStudy,
    open_view: OpenView,
    stop: threading.Event,
    executor: Executor,
) -> Outcome:
    started = time.monotonic()
    space, options = request.file.space, request.options
    most_head = request.most_head_epochs
    facts = {"space": space.digest(), "pictures": data.fingerprint}
    functions = states(space, list(request.recipes.values()))
    study.hold_to({**facts, "most head epochs": most_head, **functions})
    request.study_file.write(space, data.fingerprint, sizes(data))
    deadline = None if space.budget.timeout_s is None else started + space.budget.timeout_s
    left = None if deadline is None else lambda: deadline - time.monotonic()
    trials = study.trials(most_head)
    with open_view(trials, deadline) as view:
        study.patience.say = view.say
        plan = WorkerPlan(data, space.data.draw_seed, options.home / "store", options.weights, space.reuse)
        store = Store(plan.store, space.reuse.limit_bytes)
        store.sweep()
        kept = Kept(store, f"{space.study}.{study.uid}")
        executor.begin(plan, view.progress)
        limits = Limits(space, study.sizes(), measured_by(executor), study.note_size)
        with _undone_unless_legal(request, study, trials):
            check_networks(space, list(request.recipes.values()), executor)
            limits.check()
            advice = _advice(request, data, study, executor, view, is_new=not trials)
        scheduler = _scheduler(request, study, trials, advice, left, len(data.indices("train")))
        for remark in remarks_on_reuse(space, list(request.recipes.values())):
            view.say(remark)
        tracking = _tracking(request, data, study)
        tags = {"search.data_fingerprint": data.fingerprint, "search.version": __version__}
        recorder = Recorder(study, tracking, tags)
        metric, trial_timeout_s = space.objective.metric, space.budget.trial_timeout_s
        driver = Driver(scheduler, executor, recorder, view, metric, stop, limits, kept, trial_timeout_s)
        driver.run()
        race = None
        if not stop.is_set():
            race = race_finalists(space, scheduler, executor, recorder, view, left, stop, limits, kept)
        stopped = stop.is_set()
        results = None if stopped else finish(request, data, scheduler, executor, tracking, view, race)
        if results is not None:
            kept.keep_only([results.champion.trial, *_still_wanted(scheduler, metric)])
    store_bytes = sum(store.sizes().values())
    outcome = _close(tracking, scheduler, results, stopped, started, store_bytes, advice)
    found = {trial.number: tracking.run_id(trial.key) for trial in scheduler.trials if trial.run_id is None}
    study.note_late_runs({number: run_id for number, run_id in found.items() if run_id is not None})
    return outcome


def _still_wanted(scheduler: Scheduler, metric: str) -> list[Trial]:
    """The trials that may go on, and those whose weights every later end of the study asks for."""
    named = [trial for trial in scheduler.trials if trial.proposal.recipe and trial.state == "complete"]
    open_ones = [trial for trial in scheduler.trials if trial.state in ("running", "paused")]
    return [*best_of(scheduler.trials, BEST_FEW, metric), *named, *open_ones]


@contextmanager
def _undone_unless_legal(request: Request, study: StoredStudy, trials: list[Trial]) -> Iterator[None]:
    """Forget a study without trials where its space turns out to be wrong, so that it can be mended."""
    try:
        yield
    except UserError:
        if not trials:
            study.disconnect()
            discard(request)
        raise


def _advice(
    request: Request, data: DataSet, study: StoredStudy, executor: Executor, view: View, is_new: bool
) -> dict[str, Any] | None:
    """Give the advice with which the study began, None where there is nothing to choose between.

    It is asked once, before the first trial, and kept with the study: a later start has the same order.
    """
    space, known = request.file.space, study.advice()
    if known is None and is_new and wants_advice(space, data):
        known = advise(space, data, executor, is_brief=True).to_json()
        study.note_advice(known)
        view.advised(known)
    return known


def _scheduler(
    request: Request,
    study: StoredStudy,
    trials: list[Trial],
    advice: dict[str, Any] | None,
    left: Callable[[], float] | None,
    n_pictures: int,
) -> Scheduler:
    space, recipes, most_head = request.file.space, request.recipes, request.most_head_epochs
    if advice is not None:
        prior = Prior.of(advice)
        space, recipes = prior.space(space), prior.recipes(recipes)
    most = space.budget.trials
    return Scheduler(space, recipes, trials, most, most_head, study.uid, left, n_pictures)


def _tracking(request: Request, data: DataSet, study: StoredStudy) -> Tracking:
    options, space = request.options, request.file.space
    spool = Spool(options.home / "studies" / f"{space.study}.{study.uid}.spool.jsonl")
    tracking = Tracking(options.tracking_uri, spool, space.study, study.uid, options.home / "mlartifacts")
    now = time.time_ns() // 1_000_000
    params = {
        "metric": space.objective.metric,
        "sampler": space.sampler.name,
        "pruner": space.pruner.name,
        "seed": space.seed,
    }
    tracking.start_study(
        {"search.version": __version__}, {**params, **space.fixed_settings}, now, options.command
    )
    counts = {key: value for key, value in sizes(data).items() if key != "classes"}
    tracking.log_data(data.name, data.source, data.fingerprint, counts)
    return tracking


def _close(
    tracking: Tracking,
    scheduler: Scheduler,
    results: Results | None,
    stopped: bool,
    started: float,
    store_bytes: int,
    advice: dict[str, Any] | None,
) -> Outcome:
    totals = Totals.of(scheduler.trials)
    runs = results.race.runs if results is not None and results.race is not None else ()
    metrics = {"trials": float(len(scheduler.trials)), **totals.figures(), "store_bytes": float(store_bytes)}
    if runs:
        metrics |= {f"finalists_{name}": value for name, value in Totals.of(runs).figures().items()}
    if results is not None:
        metrics |= {f"champion_{name}": value for name, value in results.champion.figures().items()}
    status = "KILLED" if stopped else "FINISHED" if results else "FAILED"
    tracking.end_study(status, {}, metrics, time.time_ns() // 1_000_000)  # type: ignore[arg-type]
    waiting = tracking.close(_FLUSH_WHEN_STOPPED_S if stopped else _LONGEST_FLUSH_S)
    seconds = time.monotonic() - started
    return Outcome(
        scheduler.trials,
        scheduler.best(),
        results,
        stopped,
        seconds,
        waiting,
        tracking.problems,
        sum(trial.programs for trial in [*scheduler.trials, *runs]),
        totals,
        store_bytes,
        advice,
    )
