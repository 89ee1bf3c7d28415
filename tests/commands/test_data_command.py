"""One process (and one that is killed): `simclr-orch data shard` and `data verify`, and shards as
others read them.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from orchestrator.cli import app

CLASSES = ("ant", "bee", "cow")
PER_CLASS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for image in range(PER_CLASS):
                pixels = noise.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{image:03d}.x.png")
    return root


def data(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)


def shard(folder: Path, output: Path, *more: Any) -> Result:
    return data("shard", folder, output, "--images-per-shard", 16, "--workers", 2, *more)


def files_of(output: Path) -> dict[str, str]:
    paths = [path for path in output.rglob("*") if path.is_file() and path.name != ".lock"]
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def test_every_image_is_in_one_tar_file_unchanged_with_its_label(
    folder: Path, tmp_path: Path
) -> None:
    ended = shard(folder, tmp_path / "out")
    assert ended.exit_code == 0, ended.stderr
    written: dict[str, bytes] = {}
    mixed = []
    for path in sorted((tmp_path / "out" / "train").iterdir()):
        with tarfile.open(path) as archive:
            members = [(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]
        keys = [name.partition(".")[0] for name, _ in members]
        # an image and its label side by side, as WebDataset wants them
        assert keys[::2] == keys[1::2]
        for (image, pixels), (label, number) in zip(members[::2], members[1::2], strict=True):
            assert (image.partition(".")[2], label.partition(".")[2]) == ("png", "cls")
            written[image] = number + pixels
        mixed.append({data for _, data in members[1::2]})
    sources = sorted((folder / "train").rglob("*.png"))
    expected = [
        str(CLASSES.index(path.parent.name)).encode() + path.read_bytes() for path in sources
    ]
    assert [written[name] for name in sorted(written)] == expected
    assert sorted(written)[25] == "000000025-005_x.png"
    assert [len(classes) for classes in mixed] == [3, 3, 3, 3]
    assert (
        "120 images in 8 files; use them with --set data.name=shards --set data.root="
    ) in ended.stdout


def test_parquet_files_hold_the_same(folder: Path, tmp_path: Path) -> None:
    assert shard(folder, tmp_path / "out", "--format", "parquet").exit_code == 0
    rows = parquet.read_table(tmp_path / "out" / "test").sort_by("key").to_pylist()
    sources = sorted((folder / "test").rglob("*.png"))
    assert [row["image"] for row in rows] == [path.read_bytes() for path in sources]
    assert [row["label"] for row in rows] == [CLASSES.index(path.parent.name) for path in sources]


def test_manifest_and_document(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    document = json.loads(shard(folder, output, "--json").stdout)
    assert document == {
        "folder": str(output),
        "finished": True,
        "files": 8,
        "images": 120,
        "damaged": {},
        "unreadable": {},
        "written": 8,
        "written_before": 0,
        "left_out": [],
    }
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["classes"] == [*CLASSES]
    found = files_of(output)
    assert {name: entry["sha256"] for name, entry in manifest["shards"].items()} == {
        name: digest for name, digest in found.items() if name != "manifest.json"
    }
    assert [entry["images"] for entry in manifest["shards"].values()] == [16, 16, 16, 12] * 2


@pytest.mark.parametrize("format", ["tar", "parquet"])
def test_the_same_request_gives_the_same_bytes(folder: Path, tmp_path: Path, format: str) -> None:
    for name in ("one", "two"):
        assert shard(folder, tmp_path / name, "--format", format).exit_code == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_running_again_writes_only_what_is_missing(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shard(folder, output)
    before = files_of(output)
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.tar")}
    lost = output / "train" / "train-000002.tar"
    lost.unlink()
    document = json.loads(shard(folder, output, "--json").stdout)
    assert (document["written"], document["written_before"]) == (1, 7)
    assert files_of(output) == before
    assert [path for path, written in times.items() if path.stat().st_mtime_ns != written] == [lost]


SLOW = """
import sys, time
from workloads.datasets.shards import write
quick = write._write_tar
def slowly(path, images):
    quick(path, images)
    time.sleep(0.2)
write._write_tar = slowly
sys.argv[0] = "simclr-orch"
from orchestrator.cli import main
main()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_call_that_was_ended_is_continued(
    folder: Path, tmp_path: Path, end: signal.Signals
) -> None:
    output = tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        SLOW,
        "data",
        "shard",
        str(folder),
        str(output),
        "--images-per-shard",
        "16",
    ]
    with subprocess.Popen(
        [*command, "--workers", "1"], stderr=subprocess.PIPE, text=True
    ) as process:
        while len(list(output.rglob("*.tar"))) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(end)
        _, said = process.communicate(timeout=300)
    assert process.returncode == (-9 if end == signal.SIGKILL else 1)
    if end == signal.SIGTERM:
        assert f"interrupted; continue with: simclr-orch data shard {folder} {output}" in said
        assert "Traceback" not in said
        assert not list(output.rglob("*.unfinished"))
    assert data("verify", output).exit_code == 2
    document = json.loads(shard(folder, output, "--json").stdout)
    assert document["written_before"] in (2, 3, 4)
    assert shard(folder, tmp_path / "whole").exit_code == 0
    assert files_of(output) == files_of(tmp_path / "whole")


