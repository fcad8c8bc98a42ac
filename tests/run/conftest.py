"""The command on a few drawn pictures."""

from pathlib import Path

import pytest
from command import RECIPE, SPACE, TINY, Command

from search.data.sample import draw_sample


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures of 'two' kinds") / "small"
    draw_sample(folder, n_per_class=40)
    return folder


@pytest.fixture(scope="session")
def small_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory.mktemp("space"), SPACE)


@pytest.fixture(scope="session")
def tiny_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory.mktemp("tiny"), TINY)


@pytest.fixture
def command(small_data: Path, small_space: Path, tmp_path: Path) -> Command:
    return Command(small_space, small_data, tmp_path / "home")


@pytest.fixture
def tiny(small_data: Path, tiny_space: Path, tmp_path: Path) -> Command:
    """The same with a tiny network in place of the sample's."""
    return Command(tiny_space, small_data, tmp_path / "home")


def _written(folder: Path, text: str) -> Path:
    (folder / "short.yaml").write_text(RECIPE)
    space = folder / "small.yaml"
    space.write_text(text.replace("[short]", f"[{folder / 'short.yaml'}]"))
    return space
