"""Setting: what all arms of a comparison share, sent to each process as JSON."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from search.config.read import read_space
from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.data.image_set import ImageSet, image_set
from search.data.split import SplitRule
from search.data.table import read_pictures
from search.model.backbones import BACKBONES, backbone
from search.model.weights import find_weights
from search.store.entries import Store


@dataclass(frozen=True)
class Setting:
    """One run of one arm.

    Attributes:
        study: The space: a name or a YAML file.
        assignments: What `--set` changes of it.
        data: Folder of pictures.
        weights: Folder of weights files.
        home: An empty folder for all that the arm writes.
        seed: Seed of whatever the arm draws.
        seconds: How long the arm may run.
        started: When its process was started, seconds of the clock `time.time`.
    """

    study: str
    assignments: tuple[str, ...]
    data: str
    weights: str
    home: str
    seed: int
    seconds: float
    started: float

    @classmethod
    def load(cls, text: str) -> "Setting":
        """Read what `dump` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "assignments": tuple(fields["assignments"])})

    def dump(self) -> str:
        """Write all fields as JSON."""
        return json.dumps(asdict(self))

    @cached_property
    def space(self) -> Space:
        """The space that all arms search."""
        return read_space(self.study, self.assignments, BACKBONES).space

    @property
    def first_points(self) -> list[dict[str, object]]:
        """The points that all arms try first, every dimension of the space in each."""
        return self.space.starts

    @property
    def most_epochs(self) -> int:
        """The most epochs that a trial can have, both stages together."""
        dimensions = self.space.dimensions
        return sum(int(dimensions[key].ends()[1]) for key in ("head.epochs", "tune.epochs"))

    def images(self, image_size_px: int) -> ImageSet:
        """Give the pictures, decoded once and memory-mapped."""
        split, store = self.space.data.split, Store(Path(self.home) / "pictures")
        data = read_pictures(
            Path(self.data), SplitRule(split.validation, split.test, split.seed), store=store
        )
        return image_set(data, image_size_px, self.space.data.draw_seed, store)

    def weights_of(self, config: TrialConfig) -> Path | None:
        """Find the weights file of a config's backbone."""
        return find_weights(backbone(config.backbone), config.image_size, config.weights, Path(self.weights))
