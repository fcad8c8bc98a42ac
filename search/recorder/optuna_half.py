"""The Optuna half of the recorder: the stored study, which only the driver writes."""

import contextlib
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from search.config.space import Space
from search.errors import StudyError
from search.recorder.stored_trial import OPTUNA_STATES, facts_of, read_trial
from search.scheduler.race import RaceResult
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Size
from search.urls import without_password

# A database on another machine that does not answer within this is not there.
_LONGEST_CONNECT_S = 5


class StoredStudy:
    """A study in Optuna's database; it is made where there is none of its name.

    Args:
        url: The database.
        space: The space, whose study's name is the name in the database.

    Attributes:
        uid: A name that no other study has, not even an earlier one of the same name.

    Raises:
        StudyError: The database cannot be opened, or the study in it was not made by this program.
    """

    def __init__(self, url: str, space: Space) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._metric = space.objective.metric
        with _told(url):
            self._storage = _open(url)
            self._study = _open_study(self._storage, space)
            self.uid = str(self._study.user_attrs["uid"])
            self._study_id = self._storage.get_study_id_from_name(space.study)
        # each costs a handful of queries to make, of which an epoch would need several
        self._handles: dict[int, optuna.Trial] = {}

    def hold_to(self, facts: Mapping[str, str | int]) -> None:
        """Note what must be the same at every start, and refuse a start at which it is not.

        The study's file in the home says so earlier and better; this is for a database that another home
        has used.

        Args:
            facts: What must not change, such as digests, by names that a message can show.

        Raises:
            StudyError: Something is other than when the study was begun.
        """
        known = self._study.user_attrs
        changed = [name for name, value in facts.items() if known.get(name, value) != value]
        if changed:
            raise StudyError(
                f"Study {self._study.study_name} was begun with another {' and another '.join(changed)}; "
                "give it a name of its own with --set study=NAME, or discard the old one with --fresh."
            )
        for name, value in facts.items():
            if name not in known:
                self._study.set_user_attr(name, value)

    def trials(self, most_head: int) -> list[Trial]:
        """Read all trials, in the order of their numbers.

        Args:
            most_head: The most epochs of stage 1 in this study, for the meaning of a step.
        """
        late = self._late_runs()
        found = [read_trial(one, most_head, self._metric) for one in self._study.get_trials(deepcopy=False)]
        for trial in found:
            trial.run_id = trial.run_id or late.get(str(trial.number))
        return found

    def add(self, proposal: Proposal) -> Trial:
        """Store a trial whole, in one transaction, so that a kill leaves none that is half asked."""
        attrs: dict[str, Any] = {"config": proposal.config.flat()}
        if proposal.recipe:
            attrs["recipe"] = proposal.recipe
        if proposal.continues is not None:
            attrs |= {"continues": proposal.continues, "promotions": list(proposal.promotions)}
        frozen = create_trial(
            state=TrialState.RUNNING,
            params=dict(proposal.params),
            distributions=dict(proposal.distributions),
            user_attrs=attrs,
            constraints=dict(proposal.constraints),
        )
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=frozen)
        return read_trial(self._storage.get_trial(trial_id), 0, self._metric)

    def report(self, trial: Trial, steps: list[int], value: float) -> None:
        """Report the objective at steps; those that Optuna holds already are skipped."""
        for step in steps:
            if step not in trial.reported:
                self._handle(trial).report(value, step)
                trial.reported.add(step)

    def pause(self, trial: Trial) -> None:
        """Note that a trial is paused and what it came to; in Optuna it stays running.

        The state comes last: a kill before it leaves a running trial, which is replayed and paused again.
        """
        facts = {"last_pause": trial.reason, "promotions": list(trial.promotions), "state": "paused"}
        self._set(trial, {**facts_of(trial), **facts})

    def note_retries(self, trial: Trial) -> None:
        """Note which segments of a trial had to run again, and why."""
        self._set(trial, {"retries": trial.retries})

    def promote(self, trial: Trial) -> None:
        """Note that a paused trial is taken up again.

        A kill between the two leaves a running trial that finds itself at the rung where it was promoted.
        """
        self._set(trial, {"state": "running", "promotions": list(trial.promotions)})

    def end(self, trial: Trial) -> None:
        """Note how a trial ended and what it came to; its state comes last, so it is never half known."""
        reason = {"reason": trial.reason} if trial.reason else {}
        self._set(trial, {**facts_of(trial), **reason, "state": "paused" if trial.closed else trial.state})

    def close(self, trial: Trial) -> None:
        """Close a trial that has ended, with its run if that is known."""
        if trial.run_id:
            self._set(trial, {"mlflow_run_id": trial.run_id})
        value = trial.value(self._metric) if trial.state == "complete" else None
        self._study.tell(trial.number, value, state=OPTUNA_STATES[trial.state])
        trial.is_open = False
        self._handles.pop(trial.number, None)

    def note_late_runs(self, run_ids: Mapping[int, str]) -> None:
        """Keep with the study the runs of trials that were closed before they were known, by number."""
        if run_ids:
            known = {str(number): run_id for number, run_id in run_ids.items()}
            self._study.set_user_attr("late_mlflow_run_ids", {**self._late_runs(), **known})

    def sizes(self) -> dict[str, Size]:
        """Give the sizes of networks that were measured, by network."""
        return {name: Size(**size) for name, size in self._study.user_attrs.get("sizes", {}).items()}

    def note_size(self, network: str, size: Size) -> None:
        """Keep the size of a network."""
        sizes = self._study.user_attrs.get("sizes", {})
        self._study.set_user_attr("sizes", {**sizes, network: asdict(size)})

    def advice(self) -> dict[str, Any] | None:
        """Give the advice with which the study began, None where there was none."""
        known: dict[str, Any] | None = self._study.user_attrs.get("advice")
        return known

    def note_advice(self, advice: Mapping[str, Any]) -> None:
        """Keep the advice with which the study begins."""
        self._study.set_user_attr("advice", dict(advice))

    def begun_ms(self, key: str) -> int:
        """Give when a run on a fresh seed was first begun, milliseconds since 1970; a new one begins now.

        Args:
            key: What it is known by, such as `7/2`.
        """
        begun = self._study.user_attrs.get("finalists_begun_ms", {})
        if key not in begun:
            begun = {**begun, key: time.time_ns() // 1_000_000}
            self._study.set_user_attr("finalists_begun_ms", begun)
        return int(begun[key])

    def note_finalists(self, result: RaceResult, metric: str) -> None:
        """Note how the finalists did on fresh seeds. Optuna takes nothing more for a trial that is over."""
        rows = [
            {
                "trial": one.trial.number,
                "values": one.values(metric),
                "mean": one.mean(metric),
                "spread": one.spread(metric),
                "stopped": one.stopped,
            }
            for one in result.standings
        ]
        self._study.set_user_attr("finalists", rows)
        self._study.set_user_attr("finalists_luck", result.luck)

    def _late_runs(self) -> dict[str, str]:
        found: dict[str, str] = self._study.user_attrs.get("late_mlflow_run_ids", {})
        return found

    def _set(self, trial: Trial, facts: Mapping[str, Any]) -> None:
        handle = self._handle(trial)
        for name, value in facts.items():
            handle.set_user_attr(name, value)

    def _handle(self, trial: Trial) -> optuna.Trial:
        if trial.number not in self._handles:
            found = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
            self._handles[trial.number] = optuna.Trial(self._study, found)
        return self._handles[trial.number]


def check_database(url: str, study: str) -> bool:
    """Open a database and tell whether it holds a study of a name.

    Raises:
        StudyError: The database cannot be opened.
    """
    with _told(url):
        return study in optuna.get_all_study_names(_open(url))


def delete_study(url: str, study: str) -> None:
    """Delete a study with all its trials, whatever it is; one that is not there is no error.

    Raises:
        StudyError: The database cannot be opened.
    """
    with _told(url), contextlib.suppress(KeyError):
        optuna.delete_study(study_name=study, storage=_open(url))


def _open_study(storage: RDBStorage, space: Space) -> optuna.Study:
    """Open the study or make it. A kill in between leaves one without trials, which is made to the end."""
    study = optuna.create_study(
        study_name=space.study,
        storage=storage,
        sampler=RandomSampler(seed=0),  # never asked: points come from a study in memory
        direction=space.objective.direction,
        load_if_exists=True,
    )
    _refuse_foreign(study, space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([space.objective.metric])
    if "uid" not in study.user_attrs:
        study.set_user_attr("uid", uuid.uuid4().hex)
    return study


def _refuse_foreign(study: optuna.Study, space: Space) -> None:
    advice = "give yours another name with --set study=NAME."
    for trial in study.get_trials(deepcopy=False):
        if "config" not in trial.user_attrs:
            raise StudyError(
                f"Study {space.study}: trial {trial.number} was not made by this program; {advice}"
            )
    directions = [direction.name.lower() for direction in study.directions]
    if directions != [space.objective.direction]:
        raise StudyError(
            f"Study {space.study} is there to {' and '.join(directions)}, but {space.objective.metric} "
            f"is to {space.objective.direction}; {advice}"
        )


def _open(url: str) -> RDBStorage:
    if url.startswith("sqlite"):
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        _write_ahead(storage)
        return storage
    connect = {"connect_timeout": _LONGEST_CONNECT_S} if url.startswith("postgresql") else {}
    return RDBStorage(url, engine_kwargs={"connect_args": connect})


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Tell in one line why a database cannot be opened."""
    try:
        yield
    except (
        sqlalchemy.exc.SQLAlchemyError,
        StorageInternalError,
        ImportError,
        ValueError,
        RuntimeError,
    ) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        reason = without_password(str(cause).splitlines()[0]) if str(cause) else type(cause).__name__
        raise StudyError(
            f"--storage: {without_password(url)} cannot be opened ({reason}); "
            "give a database URL such as sqlite:///optuna.db or postgresql://user@host/name."
        ) from error


def _write_ahead(storage: RDBStorage) -> None:
    """Let the dashboard read while the driver writes, and save a disk flush a write."""

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def _pragmas(connection: Any, record: Any) -> None:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")

    storage.engine.dispose()
