"""Milliseconds to seconds, in process, no Ray: what commands say of the data that they read."""

import os
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from orchestrator.commands.check import check
from orchestrator.commands.dry_run import dry_run
from orchestrator.commands.plan_tree import plan_tree
from orchestrator.commands.request import Request
from orchestrator.errors import PlanError
from orchestrator.run_record import EvaluationRecord, RunRecord


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, whose names are not UTF-8 and not ASCII, with a file that is no image."""
    for part in ("train", "test"):
        for label, name in enumerate((os.fsdecode(b"caf\xe9"), "café")):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            for number in range(10):
                values = np.random.default_rng(100 * label + number).integers(0, 256, (8, 8, 3))
                Image.fromarray(values.astype(np.uint8)).save(folder / f"{number}.png")
            (folder / os.fsdecode(b"\xf6.txt")).write_text("notes")
    return tmp_path / "data"


def request(root: Path, storage: Path) -> Request:
    fields = {
        "data.name": "image-folder",
        "data.root": root,
        "data.train_images": "null",
        "data.test_images": "null",
        "data.image_size": 8,
        "schedule.batch_size": 8,
    }
    assignments = tuple(f"{name}={value}" for name, value in fields.items())
    flags = {"storage": str(storage)}
    return Request(("temperature",), preset="shapes", assignments=assignments, flags=flags)


READ = {
    "data": "image-folder",
    "seen": 44,
    "used": 40,
    "left_out": [
        {"reason": "files that are no images", "count": 4, "example": r"train/café/\xf6.txt"}
    ],
}


def without_content(read: Any) -> dict[str, Any]:
    return {name: value for name, value in read.items() if name != "content"}


def test_a_plan_says_what_is_left_out_and_keeps_it(root: Path, storage_folder: Path) -> None:
    printed = StringIO()
    asked = request(root, storage_folder)
    finished = dry_run(asked, Console(file=printed, width=300))
    line = r"image-folder: left out: 4 files that are no images, such as train/café/\xf6.txt"
    assert line in printed.getvalue()
    assert [without_content(read) for read in finished.document["read"]] == [READ]

    checked = check(asked)
    kept = plan_tree(checked, checked.plans[0], "simclr-orch ablate temperature")
    assert [without_content(read) for read in kept["data"]["read"]] == [READ]
    assert kept["data"]["notes"] == [line.partition(": ")[2]]


def test_records_keep_what_was_read() -> None:
    record = RunRecord(name="a", fingerprint="b", status="finished", spec={}, data_read=[READ])
    assert RunRecord.read(record.tree()).data_read == [READ]
    of_before = {"name": "a", "fingerprint": "b", "status": "finished", "spec": {}}
    assert RunRecord.read(of_before).data_read is None
    later = EvaluationRecord(
        run="b", protocol="knn", settings={}, results={}, intervals={}, data_read=[READ]
    )
    assert EvaluationRecord.read(later.tree()).data_read == [READ]


def test_a_path_that_ray_and_mlflow_cannot_take_is_refused_with_the_mend(
    root: Path, storage_folder: Path
) -> None:
    odd = root.rename(root.with_name(os.fsdecode(b"d\xe9")))
    with pytest.raises(PlanError) as caught:
        check(request(odd, storage_folder))
    (problem,) = caught.value.problems
    assert problem.startswith(f"data.root={root.parent}/d\\xe9: the path has bytes")
    link = root.with_name("link")
    link.symlink_to(odd)
    assert check(request(link, storage_folder)).data.train
