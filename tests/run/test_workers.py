"""Several workers, and what goes wrong with them: nothing is lost, doubled or left behind."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from alone import Alone, check_values
from command import PROMOTE, Command
from mlflow import MlflowClient
from reading import epochs_trained, trials_of

pytestmark = pytest.mark.slow

LONGEST_S = 10.0
OPTIONS = (*PROMOTE, "--trials", "8", "--set", "sampler.name=random")


@pytest.fixture(scope="module")
def alone(small_data: Path, small_space: Path, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return Alone(small_space, small_data, tmp_path_factory.mktemp("alone"))


@pytest.fixture
def command(small_data: Path, small_space: Path, tmp_path: Path) -> Command:
    return Command(small_space, small_data, tmp_path / "home", workers="2")


@contextmanager
def started(command: Command, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start a study in a process group of its own; what is left of it in the end is killed."""
    process = subprocess.Popen(
        command.line(*options), stdout=-1, stderr=-1, text=True, env=command.env(), start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes in which a study trains."""
    children = psutil.Process(process.pid).children()
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


def wait_for_epochs(command: Command, process: subprocess.Popen[str], n: int) -> None:
    while process.poll() is None and epochs_trained(command.home) < n:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


def names_of_runs(home: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    return sorted(str(run.info.run_name) for run in client.search_runs([experiment.experiment_id]))


def check_whole(command: Command, alone: Alone, n_trials: int) -> None:
    """Hold a study to what it promises, whatever happened on the way."""
    trials = trials_of(command.home)
    assert len(trials) == n_trials
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    check_values(alone, trials)
    names = names_of_runs(command.home)
    assert len(names) == len(set(names)) == n_trials + 1


def test_two_workers_give_each_trial_the_values_of_its_settings_alone(command: Command, alone: Alone) -> None:
    summary = command.summary(*OPTIONS)

    check_whole(command, alone, 8)
    configs = [str(trial.user_attrs["config"]) for trial in trials_of(command.home)]
    assert len(configs) == len(set(configs)), "parallel trials repeat no point"
    assert summary["epochs_run"] == epochs_trained(command.home)


def test_a_worker_killed_in_an_epoch_costs_that_segment(command: Command, alone: Alone) -> None:
    with started(command, "--json", *OPTIONS) as process:
        wait_for_epochs(command, process, 4)
        victim = workers_of(process)[0]
        victim.kill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err

    check_whole(command, alone, 8)
    notes = [note for trial in trials_of(command.home) for note in trial.user_attrs.get("retries", ())]
    assert len(notes) == 1
    assert "was ended by SIGKILL" in notes[0]
    assert notes[0] in err


def test_a_study_told_to_end_in_half_a_minute_stops_at_the_epoch_and_goes_on(
    command: Command, alone: Alone
) -> None:
    with started(command, *OPTIONS) as process:
        wait_for_epochs(command, process, 3)
        workers = workers_of(process)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 75, err
    assert "stopped; go on with: python -m search.run" in err
    assert "Traceback" not in err
    assert len(workers) == 2
    assert not psutil.wait_procs(workers, timeout=LONGEST_S)[1]
    assert time.monotonic() - began < 30

    before = epochs_trained(command.home)
    command.summary(*OPTIONS)
    check_whole(command, alone, 8)
    assert before >= 3


def test_ctrl_c_twice_leaves_no_process(command: Command) -> None:
    with started(command, *OPTIONS) as process:
        wait_for_epochs(command, process, 2)
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=LONGEST_S)

    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not psutil.wait_procs(family, timeout=LONGEST_S)[1]


def test_drivers_and_workers_killed_at_random_lose_and_double_nothing(command: Command, alone: Alone) -> None:
    moments = random.Random(3)
    for _ in range(4):
        with started(command, *OPTIONS) as process:
            known = epochs_trained(command.home)
            wait_for_epochs(command, process, known + moments.randint(1, 3))
            time.sleep(moments.random() * 0.3)
            family = psutil.Process(process.pid).children(recursive=True)
            if moments.random() < 0.5 and (workers := workers_of(process)):
                moments.choice(workers).kill()
                wait_for_epochs(command, process, known + 5)
            process.kill()
            process.wait()
        assert not psutil.wait_procs(family, timeout=LONGEST_S)[1]
    summary = command.summary(*OPTIONS)

    check_whole(command, alone, 8)
    assert summary["trials"]["running"] == 0


HANGS = """
import time
from pathlib import Path

calls = 0


def augment(image):
    global calls
    calls += 1
    mark = Path(__file__).with_name("hung")
    if calls == 20 and not mark.exists():
        mark.touch()
        time.sleep(3600)
    return image
"""


def test_a_segment_that_hangs_is_ended_by_the_time_limit_of_its_trial(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "hanging.py").write_text(HANGS)
    command.environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    own = ("--set", "fixed.augmentor=hanging:augment", "--set", "free.augment={choice: [0.5]}")
    limit = ("--set", "budget.trial_timeout=30s", "--set", "recipes=[]", "--trials", "3")
    summary = command.summary(*own, *limit)

    hung = [trial for trial in trials_of(command.home) if "did not end" in trial.user_attrs.get("reason", "")]
    assert (tmp_path / "hung").exists()
    assert len(hung) == 1
    assert hung[0].user_attrs["reason"] == "budget.trial_timeout: head epoch 1 did not end, at most 30 s"
    assert hung[0].state.name == "PRUNED"
    assert sum(summary["trials"].values()) == 3
    assert summary["champion"] is not None


def test_who_attaches_sees_the_running_study_and_is_told_where_there_is_none(command: Command) -> None:
    alone = command.run("--attach")
    assert alone.returncode == 2
    assert "--attach: nobody runs study small" in alone.stderr

    with started(command, *OPTIONS) as process:
        wait_for_epochs(command, process, 1)
        watching = command.run(*OPTIONS, "--attach")
        process.communicate(timeout=300)
    assert watching.returncode == 0, watching.stderr
    ended = {line.split(": ")[0] for line in watching.stdout.splitlines() if " trial " in line}
    assert len(ended) >= 4, watching.stdout
    assert len(trials_of(command.home)) == 8


CLOCK = """
import os
import time

_shift_s = float(os.environ.get("SHIFT_S", "0"))
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _shift_s
time.time_ns = lambda: _time_ns() + int(_shift_s * 1e9)
"""


def test_a_clock_that_jumps_back_a_day_between_two_starts_changes_nothing(
    command: Command, alone: Alone, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    command.environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command.environment["SHIFT_S"] = "86400"
    with started(command, *OPTIONS) as process:
        wait_for_epochs(command, process, 5)
        process.kill()
    command.environment["SHIFT_S"] = "-86400"
    summary = command.summary(*OPTIONS)

    check_whole(command, alone, 8)
    assert summary["epochs_run"] <= epochs_trained(command.home) <= summary["epochs_run"] + 2


AILS = """
import os
import signal
from pathlib import Path

calls = 0


def augment(image):
    global calls
    calls += 1
    marks = Path(__file__).with_name("marks")
    marks.mkdir(exist_ok=True)
    n_marks = len(list(marks.iterdir()))
    if calls > 60 and n_marks < int(os.environ["TIMES"]):
        (marks / str(n_marks)).touch()
        ail()
    return image


def ail():
    if os.environ["WAY"] == "raise":
        raise MemoryError("no room for this")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("way", "times"), [("raise", 2), ("kill", 2), ("raise", 3)])
