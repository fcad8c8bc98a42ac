from pathlib import Path

import pytest
from real_mlflow import Server, make_home, shared_server
from real_postgres import Postgres, shared_postgres


@pytest.fixture
def server() -> Server:
    return shared_server()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path)


@pytest.fixture(scope="session")
def server_of_studies() -> Postgres:
    """A PostgreSQL server that a test may stop and start again."""
    return shared_postgres()
