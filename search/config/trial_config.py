"""TrialConfig: every setting of one two-stage training, with its default and its limits."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Stage = Literal["head", "tune"]
STAGES: tuple[Stage, Stage] = ("head", "tune")
OptimizerName = Literal["adam", "sgd", "rmsprop"]


_UNFREEZE = "a share of the blocks, a layer's name, layer:INDEX or re:PATTERN"
BY_PATTERN = "re:"


def _compiles(value: str) -> None:
    if value.startswith(BY_PATTERN):
        try:
            re.compile(value.removeprefix(BY_PATTERN))
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression ({error}); mend it") from error


def _legal_unfreeze(value: object) -> object:
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"is empty; write {_UNFREEZE}")
        _compiles(value)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected {_UNFREEZE}, got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is no share of the blocks; write a number from 0.0 to 1.0")
    return float(value)


Unfreeze = Annotated[float | str, BeforeValidator(_legal_unfreeze)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Epochs = Annotated[int, Field(ge=1, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
ClassWeight = Literal["none", "balanced"]
LrSchedule = Literal["constant", "cosine"]
Warmup = Annotated[float, Field(ge=0, lt=1)]


class TrialConfig(BaseModel):
    """The settings of one trial; a key with a dot names the stage it belongs to."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_name=True, validate_by_alias=True
    )

    backbone: str = Field(
        description="a name of the table of backbones, such as mobilenet_v2_035; hub/PRESET of KerasHub; "
        "timm/NAME; or MODULE:FUNCTION"
    )
    weights: str = Field(default="imagenet", description="imagenet, none, shapes, or a weights file")
    image_size: int = Field(default=160, ge=32, le=1024, description="side of the square pictures, pixels")
    batch_size: int = Field(default=32, ge=1, le=4096, description="pictures a step")
    optimizer: OptimizerName = Field(default="adam", description="the optimizer of both stages")
    unfreeze: Unfreeze = Field(
        default=1.0,
        description="how deep stage 2 trains: share of the blocks; a layer's name or layer:INDEX, from which "
        "on it does; or re:PATTERN, found in the names of what is trained, such as re:block5_",
    )
    head_lr: Positive = Field(default=1e-3, alias="head.lr", description="learning rate of stage 1")
    head_epochs: Epochs = Field(default=10, alias="head.epochs", description="epochs of stage 1")
    tune_lr_ratio: Positive = Field(
        default=0.1, alias="tune.lr_ratio", description="learning rate of stage 2 over that of stage 1"
    )
    tune_epochs: Epochs = Field(default=10, alias="tune.epochs", description="epochs of stage 2")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.2, description="dropout before the classifier"
    )
    augment: Share = Field(default=0.0, description="strength of the augmentation, 0 = none")
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="decoupled weight decay; with adam this is AdamW"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="label smoothing")
    class_weight: ClassWeight = Field(
        default="none",
        description="balanced weighs each training picture by how rare its class is: n / (classes x n of it)",
    )
    head_lr_schedule: LrSchedule = Field(
        default="constant", alias="head.lr_schedule", description="course of the learning rate of stage 1"
    )
    head_warmup: Warmup = Field(
        default=0.0,
        alias="head.warmup",
        description="share of the steps of stage 1 in which the learning rate rises from 0",
    )
    tune_lr_schedule: LrSchedule = Field(
        default="constant", alias="tune.lr_schedule", description="course of the learning rate of stage 2"
    )
    tune_warmup: Warmup = Field(
        default=0.0,
        alias="tune.warmup",
        description="share of the steps of stage 2 in which the learning rate rises from 0",
    )
    patience: Annotated[int, Field(ge=0)] = Field(
        default=0, description="epochs without a better value after which a stage ends, 0 = never"
    )
    n_draws: Annotated[int, Field(ge=1)] = Field(
        default=4, description="augmentation passes that the epochs take in turn"
    )

    @property
    def tunes(self) -> bool:
        """Whether there is a stage 2."""
        return self.unfreeze != 0.0

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that this trial has, in order."""
        return STAGES if self.tunes else ("head",)

    def epochs(self, stage: Stage) -> int:
        """The epochs of a stage."""
        return self.head_epochs if stage == "head" else self.tune_epochs

    def lr(self, stage: Stage) -> float:
        """The base learning rate of a stage."""
        return self.head_lr if stage == "head" else self.head_lr * self.tune_lr_ratio

    def lr_schedule(self, stage: Stage) -> LrSchedule:
        """The course of a stage's learning rate."""
        return self.head_lr_schedule if stage == "head" else self.tune_lr_schedule

    def warmup(self, stage: Stage) -> float:
        """The share of a stage's steps in which its learning rate rises from 0."""
        return self.head_warmup if stage == "head" else self.tune_warmup

    def flat(self) -> dict[str, bool | int | float | str]:
        """The settings under their own keys (`head.lr`); those of a stage that is not there are left out."""
        settings = self.model_dump(by_alias=True)
        return {key: value for key, value in settings.items() if self.tunes or not key.startswith("tune.")}


def keys_of_config() -> dict[str, str]:
    """Map each setting's key (`head.lr`) to the field that holds it."""
    return {field.alias or name: name for name, field in TrialConfig.model_fields.items()}
