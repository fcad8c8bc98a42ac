"""The rooms of the house: imports only point down, and what answers at once loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "search"

# Each room may import from those below it and from itself.
ROWS: list[set[str]] = [
    {"run", "advise", "sync", "api"},
    {"session"},
    {"view"},
    {"driver"},
    {"executor", "registry"},
    {"recorder"},
    {"scheduler"},
    {"training"},
    {"model"},
    {"data"},
    {"config"},
    {"store"},
    {"user_function"},
    {"errors", "digests", "seeds", "urls"},
]
LIBRARIES = {
    "mlflow": {"recorder", "registry"},
    "optuna": {"scheduler", "recorder"},
    "keras": {"model", "training", "registry"},
    "tensorflow": {"model", "training"},
    "jax": {"model", "training"},
    "sklearn": {"training"},
}


def imports_of(path: Path) -> list[str]:
    """The full names that a file imports, also within functions, but not for type checkers only."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    return names


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def row_of(room: str) -> int:
    found = [i for i, row in enumerate(ROWS) if room in row]
    assert found, f"room {room} has no row"
    return found[0]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for name in imports_of(path):
        parts = name.split(".")
        if (
            parts[0] == "search"
            and len(parts) > 1
            and (PACKAGE / parts[1]).with_suffix(".py").exists() | (PACKAGE / parts[1]).is_dir()
        ):
            other = parts[1]
            assert other == room or row_of(other) > row_of(room), f"{path.name} imports {name}"
        if parts[0] in LIBRARIES:
            assert room in LIBRARIES[parts[0]], f"{path.name} imports {name}"


def test_mlflow_is_the_library_and_its_folder_holds_no_module() -> None:
    import mlflow

    assert mlflow.__file__
    assert not list((PACKAGE.parent / "mlflow").rglob("*.py"))


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "search.run",
            {"pandas", "optuna", "mlflow", "keras", "tensorflow", "sklearn", "plotly", "sqlalchemy"},
        ),
        ("search.advise", {"pandas", "optuna", "mlflow", "keras", "tensorflow", "sklearn", "sqlalchemy"}),
        ("search.sync", {"pandas", "optuna", "mlflow", "keras", "tensorflow", "sklearn", "sqlalchemy"}),
        ("search.driver.study", {"mlflow", "keras", "tensorflow", "jax", "sklearn"}),
        ("search.driver.driver", {"mlflow", "keras", "tensorflow", "jax", "sklearn"}),
        ("search.training.worker", {"mlflow", "optuna", "keras", "tensorflow", "jax", "sklearn"}),
    ],
)
def test_a_module_loads_nothing_heavier_than_it_needs(module: str, unwanted: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert unwanted & set(done.stdout.split()) == set()
