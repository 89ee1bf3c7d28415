"""Seconds: folders without classes, which are for training without labels and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from orchestrator.cli.app import app
from workloads.catalog.simclr import SIMCLR
from workloads.datasets import DataSet, DataSpec, content_digest, load
from workloads.distributed.worker import Worker
from workloads.simclr.__main__ import main
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError


def write(folder: Path, count: int = 20, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        values = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{number:03d}.png")


def flat(root: Path) -> None:
    write(root)


def nested(root: Path) -> None:
    write(root / "2024" / "may", 12)
    write(root / "2025", 8, 12)


def train_only(root: Path) -> None:
    write(root / "train")


def classes_without_tests(root: Path) -> None:
    write(root / "train" / "cat", 12)
    write(root / "train" / "dog", 8, 12)


def one_class(root: Path) -> None:
    write(root / "train" / "all")
    write(root / "test" / "all", 7, 50)


LAYOUTS: list[Callable[[Path], None]] = [
    flat,
    nested,
    train_only,
    classes_without_tests,
    one_class,
]


def spec_of(root: Path, **values: object) -> DataSpec:
    return DataSpec.read({"name": "image-folder", "root": str(root), "image_size": 16, **values})


def loaded(root: Path, **values: object) -> DataSet:
    return load(spec_of(root, **values), cache=root.parent / "cache", without_labels=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_training_images_are_taken_and_none_is_held_out(
    layout: Callable[[Path], None], tmp_path: Path
) -> None:
    layout(tmp_path / "data")
    data = loaded(tmp_path / "data", test_images=5)  # of a preset; there are none
    assert not data.has_labels
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 0, 0)
    first = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    assert np.array_equal(data.train.take(np.array([0]))[0].numpy(), first.transpose(2, 0, 1))
    assert any("there are no labels" in note for note in data.notes)
    assert data.inventory.used == 20
    assert data.inventory.seen == 20 + 7 * (layout is one_class)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_said_or_found_it_is_the_same_data(layout: Callable[[Path], None], tmp_path: Path) -> None:
    layout(tmp_path / "data")
    found, said = loaded(tmp_path / "data"), loaded(tmp_path / "data", labels="none")
    assert found.content == said.content
    assert np.array_equal(found.train.index, said.train.index)


def test_folders_can_be_said_to_be_no_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / "data" / part / "cat", 5)
        write(tmp_path / "data" / part / "dog", 5, 5)
    with_labels = loaded(tmp_path / "data", validation_fraction=0.2)
    without = loaded(tmp_path / "data", labels="none")
    assert (with_labels.has_labels, without.has_labels) == (True, False)
    assert (len(with_labels.train), len(without.train)) == (8, 10)
    (left_out,) = without.inventory.left_out
    assert (left_out.count, left_out.reason) == (10, "files in test, which are not for training")


def test_a_subset_is_drawn_without_labels(tmp_path: Path) -> None:
    flat(tmp_path / "data")
    some, more = (set(loaded(tmp_path / "data", train_images=n).train.index) for n in (8, 12))
    assert (len(some), len(more)) == (8, 12)
    assert some < more


@pytest.mark.parametrize("layout", LAYOUTS)
def test_who_needs_labels_is_told_what_the_layout_lacks(
    layout: Callable[[Path], None], tmp_path: Path
) -> None:
    layout(tmp_path / "data")
    for call in (load, content_digest):
        with pytest.raises(SpecError, match=r"has no folder|at least 2 are needed|lie directly"):
            call(spec_of(tmp_path / "data"))


def test_a_layout_that_leaves_doubts_is_not_taken_without_labels(tmp_path: Path) -> None:
    write(tmp_path / "above" / "data" / "train" / "cat", 4)
    write(tmp_path / "tested" / "test" / "cat", 4)
    write(tmp_path / "lacking" / "train" / "cat", 4)
    write(tmp_path / "lacking" / "train" / "dog", 4)
    write(tmp_path / "lacking" / "test" / "emu", 4)
    for name in ("above", "tested", "lacking"):
        with pytest.raises(SpecError):
            loaded(tmp_path / name)
        assert not loaded(tmp_path / name, labels="none").has_labels


def test_only_data_in_files_can_be_said_to_have_no_labels() -> None:
    with pytest.raises(SpecError, match=r"data\.labels='none': is for image-folder"):
        DataSpec.read({"name": "cifar10", "root": "x", "labels": "none"})


def test_a_field_at_its_default_changes_no_fingerprint() -> None:
    spec = preset("cifar10").with_values({"data.root": "x"})
    tree = spec.tree()
    assert tree["data"].pop("labels") == "auto"
    assert RunSpec.read(tree).fingerprint() == spec.fingerprint()
    folder = spec.with_values({"data.name": "image-folder"})
    assert folder.fingerprint() != folder.with_values({"data.labels": "none"}).fingerprint()


# Runs


@pytest.fixture
def recipe(tmp_path: Path, tiny: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A small run on a flat folder of 20 images."""
    flat(tmp_path / "data")
    return tiny(
        data__name="image-folder",
        data__root=str(tmp_path / "data"),
        data__train_images=None,
        data__test_images=None,
        schedule__epochs=1,
        schedule__warmup_epochs=0,
        schedule__batch_size=10,
        eval__protocol="none",
        precision="fp32",
    )


