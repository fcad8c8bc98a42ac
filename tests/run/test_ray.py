"""A study on a real Ray cluster of two nodes that want a token."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from alone import Alone
from command import PROMOTE, Command
from real_ray import cluster
from test_workers import check_whole, started, wait_for_epochs

pytestmark = pytest.mark.slow

OPTIONS = (*PROMOTE, "--trials", "6", "--set", "sampler.name=random")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text("0" * 64)
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(file)}


@pytest.fixture(scope="module")
def address(token: dict[str, str]) -> Iterator[str]:
    with cluster(token) as found:
        yield found


@pytest.fixture
def command(small_data: Path, small_space: Path, tmp_path: Path, token: dict[str, str]) -> Command:
    return Command(small_space, small_data, tmp_path / "home", environment=dict(token), workers="3")


def actors() -> list[psutil.Process]:
    """The processes in which workers live on this machine."""
    return [one for one in psutil.process_iter() if "_ClusterWorker" in " ".join(_line(one))]


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_study_on_a_cluster_loses_a_worker_and_gives_the_values_of_its_settings_alone(
    command: Command, address: str, small_space: Path, small_data: Path, tmp_path: Path
) -> None:
    with started(command, "--ray", address, *OPTIONS) as process:
        wait_for_epochs(command, process, 3)
        actors()[0].kill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err

    check_whole(command, Alone(small_space, small_data, tmp_path / "alone"), 6)
    assert not psutil.wait_procs(actors(), timeout=10)[1]


def test_a_cluster_without_room_or_without_its_token_is_told_in_one_line(
    command: Command, address: str
) -> None:
    many = command.run("--ray", address, "--workers", "5")
    assert many.returncode == 2
    assert f"--workers: 5 do not fit the cluster at {address}, which has 4 CPUs and 0 GPUs" in many.stderr
    both = command.run("--ray", address, "--workers", "inline")
    assert both.returncode == 2
    assert "--ray: Ray chooses machines and GPUs" in both.stderr
    command.environment |= {"RAY_AUTH_MODE": "disabled"}
    closed = command.run("--ray", address)
    assert closed.returncode == 2
    assert f"--ray: there is no cluster at {address}" in closed.stderr
    assert all("Traceback" not in done.stderr for done in (many, both, closed))
