"""What tests of several rooms share: where the real pictures and weights are, if they are there."""

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[2] / "shared"


def _folder(variable: str, name: str) -> Path:
    place = Path(os.environ.get(variable) or _SHARED / name)
    if not place.is_dir():
        pytest.skip(f"needs {place}: set {variable}")
    return place


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """The folder of real weights files."""
    return _folder("SEARCH_WEIGHTS", "weights")


@pytest.fixture(scope="session")
def photographs_folder() -> Path:
    """The folder of real photographs, train and validation, cats and dogs."""
    return _folder("SEARCH_DATA", "data") / "cats_dogs"
