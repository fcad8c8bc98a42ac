"""Small picture sets and trainers for the training room."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.config.sections import Reuse
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from search.model.weights import SHAPES_FILE
from search.store.entries import Store
from search.training.rows import Rows
from search.training.trainer import Trainer
from search.training.workshop import Workshop

MakeTrainer = Callable[..., Trainer]
MakeConfig = Callable[..., TrialConfig]


def make_images(n_train: int = 52, n_validation: int = 24, n_test: int = 12, px: int = 32) -> ImageSet:
    """Noise whose colour tells the class, so that a classifier can learn it."""
    rng = np.random.default_rng(0)
    n = n_train + n_validation + n_test
    labels = np.arange(n) % 2
    images = rng.integers(0, 100, (n, px, px, 3))
    images[np.arange(n), :, :, 2 * labels] += 150
    ends = np.cumsum([n_train, n_validation, n_test])
    return ImageSet(
        key="made for tests",
        images=images.astype(np.uint8),
        labels=labels.astype(np.int64),
        content=np.arange(n, dtype=np.uint64) * np.uint64(7919),
        rows={
            "train": np.arange(ends[0]),
            "validation": np.arange(ends[0], ends[1]),
            "test": np.arange(ends[1], ends[2]),
        },
        classes=("red", "blue"),
        draw_seed=0,
    )


@pytest.fixture(scope="session")
def images() -> ImageSet:
    return make_images()


@pytest.fixture
def make_trainer(images: ImageSet) -> MakeTrainer:
    """Make a trainer with a store of its own; `features=...` as in the space.

    Its network is that of Keras' own layers, unless it is to fold them, so that numbers are equal to the bit.
    """

    def make(home: Path, **reuse: object) -> Trainer:
        settings = Reuse.model_validate({"fold_batch_norm": False, **reuse})
        store, rows = Store(home / "store", settings.limit_bytes), Rows(home / "epochs")
        return Trainer(store, rows, lambda px: images, lambda config: SHAPES_FILE, 0, reuse=settings)

    return make


@pytest.fixture(scope="session")
def workshop() -> Workshop:
    """Networks and programs for tests that are about neither."""
    return Workshop(draw_seed=0, fold=False)


@pytest.fixture
def make_light_trainer(make_trainer: MakeTrainer, workshop: Workshop) -> MakeTrainer:
    """Make a trainer with a store of its own that finds its networks built."""

    def make(home: Path, **reuse: object) -> Trainer:
        trainer = make_trainer(home, **reuse)
        trainer.workshop = workshop
        # these pictures are so small that what is sooner, reading or making them, changes from time to time
        workshop.augmentation.pays = True
        return trainer

    return make


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """Make a small trial, 2 + 2 epochs of mobilenet_025 at 32 px; `head__lr=...` sets `head.lr`."""

    def make(**settings: object) -> TrialConfig:
        values = {
            "backbone": "mobilenet_025",
            "weights": "shapes",
            "image_size": 32,
            "batch_size": 16,
            "unfreeze": 0.5,
            "head.epochs": 2,
            "tune.epochs": 2,
            "head.lr": 3e-3,
            "tune.lr_ratio": 0.3,
        }
        return TrialConfig.model_validate(
            values | {key.replace("__", "."): settings[key] for key in settings}
        )

    return make
