"""The trial that all peers train: the stages, what they freeze, the course of the learning rate."""

from pathlib import Path

import keras
import numpy as np
import pytest

from peers.setting import Setting
from peers.two_stages import Pictures, TwoStages, augmentation
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet
from search.training.schedule import learning_rates

SETTINGS = {
    "backbone": "mobilenet_025", "weights": "shapes", "image_size": 32, "batch_size": 16, "unfreeze": 0.5,
    "head.lr": 3e-3, "head.epochs": 2, "tune.epochs": 2, "tune.lr_schedule": "cosine", "tune.warmup": 0.25,
    "augment": 0.5,
}  # fmt: skip


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.rates, self.losses = list[float](), list[float]()
        self.weights = list[list[np.ndarray]]()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.rates.append(float(np.asarray(self.model.optimizer.learning_rate)))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:  # type: ignore[override]
        self.losses.append(logs["val_loss"])
        self.weights.append(self.model.get_weights())


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, small_images: ImageSet) -> tuple[TwoStages, _Watch, list]:
    """A trained trial, what was seen of it, and its weights before."""
    home = tmp_path_factory.mktemp("home")
    setting = Setting("cats_dogs_cpu", (), "data", str(home), str(home), 0, 60.0, 0.0)
    made = TwoStages(TrialConfig.model_validate(SETTINGS), setting, Pictures(small_images, 0))
    before, watch = made.model.get_weights(), _Watch()
    made.fit([watch])
    return made, watch, before


def test_each_step_has_the_learning_rate_that_this_program_gives_it(trial: tuple) -> None:
    made, watch, _ = trial
    steps = len(watch.rates) // 4
    expected = [learning_rates(made.config, stage, e, steps) for stage in ("head", "tune") for e in (1, 2)]
    np.testing.assert_allclose(watch.rates, np.concatenate(expected), rtol=1e-6)


def test_stage_1_trains_the_classifier_only_and_stage_2_no_batch_normalization(trial: tuple) -> None:
    made, watch, before = trial
    paths = [weight.path for weight in made.model.weights]

    def moved(now: list[np.ndarray], then: list[np.ndarray]) -> set[str]:
        return {path for path, a, b in zip(paths, now, then, strict=True) if not np.array_equal(a, b)}

    def of_backbone(found: set[str]) -> set[str]:
        return {path for path in found if "classifier" not in path and "dropout" not in path}

    assert not of_backbone(moved(watch.weights[1], before))
    tuned = of_backbone(moved(watch.weights[3], before))
    assert tuned
    assert not [path for path in tuned if "bn" in path or "gamma" in path or "moving" in path]
    # half of the blocks, from the top
    assert not any("conv1/kernel" in path for path in tuned)


def test_trained_epoch_by_epoch_it_is_the_same_trial(small_images: ImageSet, tmp_path: Path) -> None:
    setting = Setting("cats_dogs_cpu", (), "data", str(tmp_path), str(tmp_path), 0, 60.0, 0.0)
    config = TrialConfig.model_validate({**SETTINGS, "augment": 0.0})
    at_once = TwoStages(config, setting, Pictures(small_images, 0))
    watch = _Watch()
    at_once.fit([watch])
    losses = list(TwoStages(config, setting, Pictures(small_images, 0)).train())
    np.testing.assert_allclose(losses, watch.losses, rtol=1e-5)


def test_the_model_is_left_with_the_best_epoch_of_its_last_stage(trial: tuple) -> None:
    made, watch, _ = trial
    best = watch.weights[2:][int(np.argmin(watch.losses[2:]))]
    kept = dict(zip([weight.path for weight in made.model.weights], made.model.get_weights(), strict=True))
    wanted = dict(zip(kept, best, strict=True))
    assert all(np.array_equal(kept[path], wanted[path]) for path in kept if "seed" not in path)


def test_augmentation_changes_pictures_by_its_strength_and_keeps_their_form() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3)).astype("float32")
    weak, strong = (np.asarray(augmentation(s, 0)(pictures, training=True)) for s in (0.1, 1.0))
    assert weak.shape == strong.shape == pictures.shape
    assert 0 < np.abs(weak - pictures).mean() < np.abs(strong - pictures).mean()
