"""What of a backbone decides the numbers, for keys: its weights, and what a function of the user's built."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from search.config.trial_config import TrialConfig
from search.digests import digest_of_file
from search.model.backbones import HubBackbone, OwnBackbone, backbone
from search.model.hub_files import digest_of_preset
from search.model.network import Network
from search.model.own_backbone import way_of


class BackboneFacts:
    """Names what decides the numbers of a backbone; files are read once."""

    def __init__(self) -> None:
        self._digests: dict[Path, str] = {}

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
            facts["network"] = network().digest
            facts["preprocessing"] = way_of(row)
        return facts

    def _digest(self, weights: Path) -> str:
        if weights not in self._digests:
            self._digests[weights] = (
                digest_of_preset(weights) if weights.is_dir() else digest_of_file(weights)
            )
        return self._digests[weights]
