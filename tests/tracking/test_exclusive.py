"""One process at a time uses a store, and no lock is left among temporary files."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import TrackingError
from orchestrator.tracking import exclusive as locking
from orchestrator.tracking.exclusive import exclusive

ADDS = """
import sys
from pathlib import Path
from orchestrator.tracking.exclusive import exclusive
count = Path(sys.argv[1])
for _ in range(200):
    with exclusive("http://mlflow.example.org"):
        count.write_text(str(int(count.read_text()) + 1))
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_processes_that_delete_the_lock_exclude_each_other_nevertheless(
    tmp_path: Path, temporary: Path
) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    words = [sys.executable, "-c", ADDS, str(count)]
    adding = [subprocess.Popen(words) for _ in range(3)]
    assert [each.wait() for each in adding] == [0, 0, 0]
    assert count.read_text() == "600"
    assert list(temporary.iterdir()) == []


def test_who_waits_too_long_is_told_which_lock(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setattr(locking, "PATIENCE", 0.1)
    uri = "http://mlflow.example.org"
    with (
        exclusive(uri),
        pytest.raises(TrackingError, match=str(temporary)),
        exclusive(uri),
    ):
        pass
    with exclusive(uri):
        assert list(temporary.iterdir())
    assert not list(temporary.iterdir())
