"""The names that a backbone may have beside those of the table: KerasHub's, timm's, and the user's own.

`hub/PRESET` is a preset of KerasHub, `timm/NAME` a checkpoint of timm that KerasHub converts, and
`my_module:build` a function of the user's own. Looks at files only and loads neither Keras nor KerasHub.
"""

import re
import runpy
import sys
from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from search.config.extras import MISSING_HUB, has_hub
from search.config.mistakes import nearest

HUB = "hub/"
TIMM = "timm/"

# The folders of KerasHub's models whose backbones give a feature map and come apart into Keras' own layers.
_FEATURE_MAPS = (
    "cspnet",
    "densenet",
    "efficientnet",
    "hgnetv2",
    "mobilenet",
    "resnet",
    "vgg",
    "xception",
)
_TRANSFORMERS = ("deit", "dinov2", "dinov3", "mit", "swin_transformer", "vit")

# The architectures of timm that KerasHub 0.32 converts, with the tag that timm takes where none is named.
TIMM_TAGS: Mapping[str, str] = MappingProxyType(
    {
        "cspdarknet53": "ra_in1k",
        "cspresnet50": "ra_in1k",
        "cspresnext50": "ra_in1k",
        "darknet53": "c2ns_in1k",
        "densenet121": "ra_in1k",
        "densenet169": "tv_in1k",
        "densenet201": "tv_in1k",
        "efficientnet_b0": "ra_in1k",
        "efficientnet_b1": "ft_in1k",
        "efficientnet_b2": "ra_in1k",
        "efficientnet_b3": "ra2_in1k",
        "efficientnet_b4": "ra2_in1k",
        "efficientnet_b5": "sw_in12k_ft_in1k",
        "efficientnet_el": "ra_in1k",
        "efficientnet_em": "ra2_in1k",
        "efficientnet_es": "ra_in1k",
        "efficientnet_lite0": "ra_in1k",
        "efficientnetv2_rw_m": "agc_in1k",
        "efficientnetv2_rw_s": "ra2_in1k",
        "efficientnetv2_rw_t": "ra2_in1k",
        "hgnetv2_b0": "ssld_stage2_ft_in1k",
        "hgnetv2_b1": "ssld_stage2_ft_in1k",
        "hgnetv2_b2": "ssld_stage2_ft_in1k",
        "hgnetv2_b3": "ssld_stage2_ft_in1k",
        "hgnetv2_b4": "ssld_stage2_ft_in1k",
        "hgnetv2_b5": "ssld_stage2_ft_in1k",
        "hgnetv2_b6": "ssld_stage2_ft_in1k",
        "mobilenetv3_large_100": "ra_in1k",
        "mobilenetv3_small_050": "lamb_in1k",
        "mobilenetv3_small_100": "lamb_in1k",
        "resnet18": "a1_in1k",
        "resnet26": "bt_in1k",
        "resnet34": "a1_in1k",
        "resnet50": "a1_in1k",
        "resnet101": "a1h_in1k",
        "resnet152": "a1h_in1k",
        "resnetv2_50": "a1h_in1k",
        "resnetv2_101": "a1h_in1k",
        "vgg11": "tv_in1k",
        "vgg13": "tv_in1k",
        "vgg16": "tv_in1k",
        "vgg19": "tv_in1k",
    }
)


def is_own(name: str) -> bool:
    """Tell whether a backbone's name is that of a function, `my_module:build`."""
    return ":" in name


def wrong_backbone(name: str, table: Collection[str]) -> str | None:
    """Say what is wrong with a backbone's name, as the end of a sentence.

    Args:
        name: What stands in the space.
        table: The names of the table.

    Returns:
        What is wrong, or None.
    """
    if name in table:
        return None
    if is_own(name):
        return _wrong_function(name)
    if name.startswith((HUB, TIMM)) and not has_hub():
        return f"{name}: {MISSING_HUB}"
    if name.startswith(HUB):
        return _wrong_preset(name.removeprefix(HUB))
    if name.startswith(TIMM):
        return _wrong_timm(name.removeprefix(TIMM))
    return _wrong_row(name, table)


@cache
def hub_presets() -> Mapping[str, str]:
    """Map KerasHub's presets of backbones that can be taken to where Kaggle keeps them.

    Returns:
        Such as `resnet_18_imagenet` to `kaggle://keras/resnetv1/keras/resnet_18_imagenet/3`.
    """
    return MappingProxyType({name: handle for folder in _FEATURE_MAPS for name, handle in _presets(folder)})


def _presets(folder: str) -> list[tuple[str, str]]:
    spec = find_spec("keras_hub")
    assert spec is not None, "asked only where KerasHub is installed"
    package = Path((spec.submodule_search_locations or [""])[0])
    # A module of KerasHub that holds this one table and imports nothing.
    table = runpy.run_path(str(package / "src" / "models" / folder / f"{folder}_presets.py"))
    return [(name, preset["kaggle_handle"]) for name, preset in table["backbone_presets"].items()]


def _wrong_preset(preset: str) -> str | None:
    if preset in hub_presets():
        return None
    if preset in [name for folder in _TRANSFORMERS for name, _ in _presets(folder)]:
        return (
            f"{HUB}{preset} is a vision transformer, which cannot be taken here; take a convolutional network"
        )
    near = nearest(preset, hub_presets())
    return f"KerasHub has no preset of an image backbone called '{preset}'{near or _all(hub_presets())}"


def _wrong_timm(name: str) -> str | None:
    architecture = name.partition(".")[0]
    if architecture in TIMM_TAGS:
        return None
    near = nearest(architecture, TIMM_TAGS)
    return f"KerasHub converts no '{architecture}' of timm{near or _all(TIMM_TAGS)}"


def _wrong_function(name: str) -> str | None:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        return f"'{name}' names no function; write MODULE:FUNCTION, such as my_module:build"
    top = name.partition(":")[0].partition(".")[0]
    if top not in sys.modules and find_spec(top) is None:
        return f"there is no module '{top}' for {name}; put {top}.py into the working folder, or install it"
    return None


def _wrong_row(name: str, table: Collection[str]) -> str:
    if name in TIMM_TAGS:
        return f"no backbone is called '{name}' (did you mean {TIMM}{name}?)"
    beside = [f"{TIMM}{architecture}" for architecture in TIMM_TAGS] if "/" in name else []
    near = nearest(name.partition(".")[0] if beside else name, [*table, *beside])
    others = f", and {HUB}PRESET, {TIMM}NAME, MODULE:FUNCTION"
    return f"no backbone is called '{name}'{near or _all(table) + others}"


def _all(names: Collection[str]) -> str:
    return f"; there are {', '.join(sorted(names))}"
