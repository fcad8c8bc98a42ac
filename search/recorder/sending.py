"""Sending: puts spooled records into MLflow, each as often as one likes with the same outcome.

A run is found by its tags before it is created, a metric carries the time of its epoch, a parameter its
only value, a dataset its digest: sent twice, they are stored once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.recorder.client import open_client, prepare_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Record = Mapping[str, Any]
# A trial's number, or `7/2` for the run of trial 7 on its second fresh seed
Key = int | str
# MLflow refuses longer digests of a dataset.
_DIGEST_DIGITS = 36
_KINDS = frozenset({"start", "params", "epoch", "tags", "data", "artifacts", "end"})
# Answers that stay the same however often one asks.
_FINAL_ANSWERS = frozenset({"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "NOT_IMPLEMENTED"})


@dataclass(frozen=True)
class Place:
    """Where a study's runs are kept.

    Attributes:
        uri: The tracking URI.
        study: Name of the study and of its experiment.
        study_uid: What tells this study from another of the same name.
        artifact_root: Folder for artifacts, where MLflow is a database; None where it is a server.
        folders: The spool's folder of copied folders.
    """

    uri: str
    study: str
    study_uid: str
    artifact_root: Path | None
    folders: Path


class NotNow(Exception):
    """MLflow did not take the records now; later it may."""


class Sender:
    """Sends records of one study; used by one thread."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.run_ids: dict[Key | None, str] = {}
        self._client: MlflowClient | None = None
        self._experiment_id: str | None = None
        self._data: Record | None = None

    def send(self, records: Sequence[Record]) -> list[tuple[Record, str]]:
        """Send records in their order.

        Returns:
            The records that MLflow will never take, each with the reason.

        Raises:
            NotNow: MLflow cannot be reached or does not work; the same records may be sent again.
        """
        prepare_mlflow()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return self._send_by_run(records)
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            self._forget()
            raise NotNow(str(error)) from error

    def _send_by_run(self, records: Sequence[Record]) -> list[tuple[Record, str]]:
        refused = []
        for number in sorted({record.get("number") for record in records}, key=_parent_first):
            of_run = [record for record in records if record.get("number") == number]
            if self._try(number, of_run) is None:
                continue
            # One bad record must not take the others with it, nor must a deleted experiment.
            self._forget()
            answers = [(record, self._try(number, [record])) for record in of_run]
            refused += [(record, answer) for record, answer in answers if answer is not None]
        return refused

    def _try(self, number: Key | None, records: Sequence[Record]) -> str | None:
        """Send the records of one run; give the reason if they can never be taken."""
        from mlflow.exceptions import MlflowException

        unknown = {str(record.get("kind")) for record in records} - _KINDS
        if unknown:
            return f"no such kind of record: {', '.join(sorted(unknown))}"
        try:
            self._update_run(number, records)
        except MlflowException as error:
            if error.error_code not in _FINAL_ANSWERS:
                raise
            return str(error)
        return None

    def _update_run(self, number: Key | None, records: Sequence[Record]) -> None:
        start = _last(records, "start")
        run_id = self._found_run(number) or self._create_run(number, start)
        self._log_values(run_id, number, records)
        for record in records:
            if record["kind"] == "data":
                self._data = record
        if self._data is not None and (start or _last(records, "data")):
            self._log_data(run_id, self._data)
        for record in records:
            if record["kind"] == "artifacts":
                self._log_artifacts(run_id, record)
        self._set_status(run_id, _last(records, "start", "end"))

    def _log_values(self, run_id: str, number: Key | None, records: Sequence[Record]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        tags, params = _merged(records, "tags"), _merged(records, "params")
        tags |= self._start_tag(run_id, records)
        metrics = [
            Metric(key, value, record["time_ms"], record.get("step", 0))
            for record in records
            for key, value in record.get("metrics", {}).items()
        ]
        self._open().log_batch(
            run_id,
            metrics=metrics,
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )

    def _start_tag(self, run_id: str, records: Sequence[Record]) -> dict[str, str]:
        """Number each start of the command on the parent run; one that is already there keeps its number."""
        commands = [record for record in records if record.get("command")]
        if not commands:
            return {}
        known = self._open().get_run(run_id).data.tags
        starts = [value for key, value in known.items() if key.startswith("search.start.")]
        for record in commands:
            text = f"{_iso_time(record['time_ms'])} {record['command']}"
            if text not in starts:
                starts.append(text)
        return {f"search.start.{n}": text for n, text in enumerate(sorted(starts), start=1)}

    def _log_data(self, run_id: str, data: Record) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=data["name"],
            digest=data["digest"][:_DIGEST_DIGITS],
            source_type="local",
            source=data["source"],
            profile=data["profile"],
        )
        self._open().log_inputs(
            run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )

    def _log_artifacts(self, run_id: str, record: Record) -> None:
        folder = self.place.folders / record["folder"]
        # Gone only if a kill came between the sending and the note that it was sent.
        if folder.is_dir():
            self._open().log_artifacts(run_id, str(folder))

    def _set_status(self, run_id: str, record: Record | None) -> None:
        if record is None:
            return
        if record["kind"] == "end":
            self._open().set_terminated(run_id, record["status"], record["time_ms"])
        else:
            self._open().update_run(run_id, status="RUNNING", name=record["name"])

    def _found_run(self, number: Key | None) -> str | None:
        if not self.run_ids:
            self.run_ids.update((_number_of(run), run.info.run_id) for run in self._list_runs())
        return self.run_ids.get(number)

    def _list_runs(self) -> Iterable["Run"]:
        page, token = [], None
        while True:
            found = self._open().search_runs(
                [self._experiment()],
                f"tags.`search.study_uid` = '{self.place.study_uid}'",
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            page += list(found)
            token = found.token
            if not token:
                return page

    def _create_run(self, number: Key | None, start: Record | None) -> str:
        tags = {
            "mlflow.source.name": "search.run",
            "mlflow.source.type": "LOCAL",
            "search.study": self.place.study,
            "search.study_uid": self.place.study_uid,
        }
        if number is not None:
            tags["mlflow.parentRunId"] = self._found_run(None) or self._create_run(None, None)
            tags |= _tags_of(number)
        else:
            tags["search.role"] = "study"
        run = self._open().create_run(
            self._experiment(),
            start_time=start["time_ms"] if start else None,
            tags=tags,
            run_name=start["name"] if start else None,
        )
        self.run_ids[number] = run.info.run_id
        return str(run.info.run_id)

    def _experiment(self) -> str:
        if self._experiment_id is None:
            found = self._open().get_experiment_by_name(self.place.study)
            if found is None:
                self._experiment_id = self._create_experiment()
            else:
                self._experiment_id = found.experiment_id
                if found.lifecycle_stage == "deleted":
                    self._open().restore_experiment(found.experiment_id)
        return self._experiment_id

    def _create_experiment(self) -> str:
        root = self.place.artifact_root
        location = None if root is None else str((root / self.place.study).resolve())
        return str(self._open().create_experiment(self.place.study, artifact_location=location))

    def _open(self) -> "MlflowClient":
        if self._client is None:
            self._client = open_client(self.place.uri)
        return self._client

    def _forget(self) -> None:
        # What was created by a call that failed half-way is found again by its tags.
        self.run_ids.clear()
        self._experiment_id = None


def _parent_first(number: Key | None) -> tuple[bool, str]:
    return number is not None, str(number)


def _tags_of(number: Key) -> dict[str, str]:
    """Tags by which a run is found: of a trial, or `7/2` of trial 7 on its second fresh seed."""
    if isinstance(number, int):
        return {"search.trial": str(number), "search.role": "trial"}
    finalist, _, replicate = number.partition("/")
    return {"search.finalist": finalist, "search.replicate": replicate, "search.role": "finalist"}


def _number_of(run: "Run") -> Key | None:
    tags = run.data.tags
    if "search.replicate" in tags:
        return f"{tags['search.finalist']}/{tags['search.replicate']}"
    return int(tags["search.trial"]) if "search.trial" in tags else None


def _last(records: Sequence[Record], *kinds: str) -> Record | None:
    return next((record for record in reversed(records) if record["kind"] in kinds), None)


def _merged(records: Sequence[Record], field: str) -> dict[str, str]:
    return {key: value for record in records for key, value in record.get(field, {}).items()}


def _iso_time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
