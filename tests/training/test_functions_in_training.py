"""Functions of the user's own in training: reused where that is promised, and equal to `plain`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_oracle import run_segments

from search.data.image_set import ImageSet
from search.model.weights import SHAPES_FILE
from search.training.own_functions import ingredients, why_not_reused
from search.training.plain import run_plain

MODULE = """\
import numpy as np
import keras
from near import AMOUNT

def seeded(picture, seed):
    noise = np.random.default_rng(seed).integers(0, AMOUNT, picture.shape)
    return (picture // 2 + noise).astype(np.uint8)

def unseeded(picture):
    return seeded(picture, None)

def halves(pictures):
    return pictures / 255.0 - 0.5
"""


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Write `mine.py` and `near.py`, as if in a new process."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text: str = MODULE, amount: int = 100) -> None:
        for name in ("mine", "near"):
            sys.modules.pop(name, None)
        (folder / "mine.py").write_text(text)
        (folder / "near.py").write_text(f"AMOUNT = {amount}\n")

    write()
    yield write
    for name in ("mine", "near"):
        sys.modules.pop(name, None)


def losses(trainer: object, config: object, owner: str | None = None) -> list[float]:
    return [epoch.metrics["val_loss"] for epoch in run_segments(trainer, config, owner)[0]]  # type: ignore[arg-type]


def entries(home: Path, kind: str) -> set[str]:
    return {place.name for place in (home / "store" / kind).glob("[0-9a-f]*")}


def test_a_seeded_augmentor_and_a_preprocessing_function_equal_plain_stored_or_not(
    tmp_path: Path,
    images: ImageSet,
    make_light_trainer: Callable,
    make_config: Callable,
    write_module: Callable,
) -> None:
    config = make_config(augment=0.5, n_draws=2, augmentor="mine:seeded", preprocess="mine:halves")
    assert why_not_reused(config) is None
    plain = [epoch.metrics["val_loss"] for epoch in run_plain(config, images, SHAPES_FILE, "val_loss", 0)[0]]
    trainer = make_light_trainer(tmp_path)
    trainer.workshop.augmentation_of(config).pays = True
    assert losses(trainer, config) == plain
    # pooled features and those at the cut, of two draws and of the validation pictures; and the two draws
    assert (len(entries(tmp_path, "features")), len(entries(tmp_path, "draws"))) == (6, 2)
    assert losses(make_light_trainer(tmp_path / "owned"), config, owner="study/1") == plain
    assert not entries(tmp_path / "owned", "features")
    built_in = losses(make_light_trainer(tmp_path / "b"), make_config(augment=0.5, n_draws=2))
    assert not set(built_in) & set(plain)


def test_any_strength_above_0_is_the_same_trial_and_shares_its_checkpoints(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, write_module: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.5, augmentor="mine:seeded")
    trainer = make_light_trainer(tmp_path)
    trainer.workshop.augmentation_of(config).pays = True
    first = losses(trainer, config)
    before = entries(tmp_path, "checkpoints")
    assert losses(trainer, config.model_copy(update={"augment": 1.0})) == first
    assert entries(tmp_path, "checkpoints") == before


def test_an_augmentor_that_is_not_called_is_in_no_key(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, write_module: Callable
) -> None:
    trainer = make_light_trainer(tmp_path)
    found = losses(trainer, make_config(unfreeze=0.0))
    before = entries(tmp_path, "checkpoints") | entries(tmp_path, "features")
    assert losses(trainer, make_config(unfreeze=0.0, augmentor="mine:unseeded")) == found
    assert entries(tmp_path, "checkpoints") | entries(tmp_path, "features") == before
    # the features of the validation pictures are those of the trial with another augmentor
    losses(trainer, make_config(unfreeze=0.0, n_draws=1, augment=0.5, augmentor="mine:seeded"))
    assert len(entries(tmp_path, "features")) == 3


def test_what_cannot_be_seeded_works_and_is_named_as_not_reused(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, write_module: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.5, augmentor="mine:unseeded")
    why = why_not_reused(config)
    assert why is not None
    assert why.startswith("augmentor: mine:unseeded cannot be seeded (it has no parameter seed or rng")
    first = losses(make_light_trainer(tmp_path), config, owner="study/1")
    assert losses(make_light_trainer(tmp_path), config, owner="study/2") != first
    # what one trial came to is its own for ever
    assert losses(make_light_trainer(tmp_path), config, owner="study/1") == first
    assert not entries(tmp_path, "features")
    assert not entries(tmp_path, "draws")
    assert why_not_reused(config.model_copy(update={"augment": 0.0})) is None


def test_a_function_without_a_source_is_named_as_not_reused(make_config: Callable) -> None:
    why = why_not_reused(make_config(preprocess="math:sqrt"))
    assert why == "preprocess: the source of math:sqrt cannot be read, so no trial that calls it is reused"


def test_another_source_or_another_one_beside_it_is_another_trial(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable, write_module: Callable
) -> None:
    config = make_config(unfreeze=0.0, augment=0.5, augmentor="mine:seeded", preprocess="mine:halves")
    made_of = [ingredients(config)]
    write_module(amount=50)
    made_of.append(ingredients(config))
    write_module(MODULE.replace("- 0.5", "- 0.4"))
    made_of.append(ingredients(config))
    assert len({str(one) for one in made_of}) == 3
    assert set(made_of[0]) == {"augmentor", "preprocess"}
    imports = made_of[0]["augmentor"]["imports"]
    assert set(imports) == {"numpy", "keras", "mine", "near"}
    assert made_of[0]["augmentor"]["name"] == "mine:seeded"
    assert ingredients(make_config(augmentor="mine:seeded")) == {}


def test_flips_and_rotations_alone_share_no_draw_with_the_whole_augmentation(
    tmp_path: Path, make_light_trainer: Callable, make_config: Callable
) -> None:
    settings = {"unfreeze": 0.0, "augment": 1.0, "n_draws": 1}
    found = [
        losses(make_light_trainer(tmp_path), make_config(augmentor=augmentor, **settings))
        for augmentor in ("builtin", "flip_rotation")
    ]
    assert found[0] != found[1]
    # a draw each, and the validation pictures once for both
    assert len(entries(tmp_path, "features")) == 3
