"""Features: what the frozen backbone gives for one draw of the pictures, stored where reuse is on."""

import numpy as np

from search.config.trial_config import TrialConfig
from search.data.draws import draw_of_epoch
from search.data.image_set import ImageSet
from search.model.augmentation import Augmentation
from search.store.entries import Store
from search.training.keys import Facts, features_key
from search.training.workshop import FORWARD_BATCH, Bench

_FILE = "features.npy"

# Pictures held in memory at a time while features are computed
_PICTURES_A_PART = 512


class Features:
    """Computes the features of stage 1, or takes them from the store.

    Args:
        store: Where they stay; None computes them anew each time.
        augmentation: The program that makes a draw.
        facts: What else decides them.
    """

    def __init__(self, store: Store | None, augmentation: Augmentation, facts: Facts) -> None:
        self._store, self._augmentation, self._facts = store, augmentation, facts

    def of_epoch(self, bench: Bench, config: TrialConfig, images: ImageSet, epoch: int) -> np.ndarray:
        """Give the training pictures' features in the draw that an epoch, from 1, takes.

        Returns:
            `(n of train, c) float32`.
        """
        draw = draw_of_epoch(epoch - 1, config.n_draws, config.augment)
        return self._of(bench, config.backbone, images, "train", draw, config.augment)

    def of_validation(self, bench: Bench, config: TrialConfig, images: ImageSet) -> np.ndarray:
        """Give the validation pictures' features: `(n of validation, c) float32`."""
        return self._of(bench, config.backbone, images, "validation", 0, 0.0)

    def _of(
        self, bench: Bench, backbone: str, images: ImageSet, split: str, draw: int, strength: float
    ) -> np.ndarray:
        if self._store is None:
            return self._compute(bench, images, split, draw, strength)
        facts = {**self._facts, "batch": FORWARD_BATCH}
        key = features_key(backbone, split, draw, strength, images.draw_seed, facts)
        entry = self._store.find("features", key)
        if entry is None:
            with self._store.build("features", key) as draft:
                np.save(draft / _FILE, self._compute(bench, images, split, draw, strength))
            entry = self._store.find("features", key)
        assert entry is not None, "features were built and are gone"
        loaded: np.ndarray = np.load(entry / _FILE)
        return loaded

    def _compute(self, bench: Bench, images: ImageSet, split: str, draw: int, strength: float) -> np.ndarray:
        # They are those of the pretrained backbone, whatever stage 2 of another trial left in the network.
        bench.network.restore_backbone()
        rows = images.rows[split]
        parts = []
        for start in range(0, len(rows), _PICTURES_A_PART):
            part = rows[start : start + _PICTURES_A_PART]
            drawn = self._augmentation(images.images[part], images.content[part], draw, strength)
            parts.append(bench.features(drawn))
        return np.concatenate(parts)
