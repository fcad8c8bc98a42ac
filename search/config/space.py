"""Space: what a space file says, checked."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from search.config.dimensions import Dimension, PerBackbone, Range
from search.config.duration import seconds_of
from search.config.size import bytes_of
from search.config.trial_config import Stage, TrialConfig, keys_of_config
from search.digests import digest_of

Precision = Literal["float32", "float16"]

# set by the study as a whole, so no trial may differ in them
WHOLE_STUDY = ("weights", "n_draws")


class _Section(BaseModel):
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


class Split(_Section):
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


class Data(_Section):
    """Where the pictures come from."""

    source: Name = Field(description="a named data set, or the name of a folder in $SEARCH_DATA")
    split: Split = Split()
    draw_seed: int = Field(default=0, ge=0, description="seed of the augmentation draws")


class Objective(_Section):
    """What makes a trial better than another."""

    metric: Literal["val_loss", "val_accuracy", "val_auc"] = "val_loss"

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Optuna's word for which way is better."""
        return "minimize" if self.metric == "val_loss" else "maximize"


class Sampler(_Section):
    """Who proposes the next point."""

    name: Literal["tpe", "random", "qmc", "grid", "gp"] = "tpe"
    startup_trials: int = Field(
        default=2, ge=0, description="trials before tpe or gp begins, recipes included"
    )


