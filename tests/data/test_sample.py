"""The drawn cats and dogs."""

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import search
import search.data.sample
from search.data.sample import draw_animal, draw_sample
from search.data.sample_scene import SIDE_PX
from search.seeds import seed_for

N = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("drawn") / "sample"
    draw_sample(place, n_per_class=N)
    return place


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.png"))}


def pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(file), np.float64) for file in sorted(folder.glob("*.png"))])


def test_the_folder_holds_cats_and_dogs_as_rgb_pictures_and_nothing_else(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["cats", "dogs"]
    for name in ("cats", "dogs"):
        files = sorted((folder / name).iterdir())
        assert len(files) == N
        for file in files:
            with Image.open(file) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "RGB", (SIDE_PX, SIDE_PX))


def test_the_same_seed_draws_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    draw_sample(tmp_path / "again", n_per_class=N)
    assert bytes_of(tmp_path / "again") == bytes_of(folder)


def test_another_seed_draws_other_pictures(folder: Path, tmp_path: Path) -> None:
    draw_sample(tmp_path / "other", seed=1, n_per_class=5)
    assert not set(bytes_of(tmp_path / "other").values()) & set(bytes_of(folder).values())


def test_a_larger_sample_begins_with_the_smaller_one(folder: Path, tmp_path: Path) -> None:
    draw_sample(tmp_path / "small", n_per_class=3)
    assert bytes_of(tmp_path / "small").items() <= bytes_of(folder).items()


def test_no_two_pictures_are_the_same() -> None:
    drawn = [
        hashlib.sha256(draw_animal(kind, seed_for(0, f"sample {kind}", index)).tobytes()).digest()
        for kind, index in itertools.product(("cat", "dog"), range(200))
    ]
    assert len(set(drawn)) == 400


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    draw_sample(tmp_path, n_per_class=2)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_missing_parents_are_made(tmp_path: Path) -> None:
    draw_sample(tmp_path / "home" / "data" / "sample", n_per_class=1)
    assert len(bytes_of(tmp_path / "home" / "data" / "sample")) == 2


def test_a_drawing_that_is_broken_off_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: Iterator[int] = iter(range(3))

    def seed_or_interrupt(seed: int, purpose: str, index: int) -> int:
        try:
            return next(seeds)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(search.data.sample, "seed_for", seed_or_interrupt)
    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "sample", n_per_class=5)
    assert list(tmp_path.iterdir()) == []


def test_who_comes_second_keeps_what_the_first_one_drew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sample"

    def seed_while_another_one_publishes(seed: int, purpose: str, index: int) -> int:
        (folder / "cats").mkdir(parents=True, exist_ok=True)
        return seed_for(seed, purpose, index)

    monkeypatch.setattr(search.data.sample, "seed_for", seed_while_another_one_publishes)
    draw_sample(folder, n_per_class=1)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]
    assert [path.name for path in folder.iterdir()] == ["cats"]


def test_colour_does_not_give_the_class_away(tmp_path: Path) -> None:
    draw_sample(tmp_path / "sample", n_per_class=150)
    cats, dogs = (pixels(tmp_path / "sample" / name).mean((1, 2)) for name in ("cats", "dogs"))
    error = np.sqrt(cats.var(0) / len(cats) + dogs.var(0) / len(dogs))
    assert (np.abs(cats.mean(0) - dogs.mean(0)) < 4 * error).all()


def test_the_packaged_weights_take_at_most_two_megabytes() -> None:
    weights = Path(search.__file__).parent / "model/weights/mobilenet_025_shapes.weights.h5"
    assert 0 < weights.stat().st_size <= 2_000_000
