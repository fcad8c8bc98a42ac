"""What only a built network can tell to be wrong, found before anything is trained."""

from collections.abc import Iterator, Sequence
from itertools import product

from search.config.space import Space
from search.config.trial_config import STAGES, TrialConfig
from search.driver.own_functions import own_points
from search.executor.executor import Executor, ask
from search.model.backbones import BACKBONES

# Settings of whose values not all need fit a network, beside functions of the user's own
_OF_NETWORKS = ("unfreeze", "codes", "classifier")
# Settings on which it hangs whether a callback may set the learning rate
_OF_RATES = tuple(f"{stage}.{name}" for stage in STAGES for name in ("lr_schedule", "warmup"))


def check_networks(space: Space, recipes: Sequence[TrialConfig], executor: Executor) -> None:
    """Build what a study will need as far as its settings leave it open whether that can be built.

    Raises:
        UserError: A layer's name, a file of weights, a function, a callback or a number of classes is wrong.
    """
    for config in [*_at_ends(space), *recipes]:
        if _is_open(config):
            ask(executor, "check", config, space.objective.metric)


def _is_open(config: TrialConfig) -> bool:
    names_layer = isinstance(config.unfreeze, str) or isinstance(config.codes, str)
    has_file = config.weights not in ("imagenet", "none", "shapes")
    is_own = bool(config.own_functions or config.callbacks) or config.backbone not in BACKBONES
    return names_layer or has_file or is_own or config.classifier == "sigmoid"


def _at_ends(space: Space) -> Iterator[TrialConfig]:
    """Give the configs at the ends of the dimensions that count."""
    free = {key: space.dimensions[key].ends() for key in _OF_NETWORKS if key in space.dimensions}
    for name, values, own in product(space.backbones, product(*free.values()), own_points(space)):
        yield space.config({"backbone": name, **dict(zip(free, values, strict=True)), **own})
    for key in _OF_RATES if space.callbacks else ():
        for value in space.dimensions[key].ends() if key in space.dimensions else ():
            yield space.config({"backbone": space.backbones[0], key: value})
