"""The Optuna half of the recorder: the stored study, which only the driver writes."""

import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.config.space import Space
from search.config.trial_config import STAGES, Stage, TrialConfig
from search.errors import StudyError
from search.scheduler.steps import step_of
from search.scheduler.trial import Outcome, Proposal, State, Trial
from search.training.segment import Epoch
from search.urls import without_password

_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_OPTUNA_STATES = {state: optuna_state for optuna_state, state in _STATES.items()}


class StoredStudy:
    """A study in Optuna's database; it is made where there is none of its name.

    Args:
        url: The database.
        space: The space, whose study's name is the name in the database.

    Raises:
        StudyError: The database cannot be opened.
    """

    def __init__(self, url: str, space: Space) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = _open(url)
        self._metric = space.objective.metric
        self._study = optuna.create_study(
            study_name=space.study,
            storage=self._storage,
            direction=space.objective.direction,
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.set_metric_names([self._metric])
        if "uid" not in self._study.user_attrs:
            self._study.set_user_attr("uid", uuid.uuid4().hex)
        self._ids = {trial.number: trial._trial_id for trial in self._frozen()}

    @property
    def uid(self) -> str:
        """A name that no other study has, not even an earlier one of the same name."""
        return str(self._study.user_attrs["uid"])

    def describe(self, attrs: dict[str, Any]) -> None:
        """Set attributes of the study, those that are new or other than before."""
        known = self._study.user_attrs
        for name, value in attrs.items():
            if known.get(name) != value:
                self._study.set_user_attr(name, value)

    def trials(self, most_head: int) -> list[Trial]:
        """Read all trials, in the order of their numbers.

        Args:
            most_head: The most epochs of stage 1 in this study, for the meaning of a step.
        """
        return [self._read(frozen, most_head) for frozen in self._frozen()]

    def add(self, proposal: Proposal) -> Trial:
        """Store a trial whole, in one transaction, so that a kill leaves none that is half asked."""
        attrs: dict[str, Any] = {"config": proposal.config.flat()}
        if proposal.recipe:
            attrs["recipe"] = proposal.recipe
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                user_attrs=attrs,
            )
        )
        number = len(self._ids)
        study_id = self._study._study_id
        self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return self._read(self._study.get_trials(deepcopy=False)[number], 0)

    def report(self, trial: Trial, steps: list[int], value: float) -> None:
        """Report the objective at steps; those that Optuna holds already are skipped."""
        for step in steps:
            if step not in trial.reported:
                self._handle(trial).report(value, step)
                trial.reported.add(step)

    def end(self, trial: Trial) -> None:
        """Close a trial that has ended, with what it came to."""
        handle, outcome = self._handle(trial), trial.outcome
        facts: dict[str, Any] = {"head_epochs": len(trial.epochs["head"])}
        if trial.run_id:
            facts["mlflow_run_id"] = trial.run_id
        if trial.reason:
            facts["reason"] = trial.reason
        if outcome:
            facts |= dict(outcome.metrics)
            facts |= {"best_stage": outcome.stage, "best_epoch": outcome.epoch, "seconds": outcome.seconds}
            facts |= {"epochs_run": outcome.epochs_run, "epochs_reused": outcome.epochs_reused}
        for name, value in facts.items():
            handle.set_user_attr(name, value)
        value = trial.value(self._metric) if trial.state == "complete" else None
        self._study.tell(trial.number, value, state=_OPTUNA_STATES[trial.state])

    def delete(self) -> None:
        """Delete the study with all its trials."""
        optuna.delete_study(study_name=self._study.study_name, storage=self._storage)

    def _handle(self, trial: Trial) -> optuna.Trial:
        return optuna.Trial(self._study, self._ids[trial.number])

    def _frozen(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _read(self, frozen: FrozenTrial, most_head: int) -> Trial:
        attrs = frozen.user_attrs
        if "config" not in attrs:
            raise StudyError(
                f"Trial {frozen.number} of study {self._study.study_name} was not made by this program; "
                "give the study another name."
            )
        config = TrialConfig.model_validate(attrs["config"])
        proposal = Proposal(config, frozen.params, frozen.distributions, attrs.get("recipe"))
        started = frozen.datetime_start
        assert started is not None, "a trial that is not waiting has started"
        started_ms = int(started.timestamp() * 1000)
        trial = Trial(frozen.number, proposal, started_ms, _STATES[frozen.state], reason=attrs.get("reason"))
        trial.run_id = attrs.get("mlflow_run_id")
        trial.reported = set(frozen.intermediate_values)
        if trial.state != "running":
            trial.outcome = _outcome(attrs)
            for stage in STAGES:
                trial.epochs[stage] = list(self._epochs(frozen, stage, most_head))
        return trial

    def _epochs(self, frozen: FrozenTrial, stage: Stage, most_head: int) -> Iterator[Epoch]:
        """The epochs of a trial that is over, with the objective as their only metric."""
        most = int(frozen.user_attrs["head_epochs"]) if stage == "head" else None
        number = 1
        while most is None or number <= most:
            step = step_of(stage, number, most_head)
            if step not in frozen.intermediate_values:
                return
            value = frozen.intermediate_values[step]
            yield Epoch(stage, number, {self._metric: value}, seconds=0.0, pictures_per_s=0.0, time_ms=0)
            number += 1


def _outcome(attrs: dict[str, Any]) -> Outcome | None:
    if "best_epoch" not in attrs:
        return None
    names = [f"{prefix}{name}" for prefix in ("", "val_") for name in ("loss", "accuracy", "f1", "auc")]
    return Outcome(
        stage=attrs["best_stage"],
        epoch=attrs["best_epoch"],
        metrics={name: attrs[name] for name in names if name in attrs},
        seconds=attrs["seconds"],
        epochs_run=attrs["epochs_run"],
        epochs_reused=attrs["epochs_reused"],
    )


def _open(url: str) -> RDBStorage:
    sqlite = url.startswith("sqlite")
    try:
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else {})
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(
            f"--storage: {without_password(url)} cannot be opened ({reason}); "
            "give a database URL such as sqlite:///optuna.db or postgresql://user@host/name."
        ) from error
    if sqlite:
        _write_ahead(storage)
    return storage


def _write_ahead(storage: RDBStorage) -> None:
    """Let the dashboard read while the driver writes, and save a disk flush a write."""

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def _pragmas(connection: Any, record: Any) -> None:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")

    storage.engine.dispose()
