import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import pytest

from search.model.backbones import backbone
from search.model.build import build_backbone


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """The real ImageNet weights, where this machine has them."""
    beside = Path(__file__).parents[2].parent / "shared" / "weights"
    folder = Path(os.environ.get("SEARCH_WEIGHTS", beside))
    if not folder.is_dir():
        pytest.skip(f"no folder of weights at {folder}; name one in SEARCH_WEIGHTS")
    return folder


@pytest.fixture(scope="package")
def random_backbone() -> Callable[[str], keras.Model]:
    """Builds a backbone with random weights at its smallest legal size, each once; leave it as it is."""

    @cache
    def build(name: str) -> keras.Model:
        row = backbone(name)
        return build_backbone(row, row.smallest_px, None, seed=0)

    return build
