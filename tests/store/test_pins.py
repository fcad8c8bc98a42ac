"""Pins: held by name, for each study apart, and by nobody's life."""

import subprocess
import sys
from pathlib import Path

from search.store.pins import Pins, pinned


def keys(root: Path) -> set[str]:
    return {str(place.relative_to(root)) for place in pinned(root)}


def test_what_a_name_holds_is_pinned_until_it_holds_something_else(tmp_path: Path) -> None:
    pins = Pins(tmp_path, "study")
    assert keys(tmp_path) == set()
    pins.hold("trial 1", [("checkpoints", "a")])
    pins.hold("trial 2", [("checkpoints", "b"), ("features", "c")])
    assert keys(tmp_path) == {"checkpoints/a", "checkpoints/b", "features/c"}
    pins.hold("trial 1", [("checkpoints", "d")])
    assert keys(tmp_path) == {"checkpoints/d", "checkpoints/b", "features/c"}
    pins.release("trial 2")
    pins.release("trial 2")
    assert keys(tmp_path) == {"checkpoints/d"}
    assert pins.names() == ["trial 1"]


def test_two_names_may_hold_one_entry(tmp_path: Path) -> None:
    pins = Pins(tmp_path, "study")
    pins.hold("trial 1", [("checkpoints", "a")])
    pins.hold("champion", [("checkpoints", "a")])
    pins.release("trial 1")
    assert keys(tmp_path) == {"checkpoints/a"}


def test_studies_pin_apart_and_one_that_is_discarded_lets_go(tmp_path: Path) -> None:
    one, other = Pins(tmp_path, "one"), Pins(tmp_path, "other")
    one.hold("champion", [("checkpoints", "a")])
    other.hold("champion", [("checkpoints", "b")])
    assert keys(tmp_path) == {"checkpoints/a", "checkpoints/b"}
    one.discard()
    one.discard()
    assert keys(tmp_path) == {"checkpoints/b"}


def test_pins_outlive_a_killed_driver(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from search.store.pins import Pins
Pins(Path({str(tmp_path)!r}), "study").hold("trial 3", [("checkpoints", "a")])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert keys(tmp_path) == {"checkpoints/a"}
    again = Pins(tmp_path, "study")
    assert again.names() == ["trial 3"]
    again.hold("trial 4", [("checkpoints", "b")])
    assert keys(tmp_path) == {"checkpoints/a", "checkpoints/b"}
