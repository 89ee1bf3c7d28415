"""Folders of a moment: gone afterwards, also of processes that were killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.scratch import scratch_folder

HOLDER = """
import sys, time
from pathlib import Path
from orchestrator.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "file").write_text("half written")
    print(folder, flush=True)
    time.sleep(3600)
"""


def holding(place: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", HOLDER, str(place)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_a_folder_is_empty_and_gone_afterwards_whatever_happens(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "inner").mkdir()
    with pytest.raises(KeyError), scratch_folder(tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    own = tmp_path / "simclr-orch-results"
    own.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "simclr-orch-scratch-link").symlink_to(elsewhere)
    with holding(tmp_path) as killed, holding(tmp_path) as alive:
        assert killed.stdout is not None
        assert alive.stdout is not None
        left, used = (Path(each.readline().strip()) for each in (killed.stdout, alive.stdout))
        killed.kill()
        killed.wait()
        with scratch_folder(tmp_path) as mine:
            assert not left.exists()
            assert (used / "file").read_text() == "half written"
            assert mine.is_dir()
        alive.kill()
    assert own.is_dir()
    assert elsewhere.is_dir()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    if os.getuid() == 0:
        tmp_path = Path("/proc")
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(OSError, match=str(tmp_path)), scratch_folder(tmp_path):
        pass