def words(recipe: dict[str, Any], **more: Any) -> list[str]:
    values = recipe | {name.replace("__", "."): value for name, value in more.items()}
    pairs = (
        f"{name}={json.dumps(value) if not isinstance(value, str) else value}"
        for name, value in values.items()
    )
    return ["--preset", "shapes", *(word for pair in pairs for word in ("--set", pair))]


def test_a_folder_of_images_is_trained_on(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words(recipe), "--output", str(tmp_path / "runs"), "--device", "cpu"]) == 0
    epoch, *_ = capsys.readouterr().out.splitlines()
    assert json.loads(epoch)["epoch"] == 1


def test_an_encoder_is_evaluated_on_other_data(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {
        "eval.transfer.protocols": ["linear"],
        "eval.transfer.data.name": "digits",
        "eval.transfer.data.train_images": 100,
        "eval.transfer.data.test_images": 50,
    }
    assert main([*words(recipe | other), "--output", str(tmp_path), "--device", "cpu"]) == 0
    assert "transfer_linear" in json.loads(capsys.readouterr().out.splitlines()[-1])


NEEDS_LABELS = [
    ("eval.protocol", "lbfgs", "eval.protocol='lbfgs': needs labels; needs none"),
    ("loss.name", "cross-entropy", "loss.name='cross-entropy': trains on labels"),
    ("eval.online", True, "eval.online=True: trains a classifier on labels; needs false"),
    ("eval.projection", True, "eval.projection=True: needs labels; needs false"),
    ("eval.finetune.labels", [0.1], "eval.finetune.labels=[0.1]: needs labels; needs []"),
    ("eval.probe.tasks", ["noise"], "eval.probe.tasks=['noise']: needs test images"),
]


@pytest.mark.parametrize(("field", "value", "problem"), NEEDS_LABELS)
def test_what_needs_labels_is_refused_by_name_before_anything_starts(
    field: str,
    value: Any,
    problem: str,
    recipe: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "runs"
    asked = recipe | {field: value}
    assert main([*words(asked), "--output", str(output), "--device", "cpu"]) == 2
    said = capsys.readouterr()
    assert problem in said.err
    assert "data without labels: " in said.err
    assert said.out == ""

    plan = ["ablate", "temperature", "--dry-run", "--storage", str(tmp_path / "storage")]
    ended = CliRunner().invoke(app, [*plan, *words(asked)], catch_exceptions=False)
    assert ended.exit_code == 2
    assert problem in ended.output


def test_a_sweep_is_refused_that_compares_by_labels(recipe: dict[str, Any], tmp_path: Path) -> None:
    storage = ["--storage", str(tmp_path / "storage")]
    for command, name in (
        (["ablate", "temperature", "--dry-run"], "temperature: compares by linear_top1"),
        (["tune", "--search", "loss.temperature=0.1,0.5"], "tune: compares by validation_score"),
    ):
        ended = CliRunner().invoke(
            app, [*command, *words(recipe), *storage], catch_exceptions=False
        )
        assert ended.exit_code == 2
        assert f"{name}, which the data do not give" in ended.output


def test_a_recipe_that_is_pinned_says_that_there_are_no_labels(recipe: dict[str, Any]) -> None:
    pinned, facts = SIMCLR.prepare(preset("shapes").with_values(recipe), download=False)
    assert pinned.data.labels == "none"
    assert (facts.train, facts.validation, facts.test) == (20, 0, 0)
    assert SIMCLR.problems(pinned, facts.train, 1) == []
    again, _ = SIMCLR.prepare(pinned, download=False)
    assert again.fingerprint() == pinned.fingerprint()


def test_pictures_of_a_representation_need_test_images(recipe: dict[str, Any]) -> None:
    pinned, _ = SIMCLR.prepare(preset("shapes").with_values(recipe), download=False)
    (result,) = SIMCLR.train(pinned, Worker.here("cpu"), None)
    with pytest.raises(SpecError, match=r"data\.labels='none'"):
        SIMCLR.inspect(pinned, result.state, Worker.here("cpu"))
