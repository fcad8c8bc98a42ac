"""Finalists through the command: fresh seeds, the champion they make, and what is kept of them."""

from typing import Any

import optuna
import pytest
from command import Command
from mlflow import MlflowClient
from mlflow.entities import Run
from reading import epochs_trained, trials_of

pytestmark = pytest.mark.slow

OPTIONS = ("--trials", "3", "--finalists", "2", "--set", "finalists.seeds=2")


def points_of(client: MlflowClient, runs: list[Run]) -> list[tuple[str, int, int, float]]:
    """All that MLflow holds of some runs."""
    return [
        (point.key, point.step, point.timestamp, point.value)
        for run in runs
        for name in sorted(run.data.metrics)
        for point in client.get_metric_history(run.info.run_id, name)
    ]


def test_finalists_run_on_fresh_seeds_and_the_best_mean_becomes_champion(tiny: Command) -> None:
    summary = tiny.summary(*OPTIONS)
    found: dict[str, Any] = summary["finalists"]
    rows = found["rows"]
    best_two = sorted(trials_of(tiny.home), key=lambda trial: trial.value)[:2]

    assert {row["trial"] for row in rows} == {trial.number for trial in best_two}
    winner = rows[0]
    assert len(winner["values"]) == 2
    assert winner["values"] != [trials_of(tiny.home)[winner["trial"]].value] * 2
    assert winner["mean"] == pytest.approx(sum(winner["values"]) / 2)
    assert summary["champion"]["trial"] == winner["trial"]
    assert winner["values"][summary["champion"]["seed"] - 1] == min(winner["values"])
    # nothing of it is a trial of the study
    assert len(trials_of(tiny.home)) == 3
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tiny.home / 'optuna.db'}")
    assert study.user_attrs["finalists"][0]["values"] == winner["values"]

    client = MlflowClient(f"sqlite:///{tiny.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`search.role` = 'finalist'")
    assert sorted(run.data.tags["search.replicate"] for run in runs) == ["1", "1", "2", "2"][: len(runs)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    version = client.get_model_version_by_alias("small", "champion")
    kept = client.get_run(str(version.run_id))
    assert kept.data.tags["search.finalist"] == str(winner["trial"])
    assert kept.data.metrics["best_val_loss"] == min(winner["values"])
    assert "On fresh seeds" in version.description

    trained = epochs_trained(tiny.home)
    points = points_of(client, runs)
    again = tiny.summary(*OPTIONS)
    # the same seconds and epochs too, since they were trained for them
    assert again["finalists"] == found
    assert found["epochs_run"] > 0
    assert points_of(client, runs) == points
    assert again["champion"]["version"] == summary["champion"]["version"]
    assert epochs_trained(tiny.home) == trained
    assert len(client.search_runs([experiment.experiment_id])) == 1 + 3 + len(runs)
