"""kill -9 of the driver at random moments: the table is that of an undisturbed study, and little is lost."""

import random
from pathlib import Path

import pytest
from command import PROMOTE, Command, kill_after
from mlflow import MlflowClient
from reading import epochs_trained, table_of, trials_of

pytestmark = pytest.mark.slow

KILLS = 5


def test_a_promoting_study_killed_five_times_equals_an_undisturbed_one(
    small_data: Path, small_space: Path, tmp_path: Path
) -> None:
    options = (*PROMOTE, "--trials", "12")
    undisturbed = Command(small_space, small_data, tmp_path / "undisturbed")
    summary = undisturbed.summary(*options)
    killed = Command(small_space, small_data, tmp_path / "killed")
    moments = random.Random(7)
    # counted in finished epochs, so that a slow machine is killed at the same places
    kills = [
        kill_after(killed, options, moments.randint(0, 2), delay_s=moments.random() * 0.3)
        for _ in range(KILLS)
    ]
    final = killed.summary(*options)

    assert all(kills)
    assert table_of(killed.home) == table_of(undisturbed.home)
    assert (final["best"], final["trials"]) == (summary["best"], summary["trials"])
    assert final["champion"]["test_loss"] == summary["champion"]["test_loss"]
    assert epochs_trained(killed.home) <= epochs_trained(undisturbed.home) + KILLS
    ways = {way for trial in trials_of(killed.home) for way in trial.user_attrs.get("promotions", [])}
    assert ways == {"rank", "long shot"}


def test_a_study_killed_twice_in_its_race_of_finalists_ends_it_as_an_undisturbed_one(
    small_data: Path, small_space: Path, tmp_path: Path
) -> None:
    search = (*PROMOTE, "--trials", "6")
    race = (*search, "--finalists", "2", "--set", "finalists.seeds=2")
    undisturbed = Command(small_space, small_data, tmp_path / "undisturbed")
    summary = undisturbed.summary(*race)
    killed = Command(small_space, small_data, tmp_path / "killed")
    # the search is over, so whatever is trained from here on is trained in the race
    killed.summary(*search)
    assert kill_after(killed, race, 0, delay_s=0.1)
    assert kill_after(killed, race, 1, delay_s=0.1)
    final = killed.summary(*race)

    assert final["finalists"]["rows"] == summary["finalists"]["rows"]
    assert final["finalists"]["epochs_run"] == summary["finalists"]["epochs_run"]
    assert table_of(killed.home) == table_of(undisturbed.home)
    assert epochs_trained(killed.home) <= epochs_trained(undisturbed.home) + 2
    assert names_of_finalists(killed.home) == names_of_finalists(undisturbed.home)


def names_of_finalists(home: Path) -> list[str]:
    """The names of MLflow's runs on fresh seeds, which show one that is there twice."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`search.role` = 'finalist'")
    return sorted(str(run.info.run_name) for run in runs)