def test_a_segment_that_memory_is_too_small_for_runs_again_and_then_in_parts(
    command: Command, alone: Alone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, times: int
) -> None:
    (tmp_path / f"ailing_{way}{times}.py").write_text(AILS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TIMES", "0")  # what runs alone in this process is well
    command.environment |= {"TIMES": str(times), "WAY": way, "PYTHONPATH": str(tmp_path)}
    command.workers = "1"
    own = ("--set", f"fixed.augmentor=ailing_{way}{times}:augment", "--set", "free.augment={choice: [0.5]}")
    command.summary(*own, "--set", "recipes=[]", "--set", "pruner.name=none", "--trials", "2")

    first, second = trials_of(command.home)
    notes = first.user_attrs["retries"]
    assert second.state.name == "COMPLETE"
    assert "retries" not in second.user_attrs
    assert len(notes) == 2
    assert notes[1].endswith("; from now on with batches in 2 parts")
    assert ("SIGKILL" if way == "kill" else "out of memory") in notes[0]
    assert first.user_attrs["accumulation"]["parts"] == 2
    if times == 3:
        assert first.state.name == "FAIL"
        assert "was tried 3 times; the last time: " in first.user_attrs["reason"]
        check_values(alone, [second])
    else:
        assert first.state.name == "COMPLETE"
        check_values(alone, [first, second])
    assert len(names_of_runs(command.home)) == 3
