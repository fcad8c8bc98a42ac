"""The functions of the user's own that a study may call: found before anything is spent."""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import product
from typing import Any

from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.model.loading import load_keras
from search.training.own_functions import why_not_reused
from search.user_function import user_function

_SETTINGS = ("augmentor", "preprocess")


def own_points(space: Space) -> list[dict[str, Any]]:
    """List free settings, one for each choice of functions of the user's own, augmented where possible."""
    free = {key: space.dimensions[key].ends() for key in _SETTINGS if key in space.dimensions}
    augmented = {"augment": 1.0} if "augment" in space.dimensions else {}
    return [{**augmented, **dict(zip(free, values, strict=True))} for values in product(*free.values())]


def load_own_functions(space: Space, recipes: Sequence[TrialConfig]) -> None:
    """Load all functions that a study may call.

    Raises:
        SpaceError: One of them does not exist.
    """
    for config in _configs(space, recipes):
        for key, name in config.own_functions.items():
            if find_spec(name.partition(":")[0].partition(".")[0]) is not None:
                load_keras()  # which the module may do too, less quietly
            user_function(name, key)


def remarks_on_reuse(space: Space, recipes: Sequence[TrialConfig]) -> list[str]:
    """Say of which trials nothing is reused because of a function that they call, and why."""
    if not space.reuse.enabled:
        return []
    reasons = (why_not_reused(config) for config in _configs(space, recipes))
    return list(dict.fromkeys(reason for reason in reasons if reason is not None))


def _configs(space: Space, recipes: Sequence[TrialConfig]) -> list[TrialConfig]:
    return [
        *(space.config({"backbone": space.backbones[0], **point}) for point in own_points(space)),
        *recipes,
    ]
