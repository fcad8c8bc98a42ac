"""Real MLflow for the tests of two rooms: new databases, one server for all, a reader of what they hold."""

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

# The server takes up to 22 s on two busy cores, and more when the disk is cold.
START_S = 120


class Server:
    """A real `mlflow server` on a port of its own, that can be killed and started again.

    Args:
        home: Its folder.
        store: Its database; by default one in the folder.
    """

    def __init__(self, home: Path, store: str | None = None) -> None:
        self.home = home
        self._store = store or f"sqlite:///{home}/mlflow.db"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--backend-store-uri", self._store]
        command += ["--artifacts-destination", str(self.home / "mlartifacts")]
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | quiet | {"PATH": path},
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            await_answer(f"{self.uri}/health")
        except TimeoutError as error:
            raise RuntimeError((self.home / "server.log").read_text()[-2000:]) from error

    def kill(self) -> None:
        """End it at once with all its processes, as `kill -9` does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def await_answer(address: str) -> None:
    """Wait until a server answers at an address."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"{address} does not answer")


@functools.cache
def shared_server() -> Server:
    """The one server of this test run; it ends with it."""
    home = Path(tempfile.mkdtemp(prefix="mlflow-server-"))
    server = Server(home)
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    atexit.register(server.kill)
    server.start()
    return server


@functools.cache
def new_database() -> bytes:
    """A database with MLflow's tables and nothing in them; kept, as making it takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
        return path.read_bytes()


def make_home(folder: Path) -> Path:
    """A home folder whose name has a blank, with a new database."""
    home = folder / "a home"
    home.mkdir()
    (home / "mlflow.db").write_bytes(new_database())
    return home


class Stored:
    """What MLflow holds of one study, read by MLflow's own client."""

    def __init__(self, uri: str, study: str) -> None:
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.study = study

    def runs(self) -> dict[str | None, Run]:
        """The runs by trial number as text, None for the parent; fails where one stands twice."""
        experiment = self.client.get_experiment_by_name(self.study)
        if experiment is None:
            return {}
        runs = self.client.search_runs([experiment.experiment_id])
        found = {run.data.tags.get("search.trial"): run for run in runs}
        assert len(found) == len(runs), [run.info.run_name for run in runs]
        return found

    def history(self, number: int, metric: str) -> list[tuple[int, float]]:
        """Every stored value as (step, value), repeated ones too."""
        run = self.runs()[str(number)]
        return sorted((m.step, m.value) for m in self.client.get_metric_history(run.info.run_id, metric))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
