"""Tracking: tells MLflow of studies, trials and epochs, and never holds up or breaks the training.

Every call puts a record on disk and returns; one thread sends the records, in batches. If MLflow does
not answer they wait and are sent when it is back, after a restart too: none is lost, none doubled.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from search.recorder.client import check_uri
from search.recorder.sending import Key, NotNow, Place, Sender
from search.recorder.spool import Line, Spool
from search.urls import without_password

Status = Literal["FINISHED", "KILLED", "FAILED"]
_MOST_RECORDS = 500
# One batch every two seconds: ten epochs a second of 12 metrics then take 1 % of a core.
_GATHER_S = 2.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
# MLflow stores NaN as 0 and infinity as 1.8e308, which ruins every chart: they go to this tag instead.
NOT_FINITE_TAG = "search.not_finite"


class Tracking:
    """The runs of one study: a parent run and a child run a trial.

    The thread that sends starts at once and finds by itself what an earlier process left in the spool.

    Attributes:
        shown_uri: The tracking URI as it may be printed.
    """

    def __init__(
        self, uri: str, spool: Spool, study: str, study_uid: str, artifact_root: Path | None = None
    ) -> None:
        """Start sending.

        Args:
            uri: Tracking URI: sqlite:///, postgresql://, mysql://, http:// or https://.
            spool: Where records wait.
            study: Name of the study and of its experiment.
            study_uid: What tells this study from another of the same name; letters and digits.
            artifact_root: Folder for artifacts where MLflow is a database; a server has its own.

        Raises:
            TrackingError: The URI has a form that cannot be.
        """
        check_uri(uri)
        is_server = uri.startswith(("http://", "https://"))
        root = None if is_server else artifact_root
        self.shown_uri = without_password(uri)
        self._spool = spool
        spool.note_destination(self.shown_uri)
        self._sender = Sender(Place(uri, study, study_uid, root, spool.folders))
        self._run_ids: dict[Key | None, str] = {}
        self._problems: list[str] = []
        self._changed = threading.Condition()
        self._hurry = False
        self._try_now = False
        self._closing = False
        self._down_since: float | None = None
        self._n_outages = 0
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def problems(self) -> list[str]:
        """What went wrong so far, a sentence each, without passwords; an outage is told once."""
        with self._changed:
            return list(self._problems)

    def start_study(
        self, tags: Mapping[str, str], params: Mapping[str, object], time_ms: int, command: str
    ) -> None:
        """Open the parent run, or take it up again.

        Args:
            tags: Tags of the study.
            params: Parameters of the study, those that no later start changes.
            time_ms: When this start was made, milliseconds since 1970.
            command: The command line; it becomes the tag `search.start.<n>`, without passwords.
        """
        shown = without_password(command)
        self._start(None, self._sender.place.study, tags, params, time_ms, shown)

    def log_data(self, name: str, source: str, fingerprint: str, counts: Mapping[str, object]) -> None:
        """Give the study's runs, this one and those of trials that start later, the data as their input.

        Args:
            name: Name of the data set.
            source: Where it is: a folder, a file or an address.
            fingerprint: Digest of its content; MLflow keeps the first 36 digits, a tag all.
            counts: Numbers to show beside it, such as `n_train`.
        """
        profile = json.dumps(counts)
        record = {"kind": "data", "number": None, "name": name, "digest": fingerprint, "profile": profile}
        self._put(record | {"source": json.dumps({"uri": source})})
        self._put({"kind": "tags", "number": None, "tags": {"search.data_fingerprint": fingerprint}})

    def start_trial(
        self,
        number: Key,
        name: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
        time_ms: int,
    ) -> None:
        """Open the run of a trial, or take it up again: its status is RUNNING from now on."""
        self._start(number, name, tags, params, time_ms)

    def log_epoch(self, number: Key, step: int, time_ms: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics. Replayed with the same time, they are stored once.

        A value that is NaN or infinite is not logged as a metric but named in the tag `search.not_finite`.

        Args:
            number: The trial, or `7/2` for the run of trial 7 on its second fresh seed.
            step: Quarter epochs, the step that Optuna sees.
            time_ms: When the epoch ended, milliseconds since 1970, stored with the epoch and never renewed.
            metrics: Values by name.
        """
        record: dict[str, Any] = {"kind": "epoch", "number": number, "step": step, "time_ms": time_ms}
        self._put(record | _finite(metrics, f" at step {step}"))

    def log_params(self, number: Key, params: Mapping[str, object]) -> None:
        """Add parameters to a trial's run, those that are known only once it trains."""
        self._put({"kind": "params", "number": number, "params": {k: str(v) for k, v in params.items()}})

    def tag_trial(self, number: Key, tags: Mapping[str, str]) -> None:
        """Set tags of a trial's run; the last value of a tag stays."""
        self._put({"kind": "tags", "number": number, "tags": dict(tags)})

    def end_trial(
        self,
        number: Key,
        status: Status,
        time_ms: int,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
    ) -> None:
        """Close the run of a trial: FINISHED, KILLED when it was pruned, FAILED when it was lost."""
        self._end(number, status, time_ms, tags, metrics)

    def log_artifacts(self, number: Key | None, folder: Path) -> None:
        """Log the files of a folder, sub-folders too; they are copied before this returns.

        Args:
            number: The trial, or None for the study's own run.
            folder: A folder; each file keeps its path below it.
        """
        try:
            name = self._spool.keep(folder)
        except OSError as error:
            self._note(f"The files in {str(folder)!r} could not be kept for MLflow: {error}.")
            return
        self._put({"kind": "artifacts", "number": number, "folder": name})

    def run_id(self, number: Key | None, wait_s: float = 0) -> str | None:
        """Say the id of a run: of a trial, or of the study for None.

        Returns:
            The id, or None if it is not known after so many seconds, as when MLflow does not answer.
        """
        with self._changed:
            if wait_s > 0 and number not in self._run_ids:
                self._await_sent(lambda: number in self._run_ids or self._is_idle(), wait_s)
            return self._run_ids.get(number)

    def end_study(
        self, status: Status, tags: Mapping[str, str], metrics: Mapping[str, float], time_ms: int
    ) -> None:
        """Close the parent run: FINISHED, KILLED when the user stopped it, FAILED on an error."""
        self._end(None, status, time_ms, tags, metrics)

    def flush(self, wait_s: float) -> int:
        """Wait until all records are sent, at most so many seconds.

        Returns:
            How many records still wait on disk.
        """
        with self._changed:
            self._await_sent(self._is_idle, wait_s)
            return self._spool.n_waiting

    def close(self, wait_s: float) -> int:
        """Flush, stop the thread and close the spool; what still waits is sent by the next process.

        Returns:
            How many records still wait on disk.
        """
        n_waiting = self.flush(wait_s)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._spool.close()
        return n_waiting

    def _start(
        self,
        number: Key | None,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        time_ms: int,
        command: str | None = None,
    ) -> None:
        record = {"kind": "start", "number": number, "name": name, "tags": dict(tags), "time_ms": time_ms}
        self._put(record | {"command": command})
        # On their own: MLflow refuses a parameter that changed, and must not refuse the run with it.
        self._put({"kind": "params", "number": number, "params": {k: str(v) for k, v in params.items()}})

    def _end(
        self,
        number: Key | None,
        status: Status,
        time_ms: int,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
    ) -> None:
        record = {"kind": "end", "number": number, "status": status, "time_ms": time_ms}
        values = _finite(metrics, "")
        self._put({**record, **values, "tags": {**values["tags"], **tags}})

    def _put(self, record: Mapping[str, object]) -> None:
        try:
            # what precedes a trial's end is told again when the trial is taken up again
            self._spool.append(record, durable=record["kind"] == "end")
        except OSError as error:
            self._note(f"A record for MLflow is lost: {str(self._spool.path)!r} cannot be written: {error}.")
            return
        with self._changed:
            self._changed.notify_all()

    def _note(self, sentence: str) -> None:
        with self._changed:
            self._problems.append(without_password(sentence))

    def _await_sent(self, is_done: Callable[[], bool], wait_s: float) -> None:
        """Wait at most so many seconds; of a server that was silent for as long already, for one more try."""
        self._hurry = self._try_now = True
        self._changed.notify_all()
        known = self._n_outages

        def is_over() -> bool:
            has_tried = self._down_since is not None and self._n_outages > known
            return has_tried and time.monotonic() - (self._down_since or 0.0) >= wait_s

        self._changed.wait_for(lambda: is_done() or is_over(), wait_s)

    def _is_idle(self) -> bool:
        return self._spool.n_waiting == 0 or not self._thread.is_alive()

    def _work(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._await_records():
            lines = self._spool.peek(_MOST_RECORDS)
            try:
                refused = self._sender.send([line.record for line in lines])
            except NotNow as reason:
                self._note_outage(str(reason))
                pause_s = self._pause(pause_s)
            else:
                pause_s = _FIRST_PAUSE_S
                self._sent(lines, refused)

    def _await_records(self) -> bool:
        """Wait for records and a moment more for others; False when closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._spool.n_waiting > 0)
            if self._spool.n_waiting < _MOST_RECORDS:
                self._changed.wait_for(lambda: self._closing or self._hurry, _GATHER_S)
            return not self._closing

    def _pause(self, pause_s: float) -> float:
        """Wait, unless somebody flushes; say how long to wait the next time."""
        with self._changed:
            woken = self._changed.wait_for(lambda: self._closing or self._try_now, pause_s)
            self._try_now = False
            return _FIRST_PAUSE_S if woken else min(2 * pause_s, _LONGEST_PAUSE_S)

    def _sent(self, lines: list[Line], refused: list[tuple[Mapping[str, Any], str]]) -> None:
        for record, reason in refused:
            self._spool.reject(record, without_password(reason))
            self._note(_refusal(record, reason, self._spool.rejected))
        self._spool.advance(lines)
        with self._changed:
            self._down_since = None
            self._run_ids |= self._sender.run_ids
            if self._spool.n_waiting == 0:
                self._hurry = False
            self._changed.notify_all()

    def _note_outage(self, reason: str) -> None:
        if self._down_since is None:
            self._note(
                f"MLflow at {self.shown_uri} takes no records now ({_first_line(reason)}); "
                "they wait on disk and are sent when it does."
            )
        with self._changed:
            self._down_since = self._down_since or time.monotonic()
            self._n_outages += 1
            self._changed.notify_all()


def _finite(metrics: Mapping[str, float], where: str) -> dict[str, dict[str, Any]]:
    finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    others = [f"{name}{where} is {float(metrics[name])}" for name in metrics if name not in finite]
    return {"metrics": finite, "tags": {NOT_FINITE_TAG: ", ".join(others)} if others else {}}


def _refusal(record: Mapping[str, Any], reason: str, place: Path) -> str:
    run = "the study" if record.get("number") is None else f"trial {record['number']}"
    return (
        f"MLflow refused a record ({record.get('kind')} of {run}): {_first_line(reason)}; "
        f"it is kept in {str(place)!r}."
    )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300].rstrip(".")
