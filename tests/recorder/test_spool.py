import json
from pathlib import Path

import pytest

from search.recorder.spool import Spool


def record(number: int) -> dict[str, object]:
    return {"kind": "epoch", "number": number, "text": "Kätzchen\nund Hund"}


def numbers(spool: Spool, most: int = 100) -> list[object]:
    return [line.record["number"] for line in spool.peek(most)]


def test_records_come_back_in_their_order_from_another_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "cats.spool.jsonl")
    for number in range(5):
        spool.append(record(number))
    again = Spool(tmp_path / "cats.spool.jsonl")
    assert again.n_waiting == 5
    assert [line.record for line in again.peek(100)] == [record(number) for number in range(5)]
    assert numbers(again, most=2) == [0, 1]


def test_what_was_sent_does_not_come_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "cats.spool.jsonl")
    for number in range(5):
        spool.append(record(number))
    spool.advance(spool.peek(3))
    assert numbers(spool) == [3, 4]
    again = Spool(tmp_path / "cats.spool.jsonl")
    assert (again.n_waiting, numbers(again)) == (2, [3, 4])


@pytest.mark.parametrize("n_torn", [1, 10, 30])
def test_a_line_torn_by_a_kill_is_dropped_and_the_next_one_is_whole(tmp_path: Path, n_torn: int) -> None:
    path = tmp_path / "cats.spool.jsonl"
    spool = Spool(path)
    spool.append(record(1))
    with path.open("ab") as file:
        file.write((json.dumps(record(2)) + "\n").encode()[:n_torn])
    again = Spool(path)
    again.append(record(3))
    assert numbers(Spool(path)) == [1, 3]


def test_a_spool_that_is_wholly_sent_is_emptied_when_it_is_large(tmp_path: Path) -> None:
    path = tmp_path / "cats.spool.jsonl"
    spool = Spool(path)
    large = record(1) | {"text": "x" * 600_000}
    spool.append(large)
    spool.append(large)
    spool.advance(spool.peek(1))
    assert path.stat().st_size > 1_200_000
    spool.advance(spool.peek(1))
    assert path.stat().st_size == 0
    spool.append(record(7))
    assert numbers(spool) == numbers(Spool(path)) == [7]


def test_closing_removes_the_files_only_when_nothing_waits(tmp_path: Path) -> None:
    path = tmp_path / "cats.spool.jsonl"
    spool = Spool(path)
    spool.append(record(1))
    spool.close()
    again = Spool(path)
    assert numbers(again) == [1]
    again.advance(again.peek(1))
    again.close()
    assert list(tmp_path.iterdir()) == []


def test_a_place_beyond_the_end_of_the_file_means_that_it_was_emptied(tmp_path: Path) -> None:
    path = tmp_path / "cats.spool.jsonl"
    Spool(path).append(record(1))
    path.with_suffix(".offset").write_text("999999")
    assert numbers(Spool(path)) == [1]


def test_a_damaged_place_sends_all_again(tmp_path: Path) -> None:
    path = tmp_path / "cats.spool.jsonl"
    Spool(path).append(record(1))
    path.with_suffix(".offset").write_text("")
    assert numbers(Spool(path)) == [1]


def test_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "cats.spool.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        spool.append({"value": float("nan")})
    assert spool.path.stat().st_size == 0


def test_a_line_that_is_no_json_comes_as_unreadable_and_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cats.spool.jsonl"
    Spool(path).append(record(1))
    with path.open("ab") as file:
        file.write(b"\xff{{\n")
    spool = Spool(path)
    spool.append(record(2))
    assert [line.record["kind"] for line in spool.peek(9)] == ["epoch", "unreadable", "epoch"]
    spool.advance(spool.peek(2))
    assert numbers(spool) == [2]


def test_a_full_disk_leaves_no_half_record(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    spool = Spool(tmp_path / "cats.spool.jsonl")
    spool.append(record(1))
    size = spool.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(OSError, match=r"a part of a record|too large"):
            spool.append(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert spool.path.stat().st_size == size
    spool.append(record(3))
    assert numbers(Spool(spool.path)) == [1, 3]


def test_a_kept_folder_stays_until_its_record_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text("a")
    spool = Spool(tmp_path / "cats.spool.jsonl")
    name = spool.keep(folder)
    spool.append({"kind": "artifacts", "folder": name})
    (folder / "deep" / "a.txt").unlink()
    again = Spool(spool.path)
    assert (again.folders / name / "deep" / "a.txt").read_text() == "a"
    again.advance(again.peek(1))
    assert list(again.folders.iterdir()) == []


def test_a_kept_folder_without_a_record_goes_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    spool = Spool(tmp_path / "cats.spool.jsonl")
    spool.keep(tmp_path / "pictures")
    assert list(Spool(spool.path).folders.iterdir()) == []


def test_a_rejected_record_is_kept_with_its_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "cats.spool.jsonl")
    spool.reject(record(1), "too long")
    spool.reject(record(2), "too short")
    kept = [json.loads(line) for line in spool.rejected.read_text().splitlines()]
    assert [entry["reason"] for entry in kept] == ["too long", "too short"]
    assert kept[0]["record"] == record(1)


def test_the_disk_is_flushed_only_for_what_is_to_be_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, flushed = Spool(tmp_path / "small.spool.jsonl"), list[int]()
    monkeypatch.setattr("search.recorder.spool.os.fsync", flushed.append)
    spool.append({"kind": "epoch"}, durable=False)
    assert not flushed
    spool.append({"kind": "end"})
    assert len(flushed) == 1
    # both outlive the process
    assert Spool(tmp_path / "small.spool.jsonl").n_waiting == 2
