"""Features: what the frozen backbone gives for one draw of the pictures, stored where reuse is on."""

from pathlib import Path

import numpy as np

from search.config.space import Precision
from search.config.trial_config import TrialConfig
from search.data.draws import draw_of_epoch
from search.data.image_set import ImageSet
from search.model.augmentation import Augmentation
from search.store.entries import Store
from search.training.keys import Facts, features_key
from search.training.sources import PICTURES_A_PART, Computed, Pictures, Source, Stored
from search.training.workshop import FORWARD_BATCH, Bench

_FILE = "features.npy"


class Features:
    """Gives the features of stage 1, from the store where they are there.

    The network's backbone has to hold the pretrained weights, as it does while a stage 1 is trained.

    Features are stored only if all draws that the trial's epochs take in turn, and the validation pictures,
    fit into half of what the store may hold: else each draw would be dropped before it is read again.

    Args:
        store: Where they stay; None computes them anew each time.
        augmentation: The program that makes a draw.
        facts: What else decides them.
        precision: What they are kept in.
    """

    def __init__(
        self, store: Store | None, augmentation: Augmentation, facts: Facts, precision: Precision
    ) -> None:
        self._store, self._augmentation, self._facts = store, augmentation, facts
        self._precision = precision

    def of_epoch(self, bench: Bench, config: TrialConfig, images: ImageSet, epoch: int) -> Source:
        """Give the training pictures' features in the draw that an epoch, from 1, takes."""
        draw = draw_of_epoch(epoch - 1, config.n_draws, config.augment)
        pictures = Pictures(self._augmentation, images, "train", draw, config.augment)
        return self._of(config, self._computed(bench, pictures))

    def of_validation(self, bench: Bench, config: TrialConfig, images: ImageSet) -> Source:
        """Give the validation pictures' features."""
        pictures = Pictures(self._augmentation, images, "validation", 0, 0.0)
        return self._of(config, self._computed(bench, pictures))

    def _computed(self, bench: Bench, pictures: Pictures) -> Computed:
        shape = tuple(bench.network.features.output_shape[1:])
        return Computed(pictures, bench.features, shape, self._precision)

    def _of(self, config: TrialConfig, computed: Computed) -> Source:
        if self._store is None:
            return computed
        key = self._key(config.backbone, computed.pictures)
        found = self._store.read("features", key, _mapped)
        if found is None and self._fits(self._store, config, computed):
            with self._store.alone("features", key):
                found = self._store.read("features", key, _mapped)
                found = _build(self._store, key, computed) if found is None else found
        return computed if found is None else Stored(found)

    def _fits(self, store: Store, config: TrialConfig, computed: Computed) -> bool:
        of, rows = computed.pictures, computed.pictures.images.rows
        n_draws = config.n_draws if config.augment > 0 else 1
        n_pictures = len(rows["train"]) * n_draws + len(rows["validation"])
        if 2 * n_pictures * computed.bytes_a_picture > store.unpinned_bytes():
            return False
        return store.make_room(len(rows[of.split]) * computed.bytes_a_picture)

    def _key(self, backbone: str, of: Pictures) -> str:
        facts = {**self._facts, "batch": FORWARD_BATCH}
        return features_key(backbone, of.split, of.draw, of.strength, of.images.draw_seed, facts)


def _build(store: Store, key: str, computed: Computed) -> np.ndarray:
    n = len(computed.pictures.images.rows[computed.pictures.split])
    with store.build("features", key) as draft:
        codes = np.lib.format.open_memmap(
            draft / _FILE, mode="w+", dtype=np.dtype(computed.precision), shape=(n, *computed.shape)
        )
        for at in range(0, n, PICTURES_A_PART):
            positions = np.arange(at, min(n, at + PICTURES_A_PART))
            codes[positions] = computed.take(positions)
        codes.flush()
        # Mapped before others can drop it: what is mapped can be read for as long as it is needed.
        return _mapped(draft)


def _mapped(entry: Path) -> np.ndarray:
    codes: np.ndarray = np.load(entry / _FILE, mmap_mode="r")
    return codes
