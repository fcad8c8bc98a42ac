"""One driver a study and home, by a lock that outlives nobody."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from search.driver.lease import held_at
from search.errors import StudyError
from search.recorder.holder import Holder

HOLDS = """
import signal, sys
from pathlib import Path
from search.driver.lease import held_at
with held_at(Path(sys.argv[1]), "small"):
    print("held", flush=True)
    signal.pause()
"""


def _holder(home: Path) -> subprocess.Popen[str]:
    """A process that holds the study."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_driver_is_told_which_process_holds_the_study_and_since_when(tmp_path: Path) -> None:
    before = datetime.now().replace(microsecond=0)
    process = _holder(tmp_path)
    try:
        with pytest.raises(StudyError) as caught, held_at(tmp_path, "small"):
            raise AssertionError("it is held twice")
    finally:
        process.kill()
        process.wait()
    words = str(caught.value).split(" since ")
    assert words[0] == f"Study small is being run by process {process.pid} on {socket.gethostname()}"
    since = datetime.strptime(words[1].partition(";")[0], "%Y-%m-%d %H:%M:%S")
    assert before <= since <= datetime.now()


def test_a_killed_holder_holds_nothing_although_its_note_is_still_there(tmp_path: Path) -> None:
    process = _holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    note = tmp_path / "studies" / "small.holder"
    assert f" {process.pid} " in note.read_text()
    with held_at(tmp_path, "small"):
        found = Holder.of_label(note.read_text())
        assert found is not None
        assert found.pid == os.getpid()
    assert not note.exists()


def test_a_study_is_free_again_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), held_at(tmp_path, "small"):
            raise KeyboardInterrupt


def test_other_studies_of_a_home_and_other_homes_are_free(tmp_path: Path) -> None:
    with held_at(tmp_path, "small"), held_at(tmp_path, "small-2"), held_at(tmp_path / "other", "small"):
        pass


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("a file")
    with (
        pytest.raises(StudyError, match=r"^--home: .* cannot be written \(.*\); give"),
        held_at(tmp_path, "a"),
    ):
        pass


def test_times_are_those_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert str(Holder("h", 1, 0)) == "process 1 on h since 1970-01-01 09:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()
