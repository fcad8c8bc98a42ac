"""A small space, and trials for it, for tests of what a database does to a stored study."""

from typing import Any

from search.config.space import Space
from search.config.trial_config import Stage
from search.recorder.optuna_half import StoredStudy
from search.scheduler.distributions import params_of
from search.scheduler.race import RaceResult
from search.scheduler.trial import Proposal, Trial
from search.training.segment import Epoch, Size

MOST_HEAD = 3


def small_space(study: str = "small") -> Space:
    return Space.model_validate(
        {
            "study": study,
            "data": {"source": "pictures"},
            "fixed": {"backbone": "a", "head.epochs": 2, "tune.epochs": 2},
            "free": {
                "unfreeze": {"choice": [0.0, 0.5, 1.0]},
                "head.lr": {"float": [1e-4, 1e-2], "log": True},
                "dropout": {"float": [0.0, 0.5], "step": 0.1},
            },
        }
    )


def proposal(dropout: float = 0.3) -> Proposal:
    space = small_space()
    config = space.config({"unfreeze": 1.0, "head.lr": 1e-3, "dropout": dropout})
    point = params_of(space, config)
    assert point is not None
    return Proposal(config, *point)


def train(study: StoredStudy, trial: Trial, stage: Stage, number: int, steps: list[int]) -> None:
    """Report one epoch."""
    metrics = {"val_loss": 1 / (1 + steps[0]), "val_accuracy": 0.9}
    epoch = Epoch(stage, number, metrics, 2.0, 100.0, 0)
    trial.epochs[stage].append(epoch)
    trial.count(epoch, is_own=True)
    study.report(trial, steps, metrics["val_loss"])


def drive(study: StoredStudy) -> None:
    """All that a driver writes into a study: three trials, of which two have the same settings."""
    study.hold_to({"space": "abc"})
    study.note_size("a", Size(7, 2.0))
    study.note_advice({"backbones": ["a"]})
    first, second = study.add(proposal()), study.add(proposal())
    for trial in (first, second):
        train(study, trial, "head", 1, [4])
        train(study, trial, "head", 2, [8, 12])
    first.pause("paused at the end of stage head", "val_loss")
    study.pause(first)
    first.promote("rank")
    study.promote(first)
    second.end("pruned", "median at epoch 2", "val_loss")
    study.end(second)
    study.close(second)
    train(study, first, "tune", 1, [16])
    first.run_id = "a" * 32
    first.end("complete", None, "val_loss")
    study.end(first)
    study.close(first)
    third = study.add(proposal(dropout=0.1))
    third.end("failed", "its loss is NaN", "val_loss")
    study.end(third)
    study.close(third)
    study.begun_ms("0/1")
    study.note_finalists(RaceResult([], [], None), "val_loss")
    study.note_late_runs({1: "b" * 32})


def table(url: str, study: str = "small") -> dict[str, Any]:
    """All that a database holds of a study, but times and the study's own name of names."""
    import optuna

    found = optuna.load_study(study_name=study, storage=url)
    attrs = dict(found.user_attrs)
    assert len(attrs.pop("uid")) == 32
    assert set(attrs.pop("finalists_begun_ms")) == {"0/1"}
    rows = [
        (one.number, one.state.name, one.params, one.values, one.intermediate_values, one.user_attrs)
        for one in found.trials
    ]
    return {"attrs": attrs, "trials": rows}
