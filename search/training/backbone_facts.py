"""What of a backbone decides the numbers, for keys: its weights, and the code that makes it."""

import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from search.config.trial_config import TrialConfig
from search.digests import digest_of_file
from search.model.backbones import HubBackbone, OwnBackbone, backbone
from search.model.hub_files import digest_of_preset
from search.model.network import Network
from search.model.own import own_preprocessing
from search.user_function import user_function


class BackboneFacts:
    """Names what decides the numbers of a backbone; files are read once."""

    def __init__(self) -> None:
        self._digests: dict[Path, str] = {}
        # Stands for a function whose source cannot be read: another process may have another one.
        self._unread = uuid.uuid4().hex

    def of(self, config: TrialConfig, weights: Path | None, network: Callable[[], Network]) -> dict[str, str]:
        """Name them for a trial.

        Args:
            config: The trial's settings.
            weights: Its weights file or folder.
            network: Gives its network; asked only where a function of the user's makes the backbone, since
                only the network itself tells what that came to.
        """
        row = backbone(config.backbone)
        facts = {"weights": "none" if weights is None else self._digest(weights)}
        if isinstance(row, HubBackbone):
            facts["keras_hub"] = version("keras-hub")
        if isinstance(row, OwnBackbone):
            facts["function"] = user_function(row.name, "backbone").digest or self._unread
            facts["network"] = network().digest
            facts["preprocessing"] = own_preprocessing(row)
        return facts

    def _digest(self, weights: Path) -> str:
        if weights not in self._digests:
            self._digests[weights] = (
                digest_of_preset(weights) if weights.is_dir() else digest_of_file(weights)
            )
        return self._digests[weights]
