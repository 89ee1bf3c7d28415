"""Seconds: shards without labels, which are for training without labels and nothing else."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from workloads.datasets import DataSet, DataSpec, content_digest, load
from workloads.simclr.__main__ import main
from workloads.spec import SpecError

PER_SHARD = 8


def png(number: int) -> bytes:
    file = io.BytesIO()
    values = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write(path: Path, **columns: list[Any]) -> None:
    """Images alone, or with more columns of a Parquet file, or members of a tar file."""
    if path.suffix == ".parquet":
        path.parent.mkdir(parents=True, exist_ok=True)
        images = [png(number) for number in range(PER_SHARD)]
        parquet.write_table(pa.table({"image": images, **columns}), path)
        return
    members = {}
    for number in range(PER_SHARD):
        members[f"{number}.png"] = png(number)
        for ending, values in columns.items():
            members[f"{number}.{ending}"] = str(values[number]).encode()
    write_tar(path, members)


LAYOUTS = [
    ("00000.tar", "00001.tar"),
    ("00000.tar.gz",),
    ("train/0.tar",),
    ("train/0.tar", "test/0.tar"),
    ("train-0.parquet",),
    ("data/train-0.parquet", "data/test-0.parquet"),
]
NUMBERS = [number % 2 for number in range(PER_SHARD)]


def spec_of(root: Path, **values: object) -> DataSpec:
    return DataSpec.read({"name": "shards", "root": str(root), "image_size": 16, **values})


def loaded(root: Path, **values: object) -> DataSet:
    return load(spec_of(root, **values), cache=root.parent / "cache", without_labels=True)


@pytest.mark.parametrize("paths", LAYOUTS)
def test_all_training_images_are_taken_and_none_is_held_out(
    paths: tuple[str, ...], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    for path in paths:
        write(root / path)
    found, said = loaded(root), loaded(root, labels="none")
    training = [path for path in paths if "test" not in path]
    count = PER_SHARD * len(training)
    for data in (found, said):
        assert not data.has_labels
        assert data.classes == ()
        assert (len(data.train), len(data.validation), len(data.test)) == (count, 0, 0)
        assert data.inventory.used == count
        assert data.inventory.seen == count + len(paths) - len(training)  # a part is counted whole
        assert any("there are no labels" in note for note in data.notes)
    assert found.content == said.content
    first = found.train.take(np.array([0]))[0].numpy()
    assert np.array_equal(first, np.array(Image.open(io.BytesIO(png(0)))).transpose(2, 0, 1))


@pytest.mark.parametrize("paths", LAYOUTS)
def test_who_needs_labels_is_told_what_is_lacking(paths: tuple[str, ...], tmp_path: Path) -> None:
    for path in paths:
        write(tmp_path / "data" / path)
    for call in (load, content_digest):
        with pytest.raises(SpecError, match=r"has no folder|has a label that is known"):
            call(spec_of(tmp_path / "data"))


@pytest.mark.parametrize(("ending", "column"), [("tar", "cls"), ("parquet", "label")])
def test_labels_can_be_said_to_be_none(ending: str, column: str, tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / "data" / part / f"0.{ending}", **{column: NUMBERS})
    with_labels = loaded(tmp_path / "data", validation_fraction=0.25)
    without = loaded(tmp_path / "data", labels="none")
    assert (with_labels.has_labels, without.has_labels) == (True, False)
    assert (len(with_labels.train), len(without.train)) == (6, 8)
    assert "shards of parts that are not used" in [
        each.reason for each in without.inventory.left_out
    ]


def test_labels_in_a_part_that_nothing_tests_are_left_out_by_name(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train" / "0.tar", cls=NUMBERS)
    data = loaded(tmp_path / "data")
    assert (data.has_labels, len(data.train)) == (False, PER_SHARD)
    assert (data.inventory.used, data.inventory.seen) == (PER_SHARD, 2 * PER_SHARD)


@pytest.mark.parametrize(("ending", "column"), [("tar", "cls"), ("parquet", "label")])
@pytest.mark.parametrize(
    "labelled", [("train/0",), ("train/1",), ("train/0", "train/1"), ("test/0",)]
)
def test_images_of_which_some_have_labels_are_refused(
    ending: str, column: str, labelled: tuple[str, ...], tmp_path: Path
) -> None:
    for path in ("train/0", "train/1", "test/0"):
        columns = {column: NUMBERS} if path in labelled else {}
        write(tmp_path / "data" / f"{path}.{ending}", **columns)
    with pytest.raises(SpecError, match=r"data\.labels='none'"):
        loaded(tmp_path / "data")
    assert len(loaded(tmp_path / "data", labels="none").train) == 2 * PER_SHARD


def test_a_member_without_a_label_among_others_is_refused(tmp_path: Path) -> None:
    members = {"0.png": png(0), "1.png": png(1), "2.png": png(2), "1.cls": b"1", "2.cls": b"2"}
    for part in ("train", "test"):
        write_tar(tmp_path / "data" / part / "0.tar", members)
    with pytest.raises(SpecError, match=r"0\.png: has no label beside it .* 1 lack one"):
        loaded(tmp_path / "data")


@pytest.mark.parametrize(("ending", "column"), [("tar", "txt"), ("parquet", "caption")])
def test_captions_are_a_question_that_the_specification_answers(
    ending: str, column: str, tmp_path: Path
) -> None:
    captions = [f"picture number {number}" for number in range(PER_SHARD)]
    for part in ("train", "test"):
        write(tmp_path / "data" / part / f"0.{ending}", **{column: captions})
    if ending == "parquet":
        with pytest.raises(SpecError, match=r"data\.labels='none'"):
            loaded(tmp_path / "data")
    assert len(loaded(tmp_path / "data", labels="none").train) == PER_SHARD


def test_an_empty_shard_says_nothing_of_labels(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_tar(tmp_path / "data" / part / "0.tar", {})
        write(tmp_path / "data" / part / "1.tar", cls=NUMBERS)
    assert loaded(tmp_path / "data", validation_fraction=0.25).has_labels


def test_a_damaged_shard_is_named_with_and_without_labels(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / "data" / part / "0.tar")
    (tmp_path / "data" / "train" / "1.tar").write_bytes(b"no archive" * 100)
    for values in ({}, {"labels": "none"}):
        with pytest.raises(SpecError, match=r"1\.tar: is no tar file"):
            loaded(tmp_path / "data", **values)


def test_descriptions_that_say_no_label_are_none(tmp_path: Path) -> None:
    sizes = [json.dumps({"width": 16, "height": 16})] * PER_SHARD
    for part in ("train", "test"):
        write(tmp_path / "data" / part / "0.tar", json=sizes)
    assert not loaded(tmp_path / "data").has_labels


def test_tests_without_training_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "data" / "test" / "0.tar")
    with pytest.raises(SpecError, match="has no folder train"):
        loaded(tmp_path / "data")


# Runs


def words(root: Path, recipe: dict[str, Any]) -> list[str]:
    values = recipe | {"data.root": str(root)}
    pairs = (
        f"{name}={json.dumps(value) if not isinstance(value, str) else value}"
        for name, value in values.items()
    )
    return ["--preset", "shapes", *(word for pair in pairs for word in ("--set", pair))]


@pytest.fixture
def recipe(tiny: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return tiny(
        data__name="shards",
        data__train_images=None,
        data__test_images=None,
        schedule__epochs=1,
        schedule__warmup_epochs=0,
        schedule__batch_size=8,
        eval__protocol="none",
        precision="fp32",
    )


@pytest.mark.parametrize("path", ["00000.tar", "train/0.parquet"])
def test_shards_of_images_are_trained_on(
    path: str, recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "data" / path)
    asked = words(tmp_path / "data", recipe)
    assert main([*asked, "--output", str(tmp_path / "runs"), "--device", "cpu"]) == 0
    epoch, *_ = capsys.readouterr().out.splitlines()
    assert json.loads(epoch)["epoch"] == 1


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("eval.protocol", "lbfgs", "eval.protocol='lbfgs': needs labels; needs none"),
        ("loss.name", "cross-entropy", "loss.name='cross-entropy': trains on labels"),
        ("eval.online", True, "eval.online=True: trains a classifier on labels; needs false"),
    ],
)
def test_what_needs_labels_is_refused_by_name_before_anything_starts(
    field: str,
    value: Any,
    problem: str,
    recipe: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for part in ("train", "test"):
        write(tmp_path / "data" / part / "0.tar")
    asked = words(tmp_path / "data", recipe | {field: value})
    assert main([*asked, "--output", str(tmp_path / "runs"), "--device", "cpu"]) == 2
    said = capsys.readouterr()
    assert problem in said.err
    assert "data without labels: data.root=" in said.err
    assert said.out == ""