def test_verify_finds_what_was_changed_and_shard_repairs_it(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shard(folder, output)
    whole = files_of(output)
    assert data("verify", output).exit_code == 0
    changed, lost, extra = (output / "test" / f"test-00000{number}.tar" for number in (0, 1, 9))
    content = bytearray(changed.read_bytes())
    content[600] ^= 1
    changed.write_bytes(content)
    extra.write_bytes(lost.read_bytes())
    lost.unlink()
    ended = data("verify", output)
    assert ended.exit_code == 1
    lines = ended.stdout.splitlines()
    assert lines[:3] == [
        f"{changed}: its bytes are not those that were written",
        f"{lost}: cannot be read (No such file or directory)",
        f"{extra}: is not in the manifest",
    ]
    assert json.loads(data("verify", output, "--json").stdout)["damaged"] == {
        "test/test-000000.tar": "its bytes are not those that were written",
        "test/test-000001.tar": "cannot be read (No such file or directory)",
        "test/test-000009.tar": "is not in the manifest",
    }
    extra.unlink()
    first = shard(folder, output)
    assert first.exit_code == 1
    assert "the same command writes these files anew" in first.stdout
    assert shard(folder, output).exit_code == 0
    assert files_of(output) == whole


def test_images_that_cannot_be_read_are_kept_and_listed(tmp_path: Path, folder: Path) -> None:
    for path in folder.rglob("*.png"):
        copy = tmp_path / "in" / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "in/train/ant/000.x.png").write_bytes(b"no image")
    cut = tmp_path / "in/train/ant/001.x.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    ended = shard(tmp_path / "in", tmp_path / "out")
    assert ended.exit_code == 0
    assert "of which 1 cannot be read (data.allow_unreadable=1 leaves them out)" in ended.stdout
    assert "000000000-000_x.png: cannot identify image file" in ended.stdout
    ended = data("verify", tmp_path / "out", "--decode")
    assert ended.exit_code == 1
    assert "of which 2 cannot be read" in ended.stdout


def test_a_file_that_cannot_be_opened_ends_the_call_with_code_1(
    tmp_path: Path, folder: Path
) -> None:
    for part in ("train", "test"):
        for name in CLASSES[:2]:
            (tmp_path / "in" / part / name).mkdir(parents=True)
            (tmp_path / "in" / part / name / "a.png").symlink_to(folder / part / name / "000.x.png")
    lost = tmp_path / "in" / "train" / "bee" / "a.png"
    lost.unlink()
    lost.symlink_to("nowhere")
    ended = shard(tmp_path / "in", tmp_path / "out")
    assert ended.exit_code == 1
    assert ended.stdout.splitlines() == [
        f"{lost}: cannot be read (No such file or directory)",
        "not finished; the same command continues",
    ]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["shard", "{tmp}/nowhere", "{tmp}/out"], "{tmp}/nowhere: there is no such folder"),
        (
            ["shard", "{folder}", "{tmp}/out", "--images-per-shard", "0"],
            "--images-per-shard 0: must be at least 1",
        ),
        (
            ["shard", "{folder}", "{tmp}/out", "--format", "zip"],
            "--format zip: no such format; known are tar, parquet",
        ),
        (["shard", "{folder}", "{tmp}/out", "--workers", "0"], "--workers 0: must be at least 1"),
        (
            ["shard", "{folder}", "{tmp}/full"],
            "{tmp}/full: is not an empty folder, and not one of shards (no manifest.json)",
        ),
        (
            ["shard", "{folder}", "{tmp}/full/file"],
            "{tmp}/full/file: is not an empty folder, and not one of shards",
        ),
        (["verify", "{tmp}/nowhere"], "{tmp}/nowhere: has no folder train"),
        (["verify", "{tmp}/full", "--workers", "0"], "--workers 0: must be at least 1"),
    ],
)
def test_wrong_requests_leave_with_code_2_and_a_line_each(
    arguments: list[str], problem: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("something else")
    ended = data(*(word.format(folder=folder, tmp=tmp_path) for word in arguments))
    assert ended.exit_code == 2, ended.stdout
    assert problem.format(folder=folder, tmp=tmp_path) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "out").exists()


def test_an_output_of_another_request_is_refused(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shard(folder, output)
    before = files_of(output)
    ended = data("shard", folder, output, "--images-per-shard", 10)
    assert ended.exit_code == 2
    assert ended.stderr == (
        f"{output}: holds shards of another request (other images_per_shard); choose another "
        "folder\n"
    )
    assert files_of(output) == before
    assert os.listdir(tmp_path) == ["out"]
