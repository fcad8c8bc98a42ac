"""Request: what a user asks for, checked as far as that takes no heavy library and no database."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from search.config.extras import check_sampler
from search.config.read import Recipe, SpaceFile, read_space, spaces_folder
from search.config.trial_config import TrialConfig
from search.data.download import ByteProgress
from search.data.listings import find
from search.data.sources import SAMPLE, Source, find_source, local_source
from search.driver.own_functions import load_own_functions
from search.driver.study_file import StudyFile
from search.errors import DataError, SpaceError, StudyError, WeightsError
from search.executor.devices import Workers
from search.model.backbones import BACKBONES, backbone, check_image_size
from search.model.loading import load_keras
from search.model.weights import weights_at_hand
from search.recorder.client import check_uri
from search.scheduler.steps import most_head_epochs
from search.urls import without_password


@dataclass(frozen=True)
class Options:
    """The command line.

    Attributes:
        study: A name in `spaces/`, or a YAML file.
        data: A folder or listing of pictures, `sample`, or None.
        home: Where everything is kept.
        weights: The user's folder of weights.
        assignments: What `--set` and the options that stand for keys of the space say.
        storage: Optuna's database; None for the one in the home.
        tracking: MLflow's database or server; None for the one in the home.
        command: The command as it was typed, for advice; without passwords, as it is printed and kept.
        fresh: Whether the old study is to be discarded, so that it need not agree.
        recipe: The one recipe that is to run, a name in `spaces/recipes/` or a YAML file; None for a search.
        register: Whether the champion is registered.
        workers: How many processes train, `auto` for one a GPU, or `inline` for the driver's own.
        gpus: The GPUs to take, None for all.
        gpu_share: The share of a GPU that a worker takes.
        ray: The address of the Ray cluster on whose machines workers run; None for this machine.
    """

    study: str
    data: Path | Literal["sample"] | None
    home: Path
    weights: Path | None
    assignments: tuple[str, ...]
    storage: str | None
    tracking: str | None
    command: str
    fresh: bool = False
    recipe: str | None = None
    register: bool = True
    workers: Workers = "auto"
    gpus: tuple[str, ...] | None = None
    gpu_share: float = 1.0
    ray: str | None = None

    @property
    def storage_url(self) -> str:
        """Optuna's database."""
        return self.storage or f"sqlite:///{self.home / 'optuna.db'}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's database or server."""
        return self.tracking or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def shown_storage_url(self) -> str:
        """Optuna's database as it may be printed."""
        return without_password(self.storage_url)

    @property
    def shown_tracking_uri(self) -> str:
        """MLflow's database or server as it may be printed."""
        return without_password(self.tracking_uri)


@dataclass(frozen=True)
class Request:
    """A study that can be run as far as can be told at once.

    Attributes:
        options: The command line.
        file: The space, its recipes, and the recipes that are left out.
        source: Where the pictures are; None if they must be downloaded.
    """

    options: Options
    file: SpaceFile
    source: Source | None

    @property
    def study_file(self) -> StudyFile:
        """The study's file in the home."""
        return StudyFile.of(self.options.home, self.file.space.study)

    @property
    def recipes(self) -> dict[str, TrialConfig]:
        """The configs of the recipes that run."""
        return {recipe.name: self._config(recipe) for recipe in self.file.recipes}

    @property
    def most_head_epochs(self) -> int:
        """The most epochs of stage 1, recipes that are left out included: the same at every start."""
        return most_head_epochs(self.file.space, [self._config(recipe) for recipe in self.file.named])

    def _config(self, recipe: Recipe) -> TrialConfig:
        return self.file.space.config_of_recipe(recipe.settings)


def check(options: Options, env: Mapping[str, str] = os.environ) -> Request:
    """Check a command line: everything that needs neither pandas nor Keras nor a database.

    Raises:
        UserError: What is wrong, one sentence a mistake.
    """
    if options.data == SAMPLE:
        options = replace(options, study=_sample_study(options.study))
    file = read_space(options.study, options.assignments, BACKBONES, options.recipe is not None)
    if options.recipe is not None and file.left_out:
        raise SpaceError(*(f"--recipe {name}: {why}; leave that out." for name, why in file.left_out.items()))
    check_sampler(file.space.sampler.name)
    _check_urls(options)
    source = local_source(file.space.data.source, options.data, options.home, env)
    if source is not None and source.kind != "sample":
        find(source.place)
    request = Request(options, file, source)
    _check_backbones(request)
    load_own_functions(file.space, list(request.recipes.values()))
    if not options.fresh:
        request.study_file.check_space(file.space, options.command)
    return request


