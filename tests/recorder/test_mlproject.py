import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands in for the command: what it is called with, and where, is what the project file decides.
STAND_IN = """#!/bin/sh
pwd
printf '%s\\n' "$@"
"""


@pytest.mark.slow
def test_mlflow_run_passes_its_parameters_on_to_the_command(tmp_path: Path) -> None:
    stand_in = tmp_path / "bin" / "python"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    command = [sys.executable, "-m", "mlflow", "run", "mlflow", "--env-manager", "local", "-e", "search"]
    command += ["-P", "study=dogs and cats", "-P", "trials=12", "-P", "tracking-uri=sqlite:///x.db"]
    path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    output = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings | {"PATH": path}, capture_output=True, text=True
    )
    assert output.returncode == 0, output.stderr
    where, *arguments = output.stdout.splitlines()
    assert where == str(ROOT)
    assert arguments[:2] == ["-m", "search.run"]
    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    assert options == {"--study": "dogs and cats", "--trials": "12", "--tracking-uri": "sqlite:///x.db"}


def test_no_python_file_stands_where_it_would_hide_the_library() -> None:
    assert list((ROOT / "mlflow").rglob("*.py")) == []
