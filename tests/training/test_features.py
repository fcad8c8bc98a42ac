"""Features: stored, damaged, rounded; whatever happens to them, the numbers are those of the pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_oracle import run_segments

from search.data.image_set import ImageSet
from search.errors import SpaceError
from search.model.augmentation import Augmentation
from search.model.weights import SHAPES_FILE
from search.training.plain import run_plain
from search.training.segment import Segment
from search.training.sources import rounded
from search.training.trainer import Trainer


def losses(trainer: Trainer, config: object, owner: str | None = None) -> list[float]:
    return [epoch.metrics["val_loss"] for epoch in run_segments(trainer, config, owner)[0]]  # type: ignore[arg-type]


def files_of(home: Path, kind: str = "features") -> list[Path]:
    return sorted(home.glob(f"store/{kind}/*/features.npy"))


def test_each_draw_and_the_validation_pictures_are_stored_once(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.5, n_draws=2, head__epochs=5)
    first = losses(make_light_trainer(tmp_path), config)
    assert sorted(len(np.load(file)) for file in files_of(tmp_path)) == [24, 52, 52]
    before = {file: file.stat().st_mtime_ns for file in files_of(tmp_path)}
    # another trial on the same features, which agrees with itself where they have to be computed
    other = config.model_copy(update={"dropout": 0.4})
    second = losses(make_light_trainer(tmp_path), other)
    assert {file: file.stat().st_mtime_ns for file in files_of(tmp_path)} == before
    assert second == losses(make_light_trainer(tmp_path / "apart"), other) != first


def test_stored_features_are_read_where_they_lie(
    tmp_path: Path, images: ImageSet, make_light_trainer: Callable, make_config: Callable
) -> None:
    from search.training.features import Features

    trainer, config = make_light_trainer(tmp_path), make_config()
    bench = trainer.workshop.bench(config, SHAPES_FILE, 2)
    features = Features(trainer._store, trainer.workshop.augmentation, {}, "float32")
    for source in (features.of_epoch(bench.head, config, images, 1) for _ in range(2)):
        assert isinstance(source.codes, np.memmap)  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="read-only"):
            source.codes[0] = 0.0  # type: ignore[attr-defined]


def test_the_pictures_of_each_draw_are_stored_once_and_serve_every_depth(
    tmp_path: Path, images: ImageSet, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=1.0, augment=0.5, n_draws=2, head__epochs=2, tune__epochs=3)
    first = losses(make_light_trainer(tmp_path), config)
    drawn = files_of(tmp_path, "draws")
    rows, augmentation = images.rows["train"], Augmentation(images.draw_seed)
    made = [augmentation(images.images[rows], images.content[rows], draw, 0.5) for draw in (0, 1)]
    stored = [np.load(file) for file in drawn]
    assert all(any(np.array_equal(one, other) for other in stored) for one in made)
    assert len(stored) == 2
    before = {file: file.stat().st_mtime_ns for file in drawn}
    other = config.model_copy(update={"unfreeze": 0.5})
    second = losses(make_light_trainer(tmp_path), other)
    assert {file: file.stat().st_mtime_ns for file in files_of(tmp_path, "draws")} == before
    # made anew each time, the pictures are the same
    assert first == losses(make_light_trainer(tmp_path / "owned"), config, owner="study/1")
    assert second == losses(make_light_trainer(tmp_path / "owned"), other, owner="study/1")
    assert not files_of(tmp_path / "owned", "draws")


def test_pictures_that_are_not_changed_are_not_stored_again(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    losses(make_light_trainer(tmp_path), make_config(unfreeze=1.0, augment=0.0))
    assert not files_of(tmp_path, "draws")


@pytest.mark.parametrize("why", ["made sooner than read", "no room for all of them"])
def test_draws_are_made_each_time_where_storing_does_not_pay(
    why: str, tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=1.0, augment=0.5, n_draws=2)
    expected = losses(make_light_trainer(tmp_path / "stored"), config)
    # two draws of 52 pictures take 320 kB, of which a store may give a quarter
    limit = "1200kB" if why == "no room for all of them" else "20GB"
    trainer = make_light_trainer(tmp_path / "made", limit=limit)
    if why == "made sooner than read":
        trainer.workshop.augmentation.pays = False
    assert losses(trainer, config) == expected
    assert not files_of(tmp_path / "made", "draws")


def test_damaged_features_are_noticed_dropped_and_computed_again(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.5, n_draws=2)
    losses(make_light_trainer(tmp_path), config)
    whole = {file: file.read_bytes() for file in files_of(tmp_path)}
    one, two, three = whole
    middle = len(whole[one]) // 2
    one.write_bytes(whole[one][:middle] + bytes([whole[one][middle] ^ 0xFF]) + whole[one][middle + 1 :])
    two.write_bytes(whole[two][:middle])
    three.unlink()
    other = config.model_copy(update={"dropout": 0.4})
    found = losses(make_light_trainer(tmp_path), other)
    assert found == losses(make_light_trainer(tmp_path / "apart"), other)
    assert {file: file.read_bytes() for file in files_of(tmp_path)} == whole


def test_float16_features_are_half_as_large_and_have_numbers_of_their_own(
    tmp_path: Path, images: ImageSet, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.5, n_draws=2, head__epochs=4)
    plain = [epoch.metrics["val_loss"] for epoch in run_plain(config, images, SHAPES_FILE, "val_loss", 0)[0]]
    exact = losses(make_light_trainer(tmp_path), config)
    half = losses(make_light_trainer(tmp_path, features="float16"), config)
    assert exact == plain
    assert half != exact
    # A float16 has 11 bits, so a feature is off by at most 2 ** -12 of itself, which is 0.024 %; training
    # carries that on.
    np.testing.assert_allclose(half, plain, rtol=5e-4)
    sizes = {file.stat().st_size // len(np.load(file)) // 256 for file in files_of(tmp_path)}
    assert sizes == {2, 4}


def test_features_are_rounded_alike_where_they_are_not_stored(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.5, n_draws=2)
    stored = losses(make_light_trainer(tmp_path / "stored", features="float16"), config)
    owned = losses(make_light_trainer(tmp_path / "owned", features="float16"), config, owner="study/1")
    assert owned == stored
    assert not files_of(tmp_path / "owned")


def test_precisions_share_neither_features_nor_checkpoints(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    config = make_config(unfreeze=0.0)
    segment = Segment(config, "head", 2, 0, 2, "val_loss", 0)
    for precision in ("float32", "float16"):
        trainer = make_light_trainer(tmp_path, features=precision)
        assert trainer.run(segment).ran == {1, 2}
    assert len(files_of(tmp_path)) == 4


def test_features_that_float16_cannot_hold_are_refused_with_the_way_out() -> None:
    assert rounded(np.array([1.0, np.inf], np.float32), "float16").dtype == np.float16
    with pytest.raises(SpaceError, match=r"up to 65504, and these features reach 7e\+04; take float32"):
        rounded(np.array([1.0, 7e4], np.float32), "float16")
