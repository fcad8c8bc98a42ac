"""kill -9 of the driver: the table is that of an undisturbed study, and little is lost."""

from dataclasses import replace
from pathlib import Path

import pytest
from command import PROMOTE, Command, kill_after
from mlflow import MlflowClient
from reading import epochs_trained, table_of, trials_of

pytestmark = pytest.mark.slow

# Epochs and seconds after which each start is killed: in the first trial, among paused ones, once some are
# promoted. Counted in finished epochs, so that a slow machine is killed at the same places.
KILLS = ((0, 0.0), (6, 0.05), (9, 0.2))


def test_a_promoting_study_killed_three_times_equals_an_undisturbed_one(
    tiny: Command, tmp_path: Path
) -> None:
    options = (*PROMOTE, "--trials", "12")
    undisturbed = replace(tiny, home=tmp_path / "undisturbed")
    summary = undisturbed.summary(*options)
    killed = replace(tiny, home=tmp_path / "killed")
    for epochs, delay_s in KILLS:
        assert kill_after(killed, options, epochs, delay_s)
    final = killed.summary(*options)

    assert table_of(killed.home) == table_of(undisturbed.home)
    assert (final["best"], final["trials"]) == (summary["best"], summary["trials"])
    assert final["champion"]["test_loss"] == summary["champion"]["test_loss"]
    assert epochs_trained(killed.home) <= epochs_trained(undisturbed.home) + len(KILLS)
    ways = {way for trial in trials_of(killed.home) for way in trial.user_attrs.get("promotions", [])}
    assert ways == {"rank", "long shot"}


def test_a_study_killed_twice_in_its_race_of_finalists_ends_it_as_an_undisturbed_one(
    tiny: Command, tmp_path: Path
) -> None:
    race = (*PROMOTE, "--trials", "6", "--finalists", "2", "--set", "finalists.seeds=2")
    undisturbed = replace(tiny, home=tmp_path / "undisturbed")
    summary = undisturbed.summary(*race)
    killed = replace(tiny, home=tmp_path / "killed")
    # what is trained once the search is over is trained in the race
    n_search = epochs_trained(undisturbed.home) - summary["finalists"]["epochs_run"]
    assert kill_after(killed, race, n_search, delay_s=0.1)
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
