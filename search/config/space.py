"""Space: what a space file says, checked."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from search.config.callbacks import Callback
from search.config.dimensions import Dimension, PerBackbone, Range
from search.config.sections import (
    Advice,
    Budget,
    Constraints,
    Data,
    Finalists,
    Name,
    Objective,
    Pruner,
    Reuse,
    Sampler,
    Section,
)
from search.config.trial_config import TrialConfig, keys_of_config
from search.digests import digest_of

# set by the study as a whole, so no trial of the search may differ in them
WHOLE_STUDY = ("weights", "n_draws", "callbacks")


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
    return create_model(name, __base__=Section, __doc__=doc, **fields)


if TYPE_CHECKING:
    Fixed = Section
    Free = Section
    Start = Section
else:
    Fixed = _settings("Fixed", "Settings that all trials share.", _fixed_field, ("n_draws", "callbacks"))
    Free = _settings("Free", "Settings that the study searches.", _free_field, WHOLE_STUDY)
    Start = _settings("Start", "A point at which the search begins.", _fixed_field, WHOLE_STUDY)


class Space(Section):
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
    callbacks: list[Callback] = Field(
        default=[],
        description="Keras callbacks of every trial, each keras.callbacks.NAME or MODULE:FUNCTION with its "
        "arguments; a recipe may have its own instead",
    )
    advice: Advice = Advice()
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

    def starting_at(self, points: Sequence[Mapping[str, Any]]) -> "Space":
        """Give the same space with other points at which the search begins, settings under their keys."""
        return self.model_copy(update={"start": [Start.model_validate(dict(point)) for point in points]})

    def config(self, settings: dict[str, Any]) -> TrialConfig:
        """Make the config of a trial from its free settings; fixed ones and defaults fill in the rest."""
        of_study = {"n_draws": self.reuse.n_draws, "callbacks": self.callbacks}
        whole = {**of_study, **self.fixed_settings, **settings}
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

    def only(self, config: TrialConfig) -> "Space":
        """Give the space that holds this one config and no other."""
        settings = config.model_dump(by_alias=True, exclude={"n_draws", "callbacks"})
        return self.model_copy(update={"fixed": Fixed.model_validate(settings), "free": Free()})

    def identity(self) -> dict[str, Any]:
        """All that makes this study the one it is: not its budget, finalists and the size of the store.

        Nor advice: what it says is kept when the study begins, and not asked again.
        """
        without = {"budget", "finalists", "advice"}
        whole = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=without)
        del whole["reuse"]["limit"]
        if not self.callbacks:
            del whole["callbacks"]
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
