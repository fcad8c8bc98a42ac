"""Names of backbones beside the table."""

import subprocess
import sys

import pytest

from search.config.backbone_names import TIMM_TAGS, hub_presets, wrong_backbone
from search.config.extras import MISSING_HUB

TABLE = ("mobilenet_v2", "resnet50")


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        "hub/resnet_18_imagenet",
        "hub/mobilenet_v3_small_050_imagenet",
        "timm/resnet18",
        "timm/resnet18.a1_in1k",
        "timm/resnet18.any_tag",
        "json.decoder:JSONDecoder.decode",
    ],
)
def test_these_are_names(name: str) -> None:
    assert wrong_backbone(name, TABLE) is None


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("mobilnet_v2", "no backbone is called 'mobilnet_v2' (did you mean mobilenet_v2?)"),
        ("resnet18", "no backbone is called 'resnet18' (did you mean timm/resnet18?)"),
        (
            "tim/resnet18.a1_in1k",
            "no backbone is called 'tim/resnet18.a1_in1k' (did you mean timm/resnet18?)",
        ),
        ("qqq", "; there are mobilenet_v2, resnet50, and hub/PRESET, timm/NAME, MODULE:FUNCTION"),
        ("timm/resnt18", "KerasHub converts no 'resnt18' of timm (did you mean resnet18?)"),
        ("timm/vit_base_patch16_224", "KerasHub converts no 'vit_base_patch16_224' of timm"),
        ("hub/resnet_18_imagnet", "called 'resnet_18_imagnet' (did you mean resnet_18_imagenet?)"),
        ("hub/gemma_2b_en", "KerasHub has no preset of an image backbone called 'gemma_2b_en'"),
        ("hub/vit_base_patch16_224_imagenet", "is a vision transformer, which cannot be taken here"),
        (":build", "':build' names no function; write MODULE:FUNCTION"),
        ("my module:build", "names no function"),
        ("no_such_module.part:build", "there is no module 'no_such_module'"),
    ],
)
def test_what_is_no_name_is_told_with_the_nearest_one(name: str, what: str) -> None:
    told = wrong_backbone(name, TABLE)
    assert told is not None
    assert what in told


@pytest.mark.parametrize("module", ["keras_hub", "safetensors"])
def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where a name stands for None Python says that there is no such module
    monkeypatch.setitem(sys.modules, module, None)
    for name in ("hub/resnet_18_imagenet", "timm/resnet18"):
        told = wrong_backbone(name, TABLE)
        assert told == f"{name}: {MISSING_HUB}"
    assert "pip install 'fine-tune-search[hub]'" in MISSING_HUB
    assert wrong_backbone("mobilenet_v2", TABLE) is None


def test_presets_are_those_of_kerashub_and_named_without_loading_it() -> None:
    code = (
        "import sys\n"
        "from search.config.backbone_names import wrong_backbone\n"
        "assert wrong_backbone('hub/resnet_18_imagenet', ()) is None\n"
        "sys.exit(bool({'keras_hub', 'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    import keras_hub

    theirs = keras_hub.models.Backbone.presets
    assert len(hub_presets()) > 40
    assert all(theirs[name]["kaggle_handle"] == handle for name, handle in hub_presets().items())


def test_architectures_are_those_that_kerashub_converts() -> None:
    from keras_hub.src.utils.timm.preset_loader import TimmPresetLoader

    for architecture, tag in TIMM_TAGS.items():
        config = {"architecture": architecture, "pretrained_cfg": {"tag": tag}}
        loader = TimmPresetLoader("nowhere", config)
        assert loader.converter.convert_backbone_config(config)
