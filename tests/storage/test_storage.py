"""Storage: milliseconds, a local S3 server, and real processes for what a reader sees of a writer
that is killed.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import errors
from orchestrator.errors import OrchestratorError, PlanError, StorageError
from orchestrator.storage import Storage


def test_content_comes_back_and_is_replaced_as_a_whole(storage: Storage) -> None:
    assert storage.read_bytes("runs/a/state.pt") is None
    storage.write_bytes("runs/a/state.pt", b"first and long")
    storage.write_bytes("runs/a/state.pt", b"second")
    assert storage.read_bytes("runs/a/state.pt") == b"second"


def test_json_keeps_its_order_and_refuses_what_json_does_not_have(storage: Storage) -> None:
    value = {"z": 1, "a": [0.1, None, True, "é"]}
    storage.write_json("record.json", value)
    assert storage.read_json("record.json") == value
    assert list(storage.read_json("record.json")) == ["z", "a"]
    assert storage.read_json("absent.json") is None
    with pytest.raises(ValueError, match="JSON compliant"):
        storage.write_json("record.json", {"loss": float("nan")})
    assert storage.read_json("record.json") == value


def test_a_file_that_is_not_json_is_named(storage: Storage) -> None:
    storage.write_bytes("runs/a/run.json", b'{"half": ')
    with pytest.raises(StorageError) as caught:
        storage.read_json("runs/a/run.json")
    assert storage.path("runs", "a", "run.json") in str(caught.value)


def test_folders_are_listed_and_deleted(storage: Storage) -> None:
    assert storage.list() == storage.list("runs") == []
    for name in ("runs/b/run.json", "runs/a/run.json", "runs/a/log.txt", "notes.txt"):
        storage.write_bytes(name, b"x")
    assert storage.list() == ["notes.txt", "runs"]
    assert storage.list("runs") == ["a", "b"]
    assert storage.exists("runs/a")
    assert storage.exists("runs/a/log.txt")
    assert not storage.exists("runs/c")
    storage.delete("runs/a/log.txt")
    storage.delete("runs/b")
    storage.delete("runs/never-there")
    assert storage.list("runs") == ["a"]
    assert storage.list("runs/a") == ["run.json"]


def test_it_travels_by_its_address(storage: Storage) -> None:
    storage.write_bytes("a", b"1")
    travelled = pickle.loads(pickle.dumps(storage))
    assert travelled == storage
    assert travelled.read_bytes("a") == b"1"


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "", "."])
def test_names_that_lead_outside_are_refused(storage: Storage, name: str) -> None:
    with pytest.raises(ValueError, match="not a name below"):
        storage.write_bytes(name, b"")
    with pytest.raises(ValueError, match="not a name below"):
        storage.delete(name)


def test_local_addresses_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    relative = Storage("results")
    monkeypatch.chdir("/")
    assert relative.uri == str(tmp_path / "results")
    assert relative.local_path("runs", "a") == tmp_path / "results" / "runs" / "a"
    assert Storage("~/results").uri == "/home/someone/results"
    assert Storage("file:///data/my%20results").uri == "/data/my results"
    assert relative.is_local


def test_addresses_in_an_object_store_keep_their_options() -> None:
    storage = Storage("s3://bucket/prefix/?region=eu-west-1&scheme=http")
    assert (
        storage.path("runs", "a.json")
        == "s3://bucket/prefix/runs/a.json?region=eu-west-1&scheme=http"
    )
    assert not storage.is_local
    with pytest.raises(StorageError, match="s3://bucket"):
        storage.local_path("runs")


def test_writable_places_are_left_as_they_were(storage: Storage) -> None:
    storage.write_bytes("a", b"1")
    assert storage.check_writable() is None
    assert storage.list() == ["a"]
    if storage.is_local:
        assert os.listdir(storage.uri) == ["a"]


def test_places_that_cannot_be_written_are_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert (line := Storage(str(tmp_path / "file")).check_writable())
    assert line.startswith(f"--storage {tmp_path}/file: cannot be written: ")
    assert "exists" in line
    assert (line := Storage("nosuchscheme://key:secret@bucket/x").check_writable())
    assert line.startswith("--storage nosuchscheme://key:***@bucket/x: cannot be written: ")
    assert (line := Storage(f"{tmp_path}/r\udce9sultats").check_writable())
    assert "its name has bytes that are not UTF-8" in line


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write_bytes("runs/a", b"x")
    with pytest.raises(StorageError, match="runs"):
        storage.read_bytes("runs")


WRITER = """
import sys
from orchestrator.storage import Storage
storage = Storage(sys.argv[1])
for round in range(1_000_000):
    long = {"round": round, "filling": [round] * 50_000, "end": round}
    storage.write_json("runs/a/run.json", long)
    print(round, flush=True)
"""


def kill_while_writing(writer: subprocess.Popen[bytes], folder: Path) -> None:
    """Stop the process again and again until it is caught with more than the finished file in the
    folder.
    """
    while True:
        writer.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, writer.pid, os.WSTOPPED)
        if len(os.listdir(folder)) > 1:
            writer.send_signal(signal.SIGKILL)
            return
        writer.send_signal(signal.SIGCONT)


def test_a_reader_never_sees_half_a_file_even_of_a_killed_writer(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    rounds = []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, storage.uri], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == b"0\n"
            for _ in range(60):
                record = storage.read_json("runs/a/run.json")
                assert record["round"] == record["end"] == record["filling"][-1]
                rounds.append(record["round"])
            kill_while_writing(writer, tmp_path / "runs" / "a")
        record = storage.read_json("runs/a/run.json")
        assert record["round"] == record["end"]
        # What the killed writer left is not taken for a result.
        assert storage.list("runs/a") == ["run.json"]
    assert len(set(rounds)) > 3


def test_importing_it_brings_no_heavy_package() -> None:
    code = (
        "import sys, orchestrator.storage; print(sorted({'mlflow', 'pyarrow', 'ray', 'torch'} & "
        "{*sys.modules}))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_survive_the_way_between_processes(name: str) -> None:
    kind: type[OrchestratorError] = getattr(errors, name)
    problems = ["a: is wrong", "b: is wrong"]
    error = kind(problems) if issubclass(kind, PlanError) else kind("a: is wrong")
    returned = pickle.loads(pickle.dumps(error))
    assert type(returned) is kind
    assert str(returned) == str(error)
    if isinstance(returned, PlanError):
        assert returned.problems == problems


def test_json_is_written_for_people_too(tmp_path: Path) -> None:
    Storage(str(tmp_path)).write_json("a.json", {"b": 1})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"b": 1}
    assert text.endswith("}\n")


def test_a_copy_is_the_same_and_of_what_is_not_there_there_is_none(storage: Storage) -> None:
    storage.copy("runs/a/checkpoint.pt", "runs/a/checkpoint-1.pt")
    assert storage.read_bytes("runs/a/checkpoint-1.pt") is None
    storage.write_bytes("runs/a/checkpoint.pt", b"state")
    storage.copy("runs/a/checkpoint.pt", "runs/a/checkpoint-1.pt")
    assert storage.read_bytes("runs/a/checkpoint-1.pt") == b"state"
    storage.copy("runs/none.pt", "runs/a/checkpoint-1.pt")
    assert storage.read_bytes("runs/a/checkpoint-1.pt") == b"state"
