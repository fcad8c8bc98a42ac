"""Features: what the frozen part of a network gives for one draw of the pictures, stored where that pays."""

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from search.config.sections import Precision
from search.config.trial_config import TrialConfig
from search.data.draws import draw_of_epoch
from search.data.image_set import ImageSet
from search.model.augmentation import Augmentation
from search.store.entries import Store
from search.training.keys import Facts, features_key
from search.training.sources import PICTURES_A_PART, Computed, Pictures, Source, Stored
from search.training.workshop import FORWARD_BATCH, Way

_CODES = "features.npy"
_COST = "cost.json"


class Features:
    """Gives a stage its inputs: features on its way through the network, or pictures where it has none.

    What the way does not train has to hold the pretrained weights, as it does while the stage is trained.

    Features are stored only if all draws that the trial's epochs take in turn, and the validation pictures,
    fit into half of what the store may hold: else each draw would be dropped before it is read again. Those
    at a cut are measured as well: what is computed as soon as read is not stored.

    Args:
        store: Where they stay; None computes them anew each time.
        augmentation: The program that makes a draw.
        facts: What else decides them.
        precision: What pooled features are kept in. Those at a cut are float32, so that storing them changes
            no bit.
    """

    def __init__(
        self, store: Store | None, augmentation: Augmentation, facts: Facts, precision: Precision
    ) -> None:
        self._store, self._augmentation, self._facts = store, augmentation, facts
        self._precision = precision

    def of_epoch(self, way: Way, config: TrialConfig, images: ImageSet, epoch: int) -> Source:
        """Give the training pictures' inputs in the draw that an epoch, from 1, takes."""
        draw = draw_of_epoch(epoch - 1, config.n_draws, config.augment)
        pictures = Pictures(self._augmentation, images, "train", draw, config.augment)
        return self._of(way, config, pictures)

    def of_validation(self, way: Way, config: TrialConfig, images: ImageSet) -> Source:
        """Give the validation pictures' inputs."""
        return self._of(way, config, Pictures(self._augmentation, images, "validation", 0, 0.0))

    def _of(self, way: Way, config: TrialConfig, pictures: Pictures) -> Source:
        if way.frozen is None:
            return pictures
        computed = Computed(
            pictures, way.frozen, way.shape, self._precision if way.name == "head" else "float32"
        )
        if self._store is None:
            return computed
        key = self._key(way, config, pictures)
        found = self._store.read("features", key, _open)
        if found is None and self._is_worth_storing(self._store, way, config, computed):
            with self._store.alone("features", key):
                found = self._store.read("features", key, _open) or _build(self._store, key, computed)
        return found or computed

    def _key(self, way: Way, config: TrialConfig, of: Pictures) -> str:
        facts = {**self._facts, "batch": FORWARD_BATCH}
        place = (of.split, of.draw, of.strength, of.images.draw_seed)
        return features_key(config.backbone, way.name, *place, facts)

    def _is_worth_storing(self, store: Store, way: Way, config: TrialConfig, computed: Computed) -> bool:
        rows = computed.pictures.images.rows
        n_draws = config.n_draws if config.augment > 0 else 1
        n_pictures = len(rows["train"]) * n_draws + len(rows["validation"])
        if 2 * n_pictures * computed.bytes_a_picture > store.unpinned_bytes():
            return False
        if way.pays is None:
            way.pays = _is_read_sooner(store.root, computed)
        return way.pays and store.make_room(computed.n_pictures * computed.bytes_a_picture)


def _is_read_sooner(folder: Path, computed: Computed) -> bool:
    """Measure whether features are written and read again sooner than they are computed."""
    positions = np.arange(min(FORWARD_BATCH, computed.n_pictures))
    computed.take(positions)  # compiles
    started = time.perf_counter()
    codes = computed.take(positions)
    computing_s = time.perf_counter() - started
    return _seconds_on_disk(folder, codes) < computing_s


def _seconds_on_disk(folder: Path, codes: np.ndarray) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder) as file:
        np.save(file, codes)
        file.seek(0)
        np.load(file)
    return time.perf_counter() - started


def _build(store: Store, key: str, computed: Computed) -> Stored:
    started, n = time.perf_counter(), computed.n_pictures
    with store.build("features", key) as draft:
        codes = np.lib.format.open_memmap(
            draft / _CODES, mode="w+", dtype=np.dtype(computed.precision), shape=(n, *computed.shape)
        )
        for at in range(0, n, PICTURES_A_PART):
            positions = np.arange(at, min(n, at + PICTURES_A_PART))
            codes[positions] = computed.take(positions)
        codes.flush()
        (draft / _COST).write_text(json.dumps({"seconds": time.perf_counter() - started}))
        # Opened before others can drop it: what is mapped can be read for as long as it is needed. It was
        # computed for who reads it now, so nothing is saved yet.
        return Stored(_open(draft).codes, computing_s=0.0)


def _open(entry: Path) -> Stored:
    cost = json.loads((entry / _COST).read_text())
    return Stored(np.load(entry / _CODES, mmap_mode="r"), computing_s=cost["seconds"])
