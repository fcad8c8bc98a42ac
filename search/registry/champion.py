"""Champion: registers a study's best model in MLflow, and decides whether it takes the alias `champion`.

The alias moves if no older champion was measured on the same test pictures, or the new model's loss on
them is lower. Registering the same model again changes nothing.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from search.errors import TrackingError
from search.recorder.client import check_uri, open_client, prepare_mlflow
from search.registry.saved import save_model
from search.registry.scores import Score
from search.urls import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
_DIGEST = "search.digest"
_TEST = "search.test_fingerprint"
_LOSS = "search.test_loss"
_WAS_CHAMPION = "search.was_champion"
_OUTCOME = "search.outcome"
# The width of MLflow's column for a version's description.
_MOST_LETTERS = 5000


@dataclass(frozen=True)
class Candidate:
    """A model that may become the champion, and what is known of it.

    Attributes:
        name: Name to register it under, the study's.
        study: The study that found it.
        trial: Number of its trial.
        classes: Names of the classes, by index.
        example: (k, px, px, 3) uint8, one to three pictures as input example.
        card: The model card, Markdown.
        score: Its score on the test split.
        test_fingerprint: Digest of the test pictures and their labels.
    """

    name: str
    study: str
    trial: int
    classes: Sequence[str]
    example: npt.NDArray[np.uint8]
    card: str
    score: Score
    test_fingerprint: str


@dataclass(frozen=True)
class Registered:
    """Where a model stands in the registry.

    Attributes:
        name: The registered model's name.
        version: Number of its version.
        alias: `champion`, or None if an older one keeps it.
        outcome: A sentence that says what became of the alias and why.
        is_new: Whether this call made the version.
    """

    name: str
    version: int
    alias: str | None
    outcome: str
    is_new: bool


def register(uri: str, run_id: str, model: Any, candidate: Candidate) -> Registered:
    """Register a model as a new version; once for the same weights, trial and test pictures.

    Args:
        uri: Tracking URI; the registry is there too.
        run_id: The MLflow run of the trial.
        model: A `keras.Model` of standard layers: (n, px, px, 3) uint8 in, (n, classes) probabilities out.
        candidate: What is known of it.

    Raises:
        TrackingError: The registry cannot be reached, or refuses.
        ValueError: The model holds layers that plain Keras cannot load, or does not fit example and classes;
            or its test loss is not finite.
    """
    if not math.isfinite(candidate.score.loss):
        raise ValueError(f"a champion needs a finite test loss; got {candidate.score.loss}")
    check_uri(uri)
    prepare_mlflow()
    with _told_as_tracking_errors(uri):
        registry = _Registry(open_client(uri), uri, candidate.name)
        digest = _digest(model, candidate)
        version = registry.version_of(digest)
        if version is not None and _OUTCOME in version.tags:
            return registry.found(version)
        return registry.add(version, digest, run_id, model, candidate)


class _Registry:
    """The versions of one registered model."""

    def __init__(self, client: "MlflowClient", uri: str, name: str) -> None:
        self._client = client
        self._is_server = uri.startswith(("http://", "https://"))
        self._name = name

    def version_of(self, digest: str) -> "ModelVersion | None":
        return next((version for version in self._versions() if version.tags.get(_DIGEST) == digest), None)

    def found(self, version: "ModelVersion") -> Registered:
        number, outcome = int(version.version), version.tags[_OUTCOME]
        return Registered(self._name, number, self._alias_of(number), outcome, is_new=False)

    def add(
        self,
        version: "ModelVersion | None",
        digest: str,
        run_id: str,
        model: Any,
        candidate: Candidate,
    ) -> Registered:
        """Add a version; where a killed call left one without an outcome, finish it."""
        wins, outcome = self._decide(digest, candidate)
        is_new = version is None
        if version is None:
            card = _with_outcome(candidate.card, outcome)
            logged = self._logged_model(digest, run_id, model, candidate, card)
            version = self._create_version(logged, run_id, _tags(digest, candidate), card)
        number = int(version.version)
        if wins:
            self._client.set_model_version_tag(self._name, str(number), _WAS_CHAMPION, "true")
            self._client.set_registered_model_alias(self._name, ALIAS, str(number))
        self._client.set_model_version_tag(self._name, str(number), _OUTCOME, outcome)
        return Registered(self._name, number, ALIAS if wins else None, outcome, is_new)

    def _decide(self, digest: str, candidate: Candidate) -> tuple[bool, str]:
        holder = self._alias_holder()
        rivals = [
            version
            for version in self._versions()
            if version.tags.get(_TEST) == candidate.test_fingerprint
            and version.tags.get(_DIGEST) != digest
            and (_WAS_CHAMPION in version.tags or int(version.version) == holder)
        ]
        loss = candidate.score.loss
        if not rivals:
            return (
                True,
                f"It became champion: no older champion was measured on these test pictures{_lost(holder)}.",
            )
        best = min(rivals, key=lambda version: float(version.tags[_LOSS]))
        old_loss = float(best.tags[_LOSS])
        than = f"version {best.version}, a champion on the same test pictures ({old_loss:.4f})"
        if loss < old_loss:
            return True, f"It became champion: its test loss ({loss:.4f}) is lower than that of {than}."
        return (
            False,
            f"It did not become champion: its test loss ({loss:.4f}) is not lower than that of {than}.",
        )

    def _logged_model(
        self, digest: str, run_id: str, model: Any, candidate: Candidate, card: str
    ) -> "LoggedModel":
        from mlflow.entities import LoggedModelOutput, Metric

        experiment_id = self._client.get_run(run_id).info.experiment_id
        logged = self._client.create_logged_model(
            experiment_id,
            name=f"{candidate.study}-trial-{candidate.trial}",
            source_run_id=run_id,
            tags={_DIGEST: digest},
            model_type="image-classifier",
        )
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "model"
            save_model(folder, model, candidate.example, candidate.classes, card, logged.model_id, run_id)
            self._client.log_model_artifacts(logged.model_id, str(folder))
        self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        values = {"test_loss": candidate.score.loss, "test_accuracy": candidate.score.accuracy}
        time_ms = logged.creation_timestamp
        metrics = [Metric(key, value, time_ms, 0, model_id=logged.model_id) for key, value in values.items()]
        self._client.log_batch(run_id, metrics=metrics)
        return self._client.finalize_logged_model(logged.model_id, "READY")

    def _create_version(
        self, logged: "LoggedModel", run_id: str, tags: dict[str, str], card: str
    ) -> "ModelVersion":
        self._make_name()
        # In a database MLflow looks `models:/<id>` up at its global address, which may be another one.
        source = f"models:/{logged.model_id}" if self._is_server else logged.artifact_location
        return self._client.create_model_version(
            self._name,
            source,
            run_id=run_id,
            tags=tags,
            description=_description(card),
            model_id=logged.model_id,
        )

    def _make_name(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _versions(self) -> "list[ModelVersion]":
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self._client.search_model_versions(f"name='{self._name}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _alias_holder(self) -> int | None:
        from mlflow.exceptions import MlflowException

        try:
            return int(self._client.get_model_version_by_alias(self._name, ALIAS).version)
        except MlflowException as error:
            # The first for a name without the alias, the second for a name that is not there.
            if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                return None
            raise

    def _alias_of(self, number: int) -> str | None:
        return ALIAS if self._alias_holder() == number else None


def _with_outcome(card: str, outcome: str) -> str:
    """Put the outcome below the card's title, where a reader looks first."""
    title, _, rest = card.partition("\n")
    return f"{title}\n\n> {outcome}\n{rest}"


