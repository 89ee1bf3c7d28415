"""Files that several processes share: what readers see of a file that is being written, and who has
a lock.
"""

import multiprocessing
import os
import signal
import stat
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from workloads.local_files import Lock, locked, replaced, write_whole

FORK = multiprocessing.get_context("fork")
PATIENCE = 30.0  # seconds


# Files that appear as a whole


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_written_and_replaced(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "record.json"
    for data in (b"first", b"", b"third"):
        write_whole(path, data, durable=durable)
        assert path.read_bytes() == data
        assert os.listdir(tmp_path) == ["record.json"]


def test_until_all_is_written_readers_find_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with replaced(path) as unfinished:
        unfinished.write_text("ne")
        assert path.read_text() == "old"
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_what_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")

    def fail_half_way() -> None:
        with replaced(path) as unfinished:
            unfinished.write_text("ne")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_file_that_was_never_begun_is_an_error_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    for durable in (True, False):
        with pytest.raises(FileNotFoundError), replaced(path, durable=durable):
            pass
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("beside", "name"), [(None, "record.json.partial"), (".hidden", ".hidden")]
)
def test_what_is_unfinished_lies_beside_the_file_by_a_known_name(
    tmp_path: Path, beside: str | None, name: str
) -> None:
    with replaced(tmp_path / "record.json", beside=beside) as unfinished:
        assert unfinished == tmp_path / name
        unfinished.touch()


def test_a_file_is_as_readable_for_others_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "whole", b"")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "whole")}
    assert len(modes) == 1


# Locks


def test_one_at_a_time_has_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock(path) as first, Lock(path) as second:
        assert first.try_to_take()
        assert not second.try_to_take()
        first.close()
        assert second.try_to_take()
    with Lock(path) as third:
        assert third.try_to_take()
    assert path.read_bytes() == b"", "and the file stays"


def test_a_lock_that_is_not_taken_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock(path), Lock(path) as other:
        assert other.try_to_take()


def test_a_lock_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "nowhere" / "lock")


def hold(path: Path, held: Event) -> None:
    with locked(path):
        held.set()
        signal.pause()


def append(path: Path, word: str) -> None:
    """Two writes, between which another process could write, too."""
    for _ in range(200):
        with locked(path.with_name("lock")), path.open("a") as file:
            file.write(f"{word} ")
            file.flush()
            file.write(f"{word}\n")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path, held = tmp_path / "lock", FORK.Event()
    process = FORK.Process(target=hold, args=(path, held))
    process.start()
    assert held.wait(PATIENCE)
    with Lock(path) as lock:
        assert not lock.try_to_take()
        process.kill()
        process.join()
        assert lock.try_to_take()


def test_processes_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    processes = [FORK.Process(target=append, args=(path, word)) for word in ("one", "two")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    lines = path.read_text().splitlines()
    assert len(lines) == 400
    assert set(lines) == {"one one", "two two"}