class Pruner(_Section):
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
    ] = "median"
    rungs: list[Annotated[int, Field(ge=1)]] = Field(
        default=[1, 3, 9],
        description="of promote: epochs of stage 2 after which trials are compared; the end of stage 1 is "
        "always such a place",
    )
    reduction_factor: int = Field(
        default=3, ge=2, description="of promote, hyperband and successive_halving: one in so many goes on"
    )
    head_reduction_factor: int = Field(
        default=3, ge=1, description="of promote: the same at the end of stage 1, where 1 lets all go on"
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


class Budget(_Section):
    """When the study ends."""

    trials: int | None = Field(
        default=40, ge=1, description="trials in all, recipes and failed ones included"
    )
    timeout: Duration = Field(default=None, description="wall time, such as 90s, 45m, 2h")
    epochs: int | None = Field(
        default=None, ge=1, description="epochs trained in all, those taken from the store not included"
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

    @property
    def trial_timeout_s(self) -> float | None:
        """The training time of one trial in seconds."""
        return None if self.trial_timeout is None else seconds_of(self.trial_timeout)


class Finalists(_Section):
    """The best few trials, run again on fresh seeds before one of them becomes the champion."""

    k: int = Field(default=3, ge=0, description="how many; 0 = the best trial becomes champion as it is")
    seeds: int = Field(default=3, ge=1, description="fresh seeds on which each runs")
    time_share: float = Field(
        default=0.25, ge=0, lt=1, description="share of the timeout that the search leaves to them"
    )


class Constraints(_Section):
    """What the champion must keep. A point that breaks one is not trained."""

    parameters: float | None = Field(default=None, gt=0, description="most numbers in the network")
    latency_ms: float | None = Field(
        default=None, gt=0, description="longest time for one picture on this machine, milliseconds"
    )

    @property
    def limits(self) -> dict[str, float]:
        """The limits that the file sets, by name."""
        return self.model_dump(exclude_none=True)


class Reuse(_Section):
    """What is stored of the work, and whether it is taken up again."""

    enabled: bool = True
    n_draws: int = Field(default=4, ge=1, description="augmentation passes that the epochs take in turn")
    features: Precision = Field(
        default="float32", description="what features are kept in; float16 halves them and rounds them"
    )
    limit: Size = Field(
        default="20GB", description="size of the store, such as 20GB; the least recently used goes first"
    )

    @property
    def limit_bytes(self) -> int:
        """The size of the store in bytes."""
        return bytes_of(self.limit)


def _fixed_field(field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    return Annotated[(annotation, *field.metadata)] if field.metadata else annotation


def _free_field(field: FieldInfo) -> Any:
    return Dimension


def _settings(name: str, doc: str, of: Callable[[FieldInfo], Any], without: Collection[str]) -> Any:
    """Make a model with a key for each setting of a trial; a key that the file leaves out is None."""
    fields: dict[str, Any] = {}
    for key, field in TrialConfig.model_fields.items():
        if key not in without:
            absent = Field(default_factory=lambda: None, alias=field.alias, description=field.description)
            fields[key] = (of(field), absent)
    return create_model(name, __base__=_Section, __doc__=doc, **fields)


if TYPE_CHECKING:
    Fixed = _Section
    Free = _Section
    Start = _Section
else:
    Fixed = _settings("Fixed", "Settings that all trials share.", _fixed_field, ("n_draws",))
    Free = _settings("Free", "Settings that the study searches.", _free_field, WHOLE_STUDY)
    Start = _settings("Start", "A point at which the search begins.", _fixed_field, WHOLE_STUDY)


class Space(_Section):
    """A search space and how to go through it: one YAML file in `spaces/`."""

    study: Name = Field(description="the study's name in Optuna, MLflow and the registry")
    data: Data
    objective: Objective = Objective()
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    budget: Budget = Budget()
    finalists: Finalists = Finalists()
    constraints: Constraints = Constraints()
    seed: int = Field(default=0, ge=0, description="the study's seed, from which all others derive")
    fixed: Fixed = Field(default_factory=Fixed)
    free: Free = Field(default_factory=Free)
    start: list[Start] = Field(
        default=[],
        description="points at which the search begins, tried with each backbone if they name none; "
        "dimensions that they leave out are drawn",
    )
    reuse: Reuse = Reuse()
    recipes: list[str] = Field(default=[], description="fixed schedules that run first, as baselines")

    @property
    def fixed_settings(self) -> dict[str, Any]:
        """The fixed settings that the file names, under their keys."""
        return self.fixed.model_dump(by_alias=True, exclude_unset=True)

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """The free dimensions under their keys, in the table's order."""
        fields = type(self.free).model_fields
        pairs = ((field.alias or name, getattr(self.free, name)) for name, field in fields.items())
        return {key: dimension for key, dimension in pairs if dimension is not None}

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones that trials may have, the first one first."""
        dimension = self.dimensions.get("backbone")
        if dimension is None:
            return tuple(self.fixed_settings[key] for key in ("backbone",) if key in self.fixed_settings)
        return tuple(str(value) for value in dimension.ends())

    @property
    def starts(self) -> list[dict[str, Any]]:
        """The values of free dimensions at which the search begins, a mapping for each of its first trials.

        A value that is not in the space any more, since `--set` narrowed or fixed its dimension, is drawn.
        """
        given = [start.model_dump(by_alias=True, exclude_unset=True) for start in self.start]
        points = [{"backbone": name, **start} for start in given for name in self._backbones_of(start)]
        return [{key: value for key, value in point.items() if self._holds(key, point)} for point in points]

    def config(self, settings: dict[str, Any]) -> TrialConfig:
        """Make the config of a trial from its free settings; fixed ones and defaults fill in the rest."""
        whole = {"n_draws": self.reuse.n_draws, **self.fixed_settings, **settings}
        return TrialConfig.model_validate(whole)

    def config_of_recipe(self, settings: Mapping[str, Any]) -> TrialConfig:
        """Make the config of a recipe.

        A free setting that it does not name has its default, or the first value of the dimension where that
        does not hold the default; the backbone is the first of the space.
        """
        named = {"backbone": self.backbones[0], **settings}
        fields = keys_of_config()
        for key in self.dimensions.keys() - named.keys():
            default = TrialConfig.model_fields[fields[key]].default
            point = {**named, key: default}
            named[key] = default if self._holds(key, point) else self._first_value(key, named["backbone"])
        return self.config(named)

    def identity(self) -> dict[str, Any]:
        """All that makes this study the one it is: not its budget, finalists and the size of the store."""
        without = {"budget", "finalists"}
        whole = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=without)
        del whole["reuse"]["limit"]
        return whole

    def digest(self) -> str:
        """Give the digest of the identity: 64 hexadecimal digits."""
        return digest_of(self.identity())

    def _backbones_of(self, start: dict[str, Any]) -> tuple[str, ...]:
        return (start["backbone"],) if "backbone" in start else self.backbones

    def _holds(self, key: str, point: dict[str, Any]) -> bool:
        dimension = self._range(key, point["backbone"])
        return dimension is not None and dimension.holds(point[key])

    def _first_value(self, key: str, backbone: str) -> Any:
        dimension = self._range(key, backbone)
        assert dimension is not None, "the space was checked: each backbone has a range"
        return dimension.ends()[0]

    def _range(self, key: str, backbone: str) -> Range | None:
        dimension = self.dimensions.get(key)
        return dimension.of(backbone) if isinstance(dimension, PerBackbone) else dimension
