"""Sections: the parts of a space file, each with its defaults and its limits."""

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from search.config.duration import seconds_of
from search.config.size import bytes_of
from search.config.trial_config import Stage

Precision = Literal["float32", "float16"]


class Section(BaseModel):
    """What all sections have in common: no unknown keys, nothing read as something else, nothing changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_by_alias=True)


def _legal_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError(
            f"'{value}' names files and pages; use letters, digits, '.', '_' and '-', at most 100"
        )
    return value


def _legal_duration(value: object) -> object:
    if value is not None:
        seconds_of(value)
    return value


def _legal_size(value: object) -> object:
    bytes_of(value)
    return value


Name = Annotated[str, AfterValidator(_legal_name)]
Duration = Annotated[str | None, BeforeValidator(_legal_duration)]
Size = Annotated[str, BeforeValidator(_legal_size)]


class Split(Section):
    """Shares of the pictures that are set aside, and the salt of the drawing."""

    validation: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    seed: int = Field(default=42, ge=0)

    @model_validator(mode="after")
    def _leaves_some(self) -> "Split":
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave nothing to train on; "
                "take less than 1 together"
            )
        return self


class Data(Section):
    """Where the pictures come from."""

    source: Name = Field(description="a named data set, or the name of a folder in $SEARCH_DATA")
    split: Split = Split()
    draw_seed: int = Field(default=0, ge=0, description="seed of the augmentation draws")


class Objective(Section):
    """What makes a trial better than another."""

    metric: Literal["val_loss", "val_accuracy", "val_auc"] = "val_loss"

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Optuna's word for which way is better."""
        return "minimize" if self.metric == "val_loss" else "maximize"


class Sampler(Section):
    """Who proposes the next point."""

    name: Literal["tpe", "random", "qmc", "grid", "gp"] = "tpe"
    startup_trials: int = Field(
        default=2, ge=0, description="trials before tpe or gp begins, recipes included"
    )


class Pruner(Section):
    """Who pauses or ends trials early. Steps count epochs of one stage."""

    name: Literal[
        "promote",
        "median",
        "percentile",
        "hyperband",
        "successive_halving",
        "patient",
        "wilcoxon",
        "none",
    ] = "promote"
    rungs: list[Annotated[int, Field(ge=1)]] = Field(
        default=[3],
        description="of promote: epochs of stage 2 after which trials are compared; the end of stage 1 is "
        "always such a place",
    )
    reduction_factor: int = Field(
        default=3, ge=2, description="of promote, hyperband and successive_halving: one in so many goes on"
    )
    head_reduction_factor: int = Field(
        default=2, ge=1, description="of promote: the same at the end of stage 1, where 1 lets all go on"
    )
    long_shot_every: int = Field(
        default=8,
        ge=0,
        description="of promote: one in so many promotions past stage 1 goes to a trial that ranks badly "
        "there, since a weak head can win after unfreezing; 0 = none",
    )
    stages: list[Stage] = Field(
        default=["tune"],
        min_length=1,
        description="of all others: where trials are pruned; a head costs next to nothing, and a weak one "
        "may yet win",
    )
    startup_trials: int = Field(
        default=4, ge=0, description="trials that must have finished a stage before another is pruned in it"
    )
    warmup_epochs: int = Field(
        default=1, ge=0, description="first epochs of each stage in which no trial is pruned"
    )
    percentile: float = Field(
        default=50.0, ge=0, le=100, description="best share kept by percentile, percent"
    )
    patience: int = Field(
        default=2, ge=1, description="epochs without a better value before patient asks median"
    )
    p_threshold: float = Field(default=0.1, gt=0, lt=1, description="of wilcoxon")

    @field_validator("rungs")
    @classmethod
    def _rise(cls, rungs: list[int]) -> list[int]:
        if sorted(set(rungs)) != rungs:
            raise ValueError(f"{rungs} do not rise; write each epoch once, the first one first")
        return rungs

    @field_validator("long_shot_every")
    @classmethod
    def _not_every_one(cls, every: int) -> int:
        if every == 1:
            raise ValueError("1 would promote bad trials only; write 2 or more, or 0 for none")
        return every


class Budget(Section):
    """When the study ends."""

    trials: int | None = Field(
        default=40, ge=1, description="trials in all, recipes and failed ones included"
    )
    timeout: Duration = Field(default=None, description="wall time, such as 90s, 45m, 2h")
    epochs: int | None = Field(
        default=None,
        ge=1,
        description="epochs that the search trains in all; those taken from the store do not count, and "
        "finalists come on top",
    )
    picture_passes: int | None = Field(
        default=None,
        ge=1,
        description="pictures that the search trains on in all, each counted once an epoch: epochs for data "
        "sets of different sizes",
    )
    trial_timeout: Duration = Field(
        default=None, description="training time of one trial, after which it is pruned"
    )
    stagnation: int | None = Field(
        default=None, ge=1, description="no trial starts once so many in a row were no better than the best"
    )

    @property
    def timeout_s(self) -> float | None:
        """The wall time in seconds."""
        return None if self.timeout is None else seconds_of(self.timeout)

    def most_epochs(self, n_pictures: int) -> int | None:
        """Give the most epochs that the search may train on so many pictures; None for no limit."""
        passes = None if self.picture_passes is None else self.picture_passes // n_pictures
        return min((most for most in (self.epochs, passes) if most is not None), default=None)

    @property
    def trial_timeout_s(self) -> float | None:
        """The training time of one trial in seconds."""
        return None if self.trial_timeout is None else seconds_of(self.trial_timeout)


class Finalists(Section):
    """The best few trials, run again on fresh seeds before one of them becomes the champion."""

    k: int = Field(default=3, ge=0, description="how many; 0 = the best trial becomes champion as it is")
    seeds: int = Field(default=3, ge=1, description="fresh seeds on which each runs")
    time_share: float = Field(
        default=0.25, ge=0, lt=1, description="share of the timeout that the search leaves to them"
    )


class Constraints(Section):
    """What the champion must keep. A point that breaks one is not trained."""

    parameters: float | None = Field(default=None, gt=0, description="most numbers in the network")
    latency_ms: float | None = Field(
        default=None, gt=0, description="longest time for one picture on this machine, milliseconds"
    )

    @property
    def limits(self) -> dict[str, float]:
        """The limits that the file sets, by name."""
        return self.model_dump(exclude_none=True)


class Advice(Section):
    """What the study asks of the data before its first trial."""

    enabled: bool = Field(
        default=True,
        description="where there are several backbones, probe them first, and order recipes and points of "
        "start by what that says; nothing is left out. Not asked where reuse is off: it takes what is stored",
    )


class Reuse(Section):
    """What is stored of the work, and whether it is taken up again."""

    enabled: bool = True
    n_draws: int = Field(default=4, ge=1, description="augmentation passes that the epochs take in turn")
    features: Precision = Field(
        default="float32", description="what features are kept in; float16 halves them and rounds them"
    )
    fold_batch_norm: bool = Field(
        default=True,
        description="convolutions take in their BatchNormalization, which stands still: the same function, "
        "faster, rounded otherwise; false computes layer by layer, to the bit what Keras does",
    )
    limit: Size = Field(
        default="20GB", description="size of the store, such as 20GB; the least recently used goes first"
    )

    @property
    def limit_bytes(self) -> int:
        """The size of the store in bytes."""
        return bytes_of(self.limit)
