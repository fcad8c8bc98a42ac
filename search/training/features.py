"""Features: what the frozen part of a network gives for one draw of the pictures, stored where that pays.

The pictures of a draw are stored as well: all backbones, and trials that train one whole, take the same.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from search.config.sections import Precision
from search.config.trial_config import TrialConfig
from search.data.draws import draw_of_epoch
from search.data.image_set import ImageSet
from search.model.augmentation import Augmenting
from search.store.entries import Store
from search.store.kinds import Kind
from search.store.mapped import give_back, new_map
from search.training.keys import Facts, draw_key, features_key
from search.training.sources import (
    PICTURES_A_PART,
    Computed,
    Making,
    Pictures,
    Source,
    Stored,
    bytes_of,
)
from search.training.workshop import FORWARD_BATCH, Way

_CODES = "features.npy"
_COST = "cost.json"
# The share of what the store may hold that all that a trial takes in turn may fill: else each draw would be
# dropped before it is read again. Features are worth more than the pictures that they come from.
_SHARES: dict[Kind, float] = {"features": 0.5, "draws": 0.25}


class Features:
    """Gives a stage its inputs: features on its way through the network, or pictures where it has none.

    What the way does not train has to hold the pretrained weights, as it does while the stage is trained.

    Both are stored only where there is room for all that the trial's epochs take in turn, and where they are
    read sooner than made, which is measured; features of the whole backbone always are.

    Args:
        store: Where they stay; None makes them anew each time.
        augmentation: The program that makes a draw.
        facts: What else decides them.
        precision: What pooled features are kept in. Those at a cut are float32, so that storing them changes
            no bit.
    """

    def __init__(
        self, store: Store | None, augmentation: Augmenting, facts: Facts, precision: Precision
    ) -> None:
        self._store, self._augmentation, self._facts = store, augmentation, facts
        self._precision = precision

    def of_epoch(self, way: Way, config: TrialConfig, images: ImageSet, epoch: int) -> Source:
        """Give the training pictures' inputs in the draw that an epoch, from 1, takes."""
        draw = draw_of_epoch(epoch - 1, config.n_draws, config.augment)
        pictures = Pictures(self._augmentation, images, "train", draw, config.strength)
        return self._of(way, config, pictures)

    def of_validation(self, way: Way, config: TrialConfig, images: ImageSet) -> Source:
        """Give the validation pictures' inputs."""
        return self._of(way, config, Pictures(self._augmentation, images, "validation", 0, 0.0))

    def of_some(self, way: Way, config: TrialConfig, images: ImageSet, positions: np.ndarray) -> np.ndarray:
        """Give the features of some training pictures as they are, at strength 0.

        Where all are asked for they are stored, since stage 1 takes the same. Of a part nothing more is
        computed than is asked for, and nothing is stored.

        Args:
            way: A way with a frozen part.
            config: A config with `augment` 0.
            images: The pictures.
            positions: `(n,) int`, positions within the training split, ascending.

        Returns:
            `(n, ...) float32`.
        """
        pictures = Pictures(self._augmentation, images, "train", 0, 0.0)
        source: Source | None = None
        if len(positions) == pictures.n_pictures:
            source = self._of(way, config, pictures)
        elif self._store is not None:
            source = self._store.read("features", self._key(way, config, pictures), _open)
        if source is None:
            assert way.frozen is not None, "a way without a frozen part has no features"
            source = Computed(pictures, len(positions), way.frozen, way.shape, self._precision_of(way))
        return source.take(positions)

    def _of(self, way: Way, config: TrialConfig, pictures: Pictures) -> Source:
        if way.frozen is None:
            return self._drawn(config, pictures)
        precision = self._precision_of(way)
        if self._store is None:
            return Computed(pictures, pictures.n_pictures, way.frozen, way.shape, precision)
        key = self._key(way, config, pictures)
        found = self._store.read("features", key, _open)
        if found is not None:
            return found
        drawn = self._drawn(config, pictures)
        computed = Computed(drawn, pictures.n_pictures, way.frozen, way.shape, precision)
        n_validation = len(pictures.images.rows["validation"])
        return self._kept("features", key, computed, way, _n_in_turn(config, pictures.images) + n_validation)

    def _precision_of(self, way: Way) -> Precision:
        return self._precision if way.name == "head" else "float32"

    def _drawn(self, config: TrialConfig, pictures: Pictures) -> Source:
        """Give the pictures of a draw; at strength 0 they are what the decoded array holds."""
        if pictures.strength == 0 or self._store is None:
            return pictures
        key = draw_key(pictures.draw, pictures.strength, pictures.images.draw_seed, self._facts)
        return self._kept("draws", key, pictures, self._augmentation, _n_in_turn(config, pictures.images))

    def _kept(self, kind: Kind, key: str, source: Making, maker: Way | Augmenting, n_in_turn: int) -> Source:
        """Give what is stored of a source, stored now where that pays; else the source itself.

        Args:
            kind: What it is.
            key: Its key.
            source: What makes it.
            maker: Remembers whether it pays.
            n_in_turn: How many pictures of such sources the trial takes in turn.
        """
        store = self._store
        assert store is not None, "without a store nothing is kept"
        found = store.read(kind, key, _open)
        if found is not None:
            return found
        most_bytes = _SHARES[kind] * store.unpinned_bytes()
        if bytes_of(source, n_in_turn) > most_bytes or not _pays(store, source, maker):
            return source
        with store.alone(kind, key):
            return store.read(kind, key, _open) or _build(store, kind, key, source)

    def _key(self, way: Way, config: TrialConfig, of: Pictures) -> str:
        facts = {**self._facts, "batch": FORWARD_BATCH}
        place = (of.split, of.draw, of.strength, of.images.draw_seed)
        return features_key(config.backbone, config.codes, way.name, *place, facts)


