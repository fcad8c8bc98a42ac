from pathlib import Path

import pytest
from real_mlflow import Server, make_home, shared_server


@pytest.fixture
def server() -> Server:
    return shared_server()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path)