def locate(request: Request, env: Mapping[str, str], progress: ByteProgress | None) -> Request:
    """Give a request its pictures: download them, or fall back to the sample where nothing answers.

    Raises:
        DataError: The download failed after it had begun, or the study exists on other pictures.
    """
    if request.source is not None:
        return request
    options, name = request.options, request.file.space.data.source
    exists = request.study_file.exists()
    source = find_source(name, options.data, options.home, env, study_exists=exists, progress=progress)
    if source.kind != "sample":
        return replace(request, source=source)
    sample = check(replace(options, study=name, data=SAMPLE), env)
    return replace(sample, source=source)


def with_weights(request: Request) -> Request:
    """Download the weights that are not on this machine.

    A recipe that alone asks for a backbone whose weights cannot be had is left out.

    Raises:
        WeightsError: Those of a backbone of the space, or of the one recipe that is to run, cannot be had.
    """
    space = request.file.space
    for name in space.backbones:
        others = [other for other in space.backbones if other != name]
        _fetch(request, space.config({"backbone": name}), others)
    left_out = dict(request.file.left_out)
    for name, config in request.recipes.items():
        try:
            _fetch(request, config, space.backbones)
        except WeightsError as error:
            if request.options.recipe is not None:
                raise
            left_out[name] = str(error)
    kept = tuple(recipe for recipe in request.file.recipes if recipe.name not in left_out)
    return replace(request, file=replace(request.file, recipes=kept, left_out=left_out))


def _fetch(request: Request, config: TrialConfig, others: Sequence[str]) -> None:
    row, folder = backbone(config.backbone), request.options.weights
    if not weights_at_hand(row, config.image_size, config.weights, folder):
        load_keras()
        from search.model.fetch import fetch_weights

        fetch_weights(row, config.image_size, config.weights, folder, others)


def _sample_study(study: str) -> str:
    name = study if study.endswith("-sample") else f"{study}-sample"
    if not (spaces_folder() / f"{name}.yaml").is_file():
        raise DataError(
            f"--data sample: study {study} has no sample; run --study cats_dogs, or give a folder."
        )
    return name


def _check_urls(options: Options) -> None:
    if not re.match(r"(sqlite|postgresql|mysql|mariadb)(\+\w+)?://", options.storage_url):
        raise StudyError(
            f"--storage: {without_password(options.storage_url)} is no database URL; "
            "write one such as sqlite:///optuna.db or postgresql://user@host/name."
        )
    if options.tracking is not None:
        check_uri(options.tracking)
    if options.storage_url == options.tracking_uri:
        raise StudyError(
            f"--storage and --tracking-uri both name {without_password(options.storage_url)}, but Optuna and "
            "MLflow cannot share one database; give each its own."
        )


def _check_backbones(request: Request) -> None:
    """Refuse sizes and weights that a backbone cannot have; what must be downloaded is not missing."""
    space, folder = request.file.space, request.options.weights
    if folder is not None and not folder.is_dir():
        raise WeightsError(f"--weights: {folder} is no folder; give the folder that holds the weights files.")
    config = space.config({"backbone": space.backbones[0]})
    dimension = space.dimensions.get("image_size")
    sizes = [int(end) for end in dimension.ends()] if dimension else [config.image_size]
    if config.weights not in ("imagenet", "none", "shapes") and len(space.backbones) > 1:
        names = ", ".join(space.backbones)
        raise SpaceError(
            f"fixed.weights: {config.weights} is one backbone's, and the space has {names}; keep one of them."
        )
    for name in space.backbones:
        check_image_size(backbone(name), min(sizes))
        weights_at_hand(backbone(name), config.image_size, config.weights, folder)
