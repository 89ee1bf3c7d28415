"""`gc` as a user meets it: what it lists, what it removes, what it refuses; seconds."""

import fcntl
import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.gc import seconds_of
from orchestrator.commands.machine_garbage import on_this_machine, remove_here


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage with a partial file of yesterday, and no temporary files but the test's own."""
    folder = tmp_path / "storage"
    run = folder / "runs" / ("a" * 20)
    run.mkdir(parents=True)
    partial = run / ".log.txt.1.partial"
    partial.write_bytes(b"12345")
    day = time.time() - 86400
    os.utime(partial, (day, day))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr("orchestrator.commands.machine_garbage.places", lambda _: [])
    return folder


def gc(storage: Path, *words: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["gc", "--storage", str(storage), *words])
    return ended.exit_code, ended.output


def test_nothing_is_removed_without_yes_and_all_that_was_listed_with_it(storage: Path) -> None:
    code, text = gc(storage)
    assert code == 0
    assert "partial: 1 file, 5 B" in text
    assert "nothing was removed" in text
    assert list(storage.rglob("*.partial"))
    code, text = gc(storage, "--yes", "--json")
    document = json.loads(text[text.index("{") :])
    assert (code, document["removed_bytes"]) == (0, 5)
    assert not list(storage.rglob("*.partial"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--kind", "chekpoints"], "did you mean checkpoints?"),
        (["--older-than", "soon"], "30m, 12h, 7d or 2w"),
    ],
)
def test_what_is_no_kind_and_no_age_is_refused(storage: Path, words: list[str], told: str) -> None:
    code, text = gc(storage, *words)
    assert code == 2
    assert told in text


def test_ages_are_read() -> None:
    assert [seconds_of(text) for text in ("90s", "1.5h", "2w", None)] == [90, 5400, 1209600, None]


def test_a_temporary_folder_that_a_process_holds_stays(storage: Path) -> None:
    temporary = storage.parent / "tmp"
    for name in ("held", "left"):
        (temporary / f"simclr-orch-scratch-{name}").mkdir()
    descriptor = os.open(temporary / "simclr-orch-scratch-held", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        (only,) = on_this_machine(["temporary"])
        assert only.name.endswith("-left")
        assert remove_here(only)
    finally:
        os.close(descriptor)
    assert [path.name for path in temporary.iterdir()] == ["simclr-orch-scratch-held"]
