"""Milliseconds: a storage that fails now and then, is full, or may only be read."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from orchestrator.errors import StorageError
from orchestrator.storage import Storage, faults, files
from orchestrator.storage.faults import advice, impatient, passes, retried
from orchestrator.storage.filesystems import filesystem_of


class ThrottledError(Exception):
    """As boto3's errors: no OSError, with the answer."""

    def __init__(self, code: int) -> None:
        super().__init__("An error occurred")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": code}}


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """Files in memory, of which a share of the requests fails, by a seed."""

    protocol = "flaky"
    share = 0.0
    by_chance = random.Random(0)
    failed = 0

    def _fail_perhaps(self) -> None:
        mine = type(self)
        if mine.by_chance.random() < mine.share:
            mine.failed += 1
            raise mine.by_chance.choice(
                [
                    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
                    TimeoutError("no answer"),
                    OSError(errno.EIO, "Input/output error"),
                    OSError("of an unknown kind"),
                    ThrottledError(503),
                ]
            )

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file; half of the faults come when it is written already."""
        self._fail_perhaps()
        super().pipe_file(path, value, mode)
        self._fail_perhaps()

    def info(self, path: str, **_: Any) -> Any:
        """Tell of a path."""
        self._fail_perhaps()
        return super().info(path)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._fail_perhaps()
        return super()._open(path, mode, **options)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.storage.faults.time.sleep", lambda _: None)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """A storage of which nothing fails yet."""
    monkeypatch.setattr(FlakyFileSystem, "share", 0.0)
    monkeypatch.setattr(FlakyFileSystem, "failed", 0)
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    filesystem_of.cache_clear()
    yield Storage(f"flaky://{uuid4().hex}")
    filesystem_of.cache_clear()


def test_a_storage_that_fails_now_and_then_does_all_that_it_is_asked(
    flaky: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlakyFileSystem, "share", 0.1)
    monkeypatch.setattr(FlakyFileSystem, "by_chance", random.Random(3))
    for number in range(50):
        flaky.write_json(f"runs/{number}/run.json", {"number": number})
        flaky.write_json(f"runs/{number}/run.json", {"number": -number})
    assert [flaky.read_json(f"runs/{number}/run.json")["number"] for number in range(50)] == [
        -number for number in range(50)
    ]
    assert sorted(flaky.list("runs"), key=int) == [str(number) for number in range(50)]
    assert all(flaky.exists(f"runs/{number}/run.json") for number in range(50))
    assert flaky.check_writable() is None
    assert FlakyFileSystem.failed > 10


def test_one_that_fails_for_ever_is_one_sentence_after_some_tries(
    flaky: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky.write_bytes("before", b"whole")
    monkeypatch.setattr(FlakyFileSystem, "share", 1.0)
    with pytest.raises(StorageError) as raised:
        flaky.write_bytes("after", b"never")
    said = str(raised.value)
    assert said.startswith(f"{flaky.shown()}: cannot write after: ")
    assert f"(tried {len(faults.WAITS) + 1} times in " in said
    assert said.endswith("the same command goes on once it answers")
    assert "\n" not in said
    monkeypatch.setattr(FlakyFileSystem, "share", 0.0)
    assert flaky.list() == ["before"]


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "there is no room: free some"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "there is no room: free some"),
        (OSError(errno.EROFS, "Read-only file system"), "it may only be read"),
        (PermissionError(errno.EACCES, "Permission denied"), "this user may not"),
    ],
    ids=str,
)
def test_what_waiting_does_not_help_is_told_at_once(
    error: OSError, helps: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, tries = Storage(str(tmp_path)), []
    storage.write_bytes("run.json", b"old")

    def refuse(path: Path, _: bytes) -> None:
        tries.append(path)
        raise error

    monkeypatch.setattr(files, "_replace", refuse)
    with pytest.raises(StorageError) as raised:
        storage.write_bytes("run.json", b"new")
    assert len(tries) == 1
    assert helps in str(raised.value)
    assert storage.read_bytes("run.json") == b"old"
    assert helps in (storage.check_writable() or "")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    storage = Storage(str(tmp_path))
    storage.write_bytes("checkpoint.pt", b"old")
    child = os.fork()
    if child == 0:  # a limit on the size of files, which only lasts as long as the process
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            storage.write_bytes("checkpoint.pt", b"new" * 1000)
        except StorageError as error:
            os._exit(0 if "there is no room: free some" in str(error) else 3)
        os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert storage.read_bytes("checkpoint.pt") == b"old"
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


@pytest.mark.parametrize(
    ("error", "local", "passing"),
    [
        (OSError(errno.EIO, ""), True, True),
        (OSError(errno.ESTALE, ""), True, True),
        (OSError("path is a directory"), True, False),
        (FileNotFoundError(errno.ENOENT, ""), False, False),
        (FileNotFoundError("no such bucket"), False, False),
        (ConnectionError(), False, True),
        (OSError("AWS Error SLOW_DOWN during PutObject: reduce your request rate"), False, True),
        (OSError("AWS Error NETWORK_CONNECTION during PutObject"), False, True),
        (OSError("AWS Error ACCESS_DENIED during PutObject: Access Denied"), False, False),
        (OSError("AWS Error NO_SUCH_BUCKET during PutObject"), False, False),
        (ThrottledError(503), False, True),
        (ThrottledError(403), False, False),
        (ValueError("no such option"), False, False),
        (ImportError("s3fs"), False, False),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again_and_nothing_else(
    error: Exception, local: bool, passing: bool
) -> None:
    assert passes(error, local=local) is passing
    tries = []

    def attempt() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        retried(attempt, local=local)
    assert (len(tries) > 1) is passing


def test_who_looks_on_waits_less() -> None:
    def tries() -> int:
        made = []

        def attempt() -> None:
            made.append(1)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            retried(attempt, local=False)
        return len(made)

    with impatient(0.0):
        assert tries() == 1
    assert tries() == len(faults.WAITS) + 1


def test_a_file_whose_answer_was_lost_is_ones_own(
    flaky: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.storage import create_once

    lost = [True]

    def create(_: str, filesystem: Any, path: str, data: bytes) -> bool:
        if flaky.exists("lease"):
            return False
        filesystem.handler.fs.pipe_file(path, data)
        if lost.pop():
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        return True

    monkeypatch.setattr(create_once, "create_in_store", create)
    assert flaky.create("lease", b"mine") is True
    assert flaky.create("lease", b"another's") is False


def test_advice_says_nothing_of_what_it_does_not_know() -> None:
    assert advice(ValueError("?"), local=True) == ""
