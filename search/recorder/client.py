"""The MLflow client: made for one address, without MLflow's global state, telemetry and print-outs.

Importing MLflow takes seconds, so it is imported when the first client is made, not before.
"""

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from search.errors import TrackingError
from search.urls import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DATABASES = ("sqlite", "postgresql", "mysql")
_SERVERS = ("http", "https")
# What the user has set himself stays. One quick retry: who sends has its own patience, and tells what went
# wrong in a sentence, where MLflow would print a traceback for each try.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def open_client(uri: str) -> "MlflowClient":
    """Make a client for tracking and registry at one address; nothing is asked of the address yet."""
    prepare_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def prepare_mlflow() -> None:
    """Make MLflow quiet; to be called before anything of it is imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def check_uri(uri: str) -> None:
    """Check the form of a tracking URI, without a connection and without importing MLflow.

    Raises:
        TrackingError: It is neither a database (sqlite, postgresql, mysql) nor a server (http, https).
    """
    scheme = uri.partition("://")[0].partition("+")[0].lower() if "://" in uri else ""
    if scheme in _SERVERS:
        _check_server(uri)
    elif scheme == "sqlite":
        _check_sqlite(uri)
    elif scheme not in _DATABASES:
        _refuse(uri, scheme)


def _refuse(uri: str, scheme: str) -> None:
    shown = repr(without_password(uri))
    if scheme == "file" or uri.startswith(("file:", ".", "/")):
        raise TrackingError(
            f"The tracking URI {shown} is a folder, and MLflow keeps no runs in folders any more; "
            "write sqlite:////path/to/mlflow.db."
        )
    raise TrackingError(
        "The tracking URI must start with sqlite:///, postgresql://, mysql://, http:// or https://; "
        f"got {shown}."
    )


def _check_server(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host = False
    if not has_host:
        raise TrackingError(
            f"The tracking URI {without_password(uri)!r} names no host and port; write http://host:5000."
        )


def _check_sqlite(uri: str) -> None:
    path = Path(urlsplit(uri).path[1:])
    if not path.name or path.name == ":memory:":
        raise TrackingError(f"The tracking URI {uri!r} names no file; write sqlite:////path/to/mlflow.db.")
    if not path.parent.is_dir():
        raise TrackingError(
            f"The tracking URI {uri!r} names a file in {str(path.parent)!r}, which is no folder; "
            "make it first."
        )
    if path.is_file() and _holds_optuna_studies(path):
        raise TrackingError(
            f"The tracking URI {uri!r} is a database of Optuna studies, and the two cannot share one; "
            "name another file."
        )


def _holds_optuna_studies(path: Path) -> bool:
    question = "select count(*) from sqlite_master where type = 'table' and name = 'study_directions'"
    # Not read-only: what a killed process left half-written is rolled back by the first reader.
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)
    try:
        return bool(connection.execute(question).fetchone()[0])
    except sqlite3.OperationalError:
        # Locked, say: a database in use is not refused.
        return False
    except sqlite3.DatabaseError as error:
        raise TrackingError(f"The tracking database {str(path)!r} cannot be read: {error}.") from error
    finally:
        connection.close()
