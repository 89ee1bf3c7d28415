"""A real MLflow database in a storage that is moved or copied, or has an odd name.

MLflow remembers for each run of a process where its files are; so each recording is a process of
its own, as commands are. This file is also their script.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.storage import Storage
from orchestrator.tracking import Tracker
from orchestrator.tracking.relocated import put_right, without_marks


def recorded(storage: Storage, fingerprint: str) -> str:
    """Record a run with a file in a process of its own, and return the run's id."""
    words = [sys.executable, __file__, storage.uri, fingerprint]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    return ended.stdout.split()[-1]


def record(storage: Storage, fingerprint: str) -> str:
    tracker = Tracker.open(None, storage)
    parent = tracker.sweep("few labels", "s1", name="sweep", tags={}, plan={})
    cell = tracker.cell(parent, fingerprint, name="cell", tags={}, params={})
    tracker.finish(cell, {"top1": 0.5}, {"run.json": fingerprint})
    return cell.run_id


def read(storage: Storage, run: str, folder: Path) -> str:
    client = MlflowClient(Tracker.open(None, storage).uri)
    return Path(client.download_artifacts(run, "run.json", str(folder))).read_text()


def files(storage: Storage) -> list[str]:
    folder = storage.local_path("artifacts")
    return sorted(path.read_text() for path in folder.rglob("run.json"))


def test_a_moved_storage_reads_and_writes_where_it_is(tmp_path: Path) -> None:
    old, new = Storage(str(tmp_path / "old")), Storage(str(tmp_path / "new" / "place #1"))
    first = recorded(old, "one")
    new.local_path().parent.mkdir()
    old.local_path().rename(new.local_path())

    second = recorded(new, "two")
    assert not old.local_path().exists()
    assert files(new) == ["one", "two"]
    (tmp_path / "read").mkdir()
    assert [read(new, run, tmp_path / "read") for run in (first, second)] == ["one", "two"]


def test_it_is_said_once_that_a_storage_was_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = Storage(str(tmp_path / "old")), Storage(str(tmp_path / "new"))
    recorded(old, "one")
    old.local_path().rename(new.local_path())
    for _ in range(2):
        Tracker.open(None, new)
    (said,) = caplog.messages
    assert said.endswith("new/mlflow.db: is of a storage that was moved; artifacts are here now")


def test_a_copy_leaves_the_original_alone(tmp_path: Path) -> None:
    old, copy = Storage(str(tmp_path / "old")), Storage(str(tmp_path / "copy"))
    recorded(old, "one")
    shutil.copytree(old.local_path(), copy.local_path())
    recorded(copy, "two")
    recorded(old, "three")
    assert (files(old), files(copy)) == (["one", "three"], ["one", "two"])


def test_a_storage_that_stayed_is_not_touched(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "results"))
    record(storage, "one")
    artifacts = storage.local_path("artifacts").as_uri()
    assert put_right(storage.local_path("mlflow.db"), artifacts) == 0


def test_experiments_of_others_in_the_database_are_left_alone(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "results"))
    record(storage, "one")
    client = MlflowClient(Tracker.open(None, storage).uri)
    own = (tmp_path / "mine").as_uri()
    client.create_experiment("own", artifact_location=own)
    record(storage, "two")
    found = client.get_experiment_by_name("own")
    assert found is not None
    assert found.artifact_location == own


@pytest.mark.parametrize("name", ["what?", "100%", "a%41", "#1 ü [x] & 'q'"])
def test_a_storage_of_any_name_has_its_database_and_files_in_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    storage = Storage(str(tmp_path / name))
    run = record(storage, "one")
    assert record(storage, "one") == run  # found again
    assert files(storage) == ["one"]
    assert sorted(path.name for path in storage.local_path().iterdir()) == [
        "artifacts",
        "mlflow.db",
        "mlflow.db.lock",
    ]
    assert [*Path.cwd().iterdir()] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "elsewhere"])


def test_a_link_is_made_for_odd_names_only(tmp_path: Path) -> None:
    assert without_marks(tmp_path) == tmp_path
    odd = tmp_path / "a?b"
    link = without_marks(odd)
    assert link.resolve() == odd.resolve()
    assert without_marks(odd) == link


if __name__ == "__main__":
    print(record(Storage(sys.argv[1]), sys.argv[2]))
