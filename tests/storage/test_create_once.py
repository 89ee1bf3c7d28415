"""A file that one of several writers creates: threads and processes, on a disk and in stores."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.storage import Storage, create_once

WRITERS = 8


def test_a_file_is_created_once(storage: Storage) -> None:
    assert storage.create("of/one", b"first")
    assert not storage.create("of/one", b"second")
    assert storage.read_bytes("of/one") == b"first"
    storage.delete("of/one")
    assert storage.create("of/one", b"third")
    assert storage.list("of") == ["one"]


def test_of_many_threads_one_creates_each_file(storage: Storage) -> None:
    together, won = threading.Barrier(WRITERS), list[tuple[int, int]]()

    def write(writer: int) -> None:
        together.wait()
        for name in range(10):
            if storage.create(f"names/{name}", str(writer).encode()):
                won.append((name, writer))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in won) == list(range(10))
    for name, writer in won:
        assert storage.read_bytes(f"names/{name}") == str(writer).encode()


def test_of_several_processes_one_creates_each_file(tmp_path: Path) -> None:
    script = (
        "import json, sys; from orchestrator.storage import Storage\n"
        f"storage = Storage({str(tmp_path)!r}); sys.stdin.readline()\n"
        "print(json.dumps([n for n in range(50) if storage.create(f'{n}', sys.argv[1].encode())]))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    won = [json.loads(process.communicate("go\n", timeout=120)[0]) for process in processes]
    assert sorted(name for names in won for name in names) == list(range(50))
    assert not list(tmp_path.glob(".*"))


def test_a_store_that_ignores_the_condition_is_not_relied_on(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(f"{bucket}/results?region=us-east-1")
    asked = []

    def ignoring(_: str) -> create_once.Create:
        def create(path: str, _: bytes) -> bool:
            asked.append(path)
            return True

        return create

    monkeypatch.setattr(create_once, "_by_boto3", ignoring)
    monkeypatch.setattr(create_once, "SETTLE", 0.0)
    assert storage.create("one", b"first")
    assert not storage.create("one", b"second")
    assert storage.read_bytes("one") == b"first"
    assert len(asked) == 2  # of the probe, once for all files


def test_who_is_overwritten_meanwhile_has_not_created(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(f"{bucket}/results?region=us-east-1")
    monkeypatch.setattr(create_once, "_by_boto3", lambda _: None)
    monkeypatch.setattr(
        create_once.time, "sleep", lambda _: storage.write_bytes("one", b"another's")
    )
    assert not storage.create("one", b"first")


def test_a_disk_without_links_is_written_exclusively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(create_once.os, "link", refused)
    storage = Storage(str(tmp_path))
    assert storage.create("one", b"first")
    assert not storage.create("one", b"second")
    assert storage.read_bytes("one") == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
