"""Samplers by name, over a space with conditional dimensions and dimensions that differ by backbone."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from search.config.space import Space
from search.config.trial_config import Stage
from search.errors import SpaceError
from search.scheduler.distributions import params_of
from search.scheduler.samplers import make_sampler
from search.scheduler.trial import Trial

MakeSpace = Callable[..., Space]
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::FutureWarning")

FREE: dict[str, Any] = {
    "backbone": {"choice": ["a", "b"]},
    "unfreeze": {"float": [0.0, 1.0], "step": 0.5},
    "head.lr": {"float": [1e-4, 1e-2], "log": True},
    "tune.lr_ratio": {"float": [0.01, 1.0], "log": True},
    "dropout": {"per_backbone": {"a": {"float": [0.0, 0.5], "step": 0.1}, "b": {"choice": [0.1, 0.4]}}},
    "augment": {"float": [0.0, 1.0]},
}
# 4 heads and 4 x 2 x 3 stages 2 for a; 2 and 2 x 2 x 3 for b
FINITE: dict[str, Any] = {
    "backbone": {"choice": ["a", "b"]},
    "unfreeze": {"float": [0.0, 1.0], "step": 0.5},
    "tune.epochs": {"int": [1, 3]},
    "dropout": {"per_backbone": {"a": {"float": [0.1, 0.4], "step": 0.1}, "b": {"choice": [0.1, 0.4]}}},
}
ONE_EPOCH = {"head.epochs": 1, "tune.epochs": 1}


def _loss(trial: Trial, stage: Stage, epoch: int) -> float:
    config = trial.config
    ratio = config.tune_lr_ratio if config.tunes else 1.0
    return (
        abs(config.head_lr - 3e-3) * 100
        + abs(ratio - 0.1)
        + abs(config.augment - 0.7)
        + (config.backbone == "b") * 0.3
    )


@pytest.mark.parametrize("name", ["tpe", "random", "qmc"])
def test_a_sampler_proposes_points_of_the_space_the_same_ones_again(
    make_space: MakeSpace, fake_study: Any, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    space = make_space(FREE, ONE_EPOCH, sampler=name)
    study = fake_study(space, _loss, most_trials=24).run()
    again = fake_study(space, _loss, most_trials=24).run()
    other = fake_study(make_space(FREE, ONE_EPOCH, sampler=name, seed=1), _loss, most_trials=24).run()

    assert study.table() == again.table()
    assert [trial.config for trial in study.trials] != [trial.config for trial in other.trials]
    assert len({trial.config for trial in study.trials}) == 24
    for trial in study.trials:
        assert params_of(space, trial.config) == (trial.proposal.params, trial.proposal.distributions)
        assert any(key.startswith("tune.") for key in trial.proposal.params) == trial.config.tunes
        assert trial.config.dropout in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert {trial.config.tunes for trial in study.trials} == {True, False}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "grid"])
@pytest.mark.parametrize("n_epochs", [1, 23])
def test_a_restart_goes_on_with_the_same_points(
    make_space: MakeSpace, fake_study: Any, name: str, n_epochs: int
) -> None:
    free = FINITE if name == "grid" else FREE
    space = make_space(free, {"head.epochs": 1}, sampler=name)
    whole = fake_study(space, _loss, most_trials=18).run()
    broken = fake_study(space, _loss, most_trials=18).run(n_epochs).restarted().run()

    assert broken.table() == whole.table()


def test_the_grid_is_gone_through_once_and_then_the_study_is_over(
    make_space: MakeSpace, fake_study: Any
) -> None:
    space = make_space(FINITE, {"head.epochs": 1}, sampler="grid")
    recipe = space.config({"backbone": "b", "unfreeze": 0.5, "tune.epochs": 2, "dropout": 0.4, "n_draws": 9})
    study = fake_study(space, _loss, recipes={"own": recipe}).run()

    points = [tuple(sorted(trial.proposal.params.items())) for trial in study.trials]
    assert len(points) == len(set(points)) == 4 + 4 * 2 * 3 + 2 + 2 * 2 * 3
    assert study.trials[0].proposal.recipe == "own"
    assert study.scheduler.propose() is None


@pytest.mark.parametrize("seed", range(6))
def test_a_recipe_that_is_a_point_of_the_grid_is_not_tried_again_for_its_draws(
    make_space: MakeSpace, fake_study: Any, seed: int
) -> None:
    space = make_space({"unfreeze": {"choice": [0.5, 1.0]}}, {"backbone": "a"}, sampler="grid", seed=seed)
    recipe = space.config({"unfreeze": 0.5, "n_draws": 9})
    assert len(fake_study(space, _loss, recipes={"own": recipe}).run().trials) == 2


def test_a_space_without_dimensions_has_one_point(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space({}, {"backbone": "a"}, sampler="tpe")
    assert len(fake_study(space, _loss).run().trials) == 1


def test_qmc_covers_every_part_of_every_dimension(make_space: MakeSpace, fake_study: Any) -> None:
    space = make_space(FREE, ONE_EPOCH, sampler="qmc")
    study = fake_study(space, _loss, most_trials=32).run()

    assert sorted(int(trial.config.augment * 32) for trial in study.trials) == list(range(32))
    assert sum(trial.config.backbone == "a" for trial in study.trials) == 16


def test_gp_without_its_library_is_refused_in_one_sentence(make_space: MakeSpace) -> None:
    if find_spec("torch") is not None:
        pytest.skip("PyTorch is installed")
    with pytest.raises(
        SpaceError, match=r"^sampler.name: gp needs PyTorch, .*; pip install torch, or take tpe"
    ):
        make_sampler(make_space(FREE, sampler="gp"), 0)


def test_tpe_learns_from_trials_where_random_does_not(make_space: MakeSpace, fake_study: Any) -> None:
    def mean_of_later_trials(name: str, seed: int) -> float:
        space = make_space(FREE, ONE_EPOCH, sampler=name, seed=seed)
        study = fake_study(space, _loss, most_trials=40).run()
        values = [trial.value("val_loss") for trial in study.trials[20:]]
        return float(sum(values) / len(values))

    tpe, random = (sum(mean_of_later_trials(name, seed) for seed in range(3)) for name in ("tpe", "random"))
    assert tpe < 0.6 * random