def _description(card: str) -> str:
    if len(card) <= _MOST_LETTERS:
        return card
    end = "\n\n(The whole card is `card.md` among the model's files.)"
    return card[: _MOST_LETTERS - len(end)] + end


def _lost(holder: int | None) -> str:
    return "" if holder is None else f" (version {holder}, measured on others, was champion)"


def _tags(digest: str, candidate: Candidate) -> dict[str, str]:
    return {
        _DIGEST: digest,
        _TEST: candidate.test_fingerprint,
        _LOSS: repr(candidate.score.loss),
        "search.test_accuracy": repr(candidate.score.accuracy),
        "search.study": candidate.study,
        "search.trial": str(candidate.trial),
    }


def _digest(model: Any, candidate: Candidate) -> str:
    """Digest what makes a model another one: its weights, classes, trial and test pictures."""
    identity = [candidate.study, candidate.trial, list(candidate.classes), candidate.test_fingerprint]
    digest = hashlib.sha256(json.dumps(identity).encode())
    for weight in model.get_weights():
        digest.update(f"{weight.shape}{weight.dtype}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


@contextmanager
def _told_as_tracking_errors(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        reason = without_password(str(error)).strip().partition("\n")[0].rstrip(".")
        raise TrackingError(
            f"The model could not be registered at {without_password(uri)}: {reason}; run the command again."
        ) from error
