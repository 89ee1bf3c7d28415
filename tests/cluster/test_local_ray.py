"""Milliseconds, without Ray: where a local Ray's files lie, and what is said when none starts.

That a sweep runs with a long TMPDIR is tested with a real Ray in tests/sweep.
"""

import errno
import logging
import queue
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster import connection, short_folder
from orchestrator.cluster.connection import STARTS, connected
from orchestrator.cluster.short_folder import LONGEST, folder_for_ray
from orchestrator.errors import ClusterError
from workloads.cpus import usable_cpus


@pytest.fixture(autouse=True)
def _own_places(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in ("RAY_TMPDIR", "TMPDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder of the test's own, beside which no other is tried."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as folder:
        monkeypatch.setattr(short_folder, "SHORT", (folder,))
        yield Path(folder)


def test_without_a_word_ray_has_its_own_folder() -> None:
    with folder_for_ray() as folder:
        assert folder is None


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
def test_a_long_folder_is_replaced_by_a_short_one_that_is_gone_afterwards(
    name: str, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("scratch_of_the_batch_system_" * 4)
    long.mkdir()
    monkeypatch.setenv(name, str(long))
    with folder_for_ray() as folder:
        assert folder is not None
        assert Path(folder).parent == short
        assert len(folder) <= LONGEST
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        (Path(folder) / "session" / "sockets").mkdir(parents=True)
    assert list(short.iterdir()) == []
    assert list(long.iterdir()) == []


def test_a_short_folder_that_can_be_written_is_left_to_ray(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short))
    with folder_for_ray() as folder:
        assert folder is None


def test_a_folder_that_is_not_there_is_replaced(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short / "gone"))
    with folder_for_ray() as folder:
        assert folder is not None


def test_without_any_short_folder_the_variable_and_the_mend_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = str(tmp_path / ("long" * 30))
    monkeypatch.setenv("TMPDIR", long)
    monkeypatch.setattr(short_folder, "SHORT", ("/none/here",))
    with pytest.raises(ClusterError) as refused, folder_for_ray():
        pass
    assert "; /none/here cannot be used either" in str(refused.value)
    assert str(refused.value).startswith(f"TMPDIR={long}: is no folder for a local Ray")
    assert str(refused.value).endswith("set RAY_TMPDIR to one that can")


class Refusing:
    """Stands for `ray.init` that fails, and keeps what it was asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **options: Any) -> None:
        self.asked.append(options)
        raise self.error


LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(
    ("error", "tries", "said"),
    [
        (
            Exception("The current node timed out during startup. This could happen because"),
            STARTS,
            "the machine is too busy (load ",
        ),
        (OSError(errno.EMFILE, "Too many open files"), 1, f"may open {LIMIT} files: `ulimit -n"),
        (RuntimeError("can't start new thread"), 1, "processes and threads: `ulimit -u` sets"),
        (TimeoutError("Timed out after 30 s"), STARTS, "the machine is too busy (load "),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "no room in /tmp: set RAY_TMPDIR"),
        (AssertionError(), 1, "a local Ray: cannot connect (AssertionError)"),
        (ValueError("port 6379\nis taken"), 1, "cannot connect (port 6379 is taken)"),
    ],
    ids=str,
)
def test_whatever_ray_meets_while_it_starts_is_one_sentence(
    error: Exception, tries: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing(error)
    monkeypatch.setattr("ray.init", refusing)
    with pytest.raises(ClusterError) as refused, connected(None):
        pass
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(refusing.asked) == tries
    assert refusing.asked[0]["num_cpus"] == usable_cpus()


def test_a_start_that_takes_long_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told: queue.Queue[str] = queue.Queue()

    def slow(**_: Any) -> None:
        raise ValueError(told.get(timeout=100))

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.put(record.getMessage())

    monkeypatch.setattr("ray.init", slow)
    monkeypatch.setattr(connection, "QUIET", 0.0)
    hearing = Hearing()
    connection.log.addHandler(hearing)
    try:
        with (
            pytest.raises(ClusterError, match=r"still waiting for a local Ray to answer \(load "),
            connected(None),
        ):
            pass
    finally:
        connection.log.removeHandler(hearing)
