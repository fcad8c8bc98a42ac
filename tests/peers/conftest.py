"""Small pictures for the peers."""

from pathlib import Path

import pytest
from PIL import Image

from peers.setting import Setting
from search.data.image_set import ImageSet


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 120 pictures whose colour tells the class."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(120):
        label = ("red", "blue")[number % 2]
        (folder / label).mkdir(exist_ok=True)
        colour = (200, number, 30) if label == "red" else (30, number, 200)
        Image.new("RGB", (32, 32), colour).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def small_images(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Its pictures, decoded."""
    home = str(tmp_path_factory.mktemp("decoded"))
    return Setting("cats_dogs_cpu", (), str(small_folder), home, home, 0, 60.0, 0.0).images(32)
