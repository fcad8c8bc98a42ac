"""The settings of one trial."""

from typing import Any

import pytest
from pydantic import ValidationError

from search.config.trial_config import TrialConfig, keys_of_config


def test_settings_go_by_their_keys_and_have_defaults() -> None:
    config = TrialConfig.model_validate({"backbone": "vgg16", "head.lr": 0.01, "tune.lr_ratio": 0.5})

    assert (config.head_lr, config.tune_lr_ratio, config.batch_size) == (0.01, 0.5, 32)
    assert config.lr("head") == 0.01
    assert config.lr("tune") == 0.005


def test_a_config_survives_being_written_and_read() -> None:
    config = TrialConfig.model_validate({"backbone": "vgg16", "unfreeze": "block5_conv1", "head.epochs": 3})

    assert TrialConfig.model_validate(config.flat()) == config


def test_without_unfreezing_there_is_no_second_stage_and_no_key_of_it() -> None:
    config = TrialConfig(backbone="vgg16", unfreeze=0)

    assert config.unfreeze == 0.0
    assert config.stages == ("head",)
    assert [key for key in config.flat() if key.startswith("tune.")] == []
    assert TrialConfig(backbone="vgg16", unfreeze=0.25).stages == ("head", "tune")
    assert TrialConfig(backbone="vgg16", unfreeze="layer:120").stages == ("head", "tune")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"unfreeze": 1.5}, "1.5 is no share of the blocks; write a number from 0.0 to 1.0"),
        ({"unfreeze": float("nan")}, "nan is no share of the blocks"),
        ({"unfreeze": " "}, "is empty; write a share of the blocks, a layer's name"),
        ({"unfreeze": True}, r"expected .* or re:PATTERN, got True"),
        ({"unfreeze": "re:block(5"}, r"'re:block\(5' is no regular expression \(missing \)"),
        ({"head.lr": 0.0}, "greater than 0"),
        ({"head.lr": float("inf")}, "finite number"),
        ({"head.epochs": 0}, "greater than or equal to 1"),
        ({"dropout": 1.0}, "less than 1"),
        ({"augment": 1.1}, "less than or equal to 1"),
        ({"optimizer": "adamw"}, "'adam', 'sgd' or 'rmsprop'"),
        ({"batch_size": "32"}, "valid integer"),
        ({"head_learning_rate": 1.0}, "Extra inputs are not permitted"),
    ],
)
def test_settings_out_of_their_limits_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrialConfig.model_validate({"backbone": "vgg16", **setting})


def test_every_setting_has_one_key() -> None:
    keys = keys_of_config()

    assert keys["head.lr"] == "head_lr"
    assert len(keys) == len(TrialConfig.model_fields)


def test_an_augmentor_of_ones_own_has_one_strength_only() -> None:
    own = {"backbone": "b", "augmentor": "mine:f"}
    assert [TrialConfig(backbone="b", augment=strength).strength for strength in (0.0, 0.25)] == [0.0, 0.25]
    assert [TrialConfig(**own, augment=strength).strength for strength in (0.0, 0.25, 1.0)] == [0.0, 1.0, 1.0]


def test_functions_of_ones_own_are_listed_by_setting() -> None:
    assert TrialConfig(backbone="b").own_functions == {}
    config = TrialConfig(backbone="b", augmentor="mine:f", preprocess="other.place:g.h")
    assert config.own_functions == {"augmentor": "mine:f", "preprocess": "other.place:g.h"}


@pytest.mark.parametrize("name", ["mine", "mine:", ":f", "Builtin", ""])
def test_what_names_no_function_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' names no function; write MODULE:FUNCTION"):
        TrialConfig(backbone="b", augmentor=name)
