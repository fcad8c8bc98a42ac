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
        ({"optimizer": "adamax"}, "'adam', 'adamw', 'sgd' or 'rmsprop'"),
        ({"codes": 0.0}, "expected a share of the blocks above 0.0 .*, got 0.0"),
        ({"codes": True}, "a layer's name, got True"),
        ({"head.hidden": 0}, "or the widths of hidden layers such as 256 .*, got 0"),
        ({"head.hidden": "256x128"}, "got '256x128'"),
        ({"head.hidden": True}, "got True"),
        (
            {"classifier": "svm", "head.hidden": 8},
            "svm is fitted to the codes; it goes with head.hidden none",
        ),
        ({"classifier": "logistic", "head.last_layers": 4}, "and head.last_layers 0"),
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


@pytest.mark.parametrize(
    ("written", "kept", "widths"),
    [("none", "none", ()), (256, "256", (256,)), ("256, 128", "256,128", (256, 128))],
)
def test_hidden_layers_are_written_as_a_width_or_several(
    written: object, kept: str, widths: tuple[int, ...]
) -> None:
    config = TrialConfig.model_validate({"backbone": "vgg16", "head.hidden": written})
    assert (config.head_hidden, config.hidden) == (kept, widths)


def test_adamw_decays_by_default_as_it_does_in_keras() -> None:
    assert TrialConfig(backbone="vgg16", optimizer="adamw").weight_decay == 0.004
    assert TrialConfig(backbone="vgg16", optimizer="adamw", weight_decay=0.1).weight_decay == 0.1
    assert TrialConfig(backbone="vgg16", optimizer="adam").weight_decay == 0.0


def test_what_scikit_learn_fits_takes_one_epoch() -> None:
    config = TrialConfig.model_validate({"backbone": "vgg16", "classifier": "svm", "head.epochs": 8})
    assert (config.epochs("head"), config.epochs("tune")) == (1, 10)


def test_what_a_stage_trains_of_the_backbone() -> None:
    config = TrialConfig.model_validate({"backbone": "vgg16", "unfreeze": 0.5, "head.last_layers": 6})
    assert (config.depth("head"), config.depth("tune")) == ("last:6", 0.5)
    assert TrialConfig(backbone="vgg16").depth("head") == 0.0
