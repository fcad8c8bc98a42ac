"""The command on a few drawn pictures."""

from pathlib import Path

import pytest
from command import RECIPE, SPACE, Command

from search.data.sample import draw_sample


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures of 'two' kinds") / "small"
    draw_sample(folder, n_per_class=40)
    return folder


@pytest.fixture(scope="session")
def small_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("space")
    (folder / "short.yaml").write_text(RECIPE)
    space = folder / "small.yaml"
    space.write_text(SPACE.replace("[short]", f"[{folder / 'short.yaml'}]"))
    return space


@pytest.fixture
def command(small_data: Path, small_space: Path, tmp_path: Path) -> Command:
    return Command(small_space, small_data, tmp_path / "home")
