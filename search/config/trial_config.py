"""TrialConfig: every setting of one two-stage training, with its default and its limits."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from search.config.callbacks import Callback

Stage = Literal["head", "tune"]
STAGES: tuple[Stage, Stage] = ("head", "tune")
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop"]
Classifier = Literal["softmax", "sigmoid", "logistic", "svm"]
BatchNorm = Literal["frozen", "scale"]
# those that scikit-learn fits, at once
LINEAR: tuple[Classifier, ...] = ("logistic", "svm")
# settings of which not all values go together
TOGETHER = ("classifier", "head.hidden", "head.last_layers")
# Keras' own default for AdamW
_DECAY_OF_ADAMW = 0.004


_UNFREEZE = "a share of the blocks, a layer's name, layer:INDEX or re:PATTERN"
BY_PATTERN = "re:"
LAST = "last:"  # so many layers of the whole model, the head's counted
# what stands where no function of the user's own is named
BUILTIN = "builtin"
FLIP_ROTATION = "flip_rotation"  # of what is built in these two only
OF_BACKBONE = "backbone"


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


def _legal_codes(value: object) -> object:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(
            f"expected a share of the blocks above 0.0 and up to 1.0, or a layer's name, got {value!r}"
        )
    return float(value)


def _legal_hidden(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    widths = text.split(",") if isinstance(text, str) else []
    if text != "none" and not (widths and all(re.fullmatch(r"\s*[1-9]\d{0,4}\s*", one) for one in widths)):
        raise ValueError(
            f"expected none, or the widths of hidden layers such as 256 or '256,128', got {value!r}"
        )
    return ",".join(one.strip() for one in widths)


def _legal_function(value: str) -> str:
    if value not in (BUILTIN, FLIP_ROTATION, OF_BACKBONE) and not all(value.partition(":")[::2]):
        raise ValueError(f"'{value}' names no function; write MODULE:FUNCTION, such as my_module:f")
    return value


Unfreeze = Annotated[float | str, BeforeValidator(_legal_unfreeze)]
Codes = Annotated[float | str, BeforeValidator(_legal_codes)]
Hidden = Annotated[str, BeforeValidator(_legal_hidden)]
OwnFunction = Annotated[str, AfterValidator(_legal_function)]
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

    backbone: str = Field(description="a name of the table of backbones, such as mobilenet_v2_035")
    weights: str = Field(default="imagenet", description="imagenet, none, shapes, or a weights file")
    image_size: int = Field(default=160, ge=32, le=1024, description="side of the square pictures, pixels")
    batch_size: int = Field(default=32, ge=1, le=4096, description="pictures a step")
    codes: Codes = Field(
        default=1.0,
        description="where the codes are taken, pooled, that the classifier reads: share of the blocks from "
        "below, or a layer's name; what is above is left out",
    )
    optimizer: OptimizerName = Field(
        default="adam",
        description="the optimizer of both stages; adamw is adam with weight_decay 0.004 where none is given",
    )
    classifier: Classifier = Field(
        default="softmax",
        description="softmax: an output a class, sigmoid: one output for two classes, both trained by the "
        "optimizer; logistic (softmax by L-BFGS) or svm (linear, squared hinge): fitted at once by "
        "scikit-learn to the codes of the first draw, so that of stage 1 only head.c and class_weight count",
    )
    unfreeze: Unfreeze = Field(
        default=1.0,
        description="how deep stage 2 trains: share of the blocks; a layer's name or layer:INDEX, from which "
        "on it does; or re:PATTERN, found in the names of what is trained, such as re:block5_",
    )
    head_lr: Positive = Field(default=1e-3, alias="head.lr", description="learning rate of stage 1")
    head_epochs: Epochs = Field(default=10, alias="head.epochs", description="epochs of stage 1")
    head_hidden: Hidden = Field(
        default="none",
        alias="head.hidden",
        description="none, or the widths of hidden layers before the classifier such as 256 or '256,128', "
        "each with ReLU and the dropout after it",
    )
    head_last_layers: Annotated[int, Field(ge=0, le=10000)] = Field(
        default=0,
        alias="head.last_layers",
        description="stage 1 trains the last so many layers of the whole model, pooling, dropout and "
        "classifier counted, but no BatchNormalization; 0, or a number within the head, is the head alone",
    )
    head_c: Positive = Field(
        default=1.0,
        alias="head.c",
        description="of logistic and svm: scikit-learn's C, the inverse of the strength of regularization",
    )
    tune_lr_ratio: Positive = Field(
        default=0.1, alias="tune.lr_ratio", description="learning rate of stage 2 over that of stage 1"
    )
    tune_epochs: Epochs = Field(default=10, alias="tune.epochs", description="epochs of stage 2")
    batch_norm: BatchNorm = Field(
        default="frozen",
        description="what stage 2 trains of the BatchNormalization within what is unfrozen: frozen nothing, "
        "scale gamma and beta; its statistics never move",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.2, description="dropout before the classifier"
    )
    augment: Share = Field(default=0.0, description="strength of the augmentation, 0 = none")
    augmentor: OwnFunction = Field(
        default=BUILTIN,
        description="what changes the training pictures where augment is above 0: builtin, whose strength "
        "that is; flip_rotation, two parts of it; or MODULE:FUNCTION of your own, one uint8 picture to "
        "another, for which above 0 means on",
    )
    preprocess: OwnFunction = Field(
        default=OF_BACKBONE,
        description="what maps pictures to what the backbone reads: backbone for its own way, or "
        "MODULE:FUNCTION of your own, written in keras.ops, which becomes part of the model",
    )
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
    callbacks: list[Callback] = Field(
        default=[], description="Keras callbacks of both stages, each a name with its arguments"
    )

    @model_validator(mode="before")
    @classmethod
    def _decays(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("optimizer") == "adamw":
            return {"weight_decay": _DECAY_OF_ADAMW, **settings}
        return settings

    @model_validator(mode="after")
    def _fits(self) -> "TrialConfig":
        if self.is_linear and (self.head_hidden != "none" or self.head_last_layers):
            raise ValueError(
                f"classifier {self.classifier} is fitted to the codes; it goes with head.hidden none and "
                "head.last_layers 0"
            )
        return self

    @property
    def is_linear(self) -> bool:
        """Whether stage 1 is a linear classifier that scikit-learn fits."""
        return self.classifier in LINEAR

    def scales_norms(self, stage: Stage) -> bool:
        """Whether a stage trains gamma and beta of the BatchNormalization within what is unfrozen."""
        return stage == "tune" and self.batch_norm == "scale"

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers before the classifier."""
        return () if self.head_hidden == "none" else tuple(int(one) for one in self.head_hidden.split(","))

    @property
    def tunes(self) -> bool:
        """Whether there is a stage 2."""
        return self.unfreeze != 0.0

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that this trial has, in order."""
        return STAGES if self.tunes else ("head",)

    @property
    def own_functions(self) -> dict[str, str]:
        """The functions of the user's own that the settings name, by setting."""
        named = {"augmentor": self.augmentor, "preprocess": self.preprocess}
        return {key: name for key, name in named.items() if ":" in name}

    @property
    def strength(self) -> float:
        """The strength of the augmentation; an augmentor of the user's own has one only, 1.0."""
        return 1.0 if self.augment > 0 and "augmentor" in self.own_functions else self.augment

    def epochs(self, stage: Stage) -> int:
        """The epochs of a stage."""
        if stage == "tune":
            return self.tune_epochs
        return 1 if self.is_linear else self.head_epochs

    def depth(self, stage: Stage) -> Unfreeze:
        """What a stage trains of the backbone, as `unfreeze` says it."""
        if stage == "tune":
            return self.unfreeze
        return f"{LAST}{self.head_last_layers}" if self.head_last_layers else 0.0

    def lr(self, stage: Stage) -> float:
        """The base learning rate of a stage."""
        return self.head_lr if stage == "head" else self.head_lr * self.tune_lr_ratio

    def lr_schedule(self, stage: Stage) -> LrSchedule:
        """The course of a stage's learning rate."""
        return self.head_lr_schedule if stage == "head" else self.tune_lr_schedule

    def warmup(self, stage: Stage) -> float:
        """The share of a stage's steps in which its learning rate rises from 0."""
        return self.head_warmup if stage == "head" else self.tune_warmup

    def flat(self) -> dict[str, Any]:
        """The settings under their own keys (`head.lr`).

        Those of a stage that is not there are left out, and `callbacks` where there are none.
        """
        settings = self.model_dump(by_alias=True)
        left_out = set() if self.callbacks else {"callbacks"}
        left_out |= set() if self.tunes else {key for key in settings if key.startswith("tune.")}
        return {key: value for key, value in settings.items() if key not in left_out}


def keys_of_config() -> dict[str, str]:
    """Map each setting's key (`head.lr`) to the field that holds it."""
    return {field.alias or name: name for name, field in TrialConfig.model_fields.items()}
