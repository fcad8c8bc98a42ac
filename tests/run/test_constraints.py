"""Constraints through the command: what breaks one is not trained, and the champion keeps them."""

import optuna
import pytest
from command import Command
from reading import epochs_trained, trials_of

pytestmark = pytest.mark.slow

BACKBONES = ("--set", "fixed.weights=none", "--set", "free.backbone=[mobilenet_v2_035, mobilenet_025]")


def test_points_that_break_a_constraint_are_not_trained_and_the_champion_keeps_them(command: Command) -> None:
    options = (*BACKBONES, "--set", "constraints={parameters: 3.0e+5, latency_ms: 500}", "--trials", "7")
    summary = command.summary(*options)
    trials = trials_of(command.home)
    broken = [trial for trial in trials if trial.user_attrs["config"]["backbone"] == "mobilenet_v2_035"]

    # the recipe takes the first backbone, so one at least is broken
    assert broken
    for trial in broken:
        assert trial.state == optuna.trial.TrialState.PRUNED
        assert trial.user_attrs["reason"].startswith("constraints: parameters 4")
        assert trial.intermediate_values == {}
        assert trial.constraints["parameters"] > 0 > trial.constraints["latency_ms"]
    kept = [trial for trial in trials if trial not in broken]
    assert kept
    assert all(value <= 0 for trial in kept for value in trial.constraints.values())
    assert summary["best"]["params"]["backbone"] == "mobilenet_025"
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{command.home / 'optuna.db'}")
    assert set(study.user_attrs["sizes"]) == {"mobilenet_v2_035 32 px", "mobilenet_025 32 px"}
    assert study.user_attrs["sizes"]["mobilenet_025 32 px"]["parameters"] == 218_544 + 514
    assert study.best_trial.number == summary["best"]["number"]


def test_a_space_in_which_nothing_keeps_its_constraints_is_refused(command: Command) -> None:
    for dry in ((), ("--dry-run",)):
        done = command.run(*BACKBONES, "--set", "constraints.parameters=1000", *dry)
        assert done.returncode == 2, done.stderr
        assert "no backbone keeps them (mobilenet_v2_035 has parameters" in done.stderr
        assert "Traceback" not in done.stderr
    assert epochs_trained(command.home) == 0
    # raising them is no other study
    assert optuna.get_all_study_names(f"sqlite:///{command.home / 'optuna.db'}") == []
    assert not list((command.home / "studies").glob("*.json"))