def _n_in_turn(config: TrialConfig, images: ImageSet) -> int:
    """Count the training pictures of all draws that a trial takes."""
    return len(images.rows["train"]) * (config.n_draws if config.augment > 0 else 1)


def _pays(store: Store, source: Making, maker: Way | Augmenting) -> bool:
    if maker.pays is None:
        maker.pays = _is_read_sooner(store.root, source)
    return maker.pays and store.make_room(bytes_of(source, source.n_pictures))


def _is_read_sooner(folder: Path, source: Making) -> bool:
    """Measure whether what a source makes is written and read again sooner than it is made."""
    positions = np.arange(min(FORWARD_BATCH, source.n_pictures))
    source.take(positions)  # compiles
    started = time.perf_counter()
    codes = source.take(positions)
    making_s = time.perf_counter() - started
    return _seconds_on_disk(folder, codes) < making_s


def _seconds_on_disk(folder: Path, codes: np.ndarray) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder) as file:
        np.save(file, codes)
        file.seek(0)
        np.load(file)
    return time.perf_counter() - started


def _build(store: Store, kind: Kind, key: str, source: Making) -> Stored:
    started, n = time.perf_counter(), source.n_pictures
    with store.build(kind, key, bytes_of(source, n)) as draft:
        codes = new_map(draft / _CODES, (n, *source.shape), source.dtype)
        for at in range(0, n, PICTURES_A_PART):
            positions = np.arange(at, min(n, at + PICTURES_A_PART))
            codes[positions] = source.take(positions)
            give_back(codes)
        codes.flush()
        (draft / _COST).write_text(json.dumps({"seconds": time.perf_counter() - started}))
        # Opened before others can drop it: what is mapped can be read for as long as it is needed. It was
        # made for who reads it now, so nothing is saved yet.
        return Stored(_open(draft).codes, computing_s=0.0)


def _open(entry: Path) -> Stored:
    cost = json.loads((entry / _COST).read_text())
    return Stored(np.load(entry / _CODES, mmap_mode="r"), computing_s=cost["seconds"])
