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
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.config.space import Space
from search.errors import StudyError
from search.recorder.exclusive import hold
from search.recorder.holder import Holder
from search.recorder.patience import DatabaseAway, Patience, patiently, watch
from search.recorder.stored_trial import OPTUNA_STATES, facts_of, read_trial, reported_epochs
from search.scheduler.race import RaceResult
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Size
from search.urls import without_password

# A database on another machine that does not answer within this is not there.
_LONGEST_CONNECT_S = 5
# So long SQLite itself waits for another program's lock.
_LONGEST_LOCK_S = 60


class StoredStudy:
    """A study in Optuna's database; it is made where there is none of its name.

    Once it is open it waits for a database that is away, however long: whatever it does comes to the same
    when it is done again.

    Args:
        url: The database.
        space: The space, whose study's name is the name in the database.
        holder: Who writes it, and keeps others from it where the database can; None for who only reads.

    Attributes:
        uid: A name that no other study has, not even an earlier one of the same name.
        patience: What waits; it says so to its `say`.

    Raises:
        StudyError: The database cannot be opened, the study in it was not made by this program, or another
            process writes it.
    """

    def __init__(self, url: str, space: Space, holder: Holder | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._metric = space.objective.metric
        self.patience = Patience(without_password(url))
        with _told(url):
            self._storage = _open(url, space.study, holder)
            self._study = _open_study(self._storage, space)
            self.uid = str(self._study.user_attrs["uid"])
            self._study_id = self._storage.get_study_id_from_name(space.study)
            self._n_trials = len(self._study.get_trials(deepcopy=False))
        # each costs a handful of queries to make, of which an epoch would need several
        self._handles: dict[int, optuna.Trial] = {}

    def __enter__(self) -> "StoredStudy":
        """Nothing to be done: it is open."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of the database."""
        self.disconnect()

    def disconnect(self) -> None:
        """Let go of the database, so that another process may write the study."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    @patiently
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

    @patiently
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

    @patiently
    def trials_so_far(self, most_head: int) -> list[Trial]:
        """Read all trials to be looked at: those that run have the epochs that they have reported."""
        found = []
        for frozen in self._study.get_trials(deepcopy=False):
            trial = read_trial(frozen, most_head, self._metric)
            trial.epochs = reported_epochs(frozen, most_head, self._metric)
            found.append(trial)
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
        trial_id = self.patience.through(lambda: self._create(frozen), lambda: self._create_once(frozen))
        self._n_trials += 1
        return self._read(trial_id)

    @patiently
    def report(self, trial: Trial, steps: list[int], value: float) -> None:
        """Report the objective at steps; those that Optuna holds already are skipped."""
        for step in steps:
            if step not in trial.reported:
                self._handle(trial).report(value, step)
                trial.reported.add(step)

    @patiently
    def pause(self, trial: Trial) -> None:
        """Note that a trial is paused and what it came to; in Optuna it stays running.

        The state comes last: a kill before it leaves a running trial, which is replayed and paused again.
        """
        facts = {"last_pause": trial.reason, "promotions": list(trial.promotions), "state": "paused"}
        self._set(trial, {**facts_of(trial), **facts})

    @patiently
    def note_retries(self, trial: Trial) -> None:
        """Note which segments of a trial had to run again, why, and how they do from now on."""
        accumulation = {"accumulation": asdict(trial.accumulation)} if trial.accumulation else {}
        self._set(trial, {"retries": trial.retries, **accumulation})

    @patiently
    def promote(self, trial: Trial) -> None:
        """Note that a paused trial is taken up again.

        A kill between the two leaves a running trial that finds itself at the rung where it was promoted.
        """
        self._set(trial, {"state": "running", "promotions": list(trial.promotions)})

    @patiently
    def end(self, trial: Trial) -> None:
        """Note how a trial ended and what it came to; its state comes last, so it is never half known."""
        reason = {"reason": trial.reason} if trial.reason else {}
        self._set(trial, {**facts_of(trial), **reason, "state": "paused" if trial.closed else trial.state})

    def close(self, trial: Trial) -> None:
        """Close a trial that has ended, with its run if that is known."""
        if trial.run_id:
            self._note_run(trial)
        self._tell(trial)
        trial.is_open = False
        self._handles.pop(trial.number, None)

    @patiently
    def _note_run(self, trial: Trial) -> None:
        """Done for itself: Optuna takes no attribute of a trial that is told."""
        self._set(trial, {"mlflow_run_id": trial.run_id})

    @patiently
    def _tell(self, trial: Trial) -> None:
        value = trial.value(self._metric) if trial.state == "complete" else None
        state = OPTUNA_STATES[trial.state]
        # finished already: told before, but the answer was lost
        told = self._study.tell(trial.number, value, state=state, skip_if_finished=True)
        if told.state != state:
            raise StudyError(
                f"Study {self._study.study_name}: another program ended trial {trial.number} as "
                f"{told.state.name}; leave a study to this program, or begin one of another name."
            )

    @patiently
    def note_late_runs(self, run_ids: Mapping[int, str]) -> None:
        """Keep with the study the runs of trials that were closed before they were known, by number."""
        if run_ids:
            known = {str(number): run_id for number, run_id in run_ids.items()}
            self._study.set_user_attr("late_mlflow_run_ids", {**self._late_runs(), **known})

    @patiently
    def sizes(self) -> dict[str, Size]:
        """Give the sizes of networks that were measured, by network."""
        return {name: Size(**size) for name, size in self._study.user_attrs.get("sizes", {}).items()}

    @patiently
    def note_size(self, network: str, size: Size) -> None:
        """Keep the size of a network."""
        sizes = self._study.user_attrs.get("sizes", {})
        self._study.set_user_attr("sizes", {**sizes, network: asdict(size)})

    @patiently
    def advice(self) -> dict[str, Any] | None:
        """Give the advice with which the study began, None where there was none."""
        known: dict[str, Any] | None = self._study.user_attrs.get("advice")
        return known

    @patiently
    def note_advice(self, advice: Mapping[str, Any]) -> None:
        """Keep the advice with which the study begins."""
        self._study.set_user_attr("advice", dict(advice))

    @patiently
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

    @patiently
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

    def _create(self, frozen: FrozenTrial) -> int:
        return self._storage.create_new_trial(self._study_id, template_trial=frozen)

    def _create_once(self, frozen: FrozenTrial) -> int:
        """Create a trial, unless it is there and only the answer was lost.

        What else is added in the meantime, by whoever may write as well, is not taken for it.
        """
        for one in self._study.get_trials(deepcopy=False)[self._n_trials :]:
            if (one.params, one.user_attrs) == (frozen.params, frozen.user_attrs):
                return one._trial_id
        return self._create(frozen)

    @patiently
    def _read(self, trial_id: int) -> Trial:
        return read_trial(self._storage.get_trial(trial_id), 0, self._metric)

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
        StudyError: The database cannot be opened, or another process writes the study.
    """
    with _told(url), _opened(url, study) as storage:
        return study in optuna.get_all_study_names(storage)


def delete_study(url: str, study: str) -> None:
    """Delete a study with all its trials, whatever it is; one that is not there is no error.

    Raises:
        StudyError: The database cannot be opened, or another process writes the study.
    """
    with _told(url), contextlib.suppress(KeyError), _opened(url, study) as storage:
        optuna.delete_study(study_name=study, storage=storage)


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


@contextmanager
def _opened(url: str, study: str) -> Iterator[RDBStorage]:
    """Open a database for a moment in which nobody else writes the study."""
    storage = _open(url, study, Holder.here())
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _open(url: str, study: str, holder: Holder | None) -> RDBStorage:
    storage = RDBStorage(url, engine_kwargs={"connect_args": _connect_args(url)})
    watch(storage.engine)
    if url.startswith("sqlite"):
        _write_ahead(storage.engine)
    if holder is not None:
        hold(storage.engine, study, holder)
    # what is connected already was connected without all this
    storage.engine.dispose()
    return storage


def _connect_args(url: str) -> dict[str, int]:
    if url.startswith("sqlite"):
        return {"timeout": _LONGEST_LOCK_S}
    return {"connect_timeout": _LONGEST_CONNECT_S} if url.startswith("postgresql") else {}


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Tell in one line why a database cannot be opened."""
    try:
        yield
    except (
        sqlalchemy.exc.SQLAlchemyError,
        StorageInternalError,
        DatabaseAway,
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


def _write_ahead(engine: sqlalchemy.Engine) -> None:
    """Let the dashboard read while the driver writes, and save a disk flush a write."""

    @sqlalchemy.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, record: Any) -> None:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")
