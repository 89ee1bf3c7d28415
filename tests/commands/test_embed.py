"""Seconds: features of a folder of one's own, by a run of one epoch and by weights in a file."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import Checkpoint, RunFolder
from workloads.datasets import DataSpec, load
from workloads.distributed.worker import Worker
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.simclr.presets import preset
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import RunSpec
from workloads.simclr.trained import load_model

RUN = "aa11bb22"
NAMES = ["a.png", "cat/000.png", "cat/day-2/x.png", "dog/000.png", "dog/001.png"]


def picture(seed: int, side: int = 20) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    return Image.fromarray(values).resize((side + 4, side), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def spec(tiny: Callable[..., dict[str, Any]]) -> RunSpec:
    return preset("shapes").with_values(
        tiny(schedule__epochs=1, schedule__warmup_epochs=0, precision="fp32")
    )


@pytest.fixture(scope="module")
def state(spec: RunSpec) -> dict[str, Any]:
    return list(pretrain(spec, Worker.here("cpu")))[-1].state


@pytest.fixture(scope="module")
def storage(spec: RunSpec, state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage with one run, that of `spec`."""
    place = str(tmp_path_factory.mktemp("results"))
    folder = RunFolder(Storage(place), RUN)
    folder.write_checkpoint(Checkpoint(state))
    folder.write_record(
        RunRecord(name="a tiny run", fingerprint=RUN, status="finished", spec=spec.tree())
    )
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(root / name)
    return root


def embed(*words: str | Path) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["embed", *map(str, words)], catch_exceptions=False)
    return ended.exit_code, ended.output


def table(path: Path) -> tuple[list[str], NDArray[np.float32], dict[str, Any]]:
    """Names, features and where they come from, of any of the formats."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            names, about = arrays["names"].tolist(), json.loads(str(arrays["about"]))
            return names, arrays["features"], about
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            head, *rows = csv.reader(file)
        assert head[:2] == ["name", "feature_0"]
        about = json.loads(Path(f"{path}.about.json").read_text())
        features = np.array([row[1:] for row in rows], np.float32)
        return [row[0] for row in rows], features, about
    read = parquet.read_table(path)
    about = json.loads(read.schema.metadata[b"simclr-orch"])
    features = np.stack(read["features"].to_numpy())
    return read["name"].to_pylist(), features, about


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".npz"])
def test_a_run_gives_the_features_that_its_evaluation_has(
    ending: str, spec: RunSpec, state: dict[str, Any], storage: str, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"features{ending}"
    code, said = embed(RUN[:4], folder, "-o", output, "--storage", storage)
    assert code == 0, said
    names, features, about = table(output)
    assert names == NAMES
    assert features.dtype == np.float32

    for part in ("train", "test"):  # the same images as a data set that an evaluation reads
        for number, name in enumerate(NAMES):
            place = tmp_path / "set" / part / f"class {number % 2}" / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((folder / name).read_bytes())
    data = load(
        DataSpec(
            name="image-folder", root=str(tmp_path / "set"), image_size=16, validation_fraction=0.5
        ),
        cache=tmp_path / "cache",
    )
    of_set = FrozenEncoder.of_state(spec, state, Worker.here("cpu")).features(data.test)
    order = [0, 2, 4, 1, 3]  # by class, then by name
    assert np.allclose(features[order], of_set, atol=1e-5)
    assert np.std(features, axis=0).max() > 1e-4

    assert about["run"] == RUN
    assert about["encoder"] == spec.encoder.tree()
    assert about["preprocessing"]["image_size"] == 16
    assert {"simclr-orch", "commit", "written", "folder"} <= about.keys()


def test_the_projection_is_what_the_head_makes_of_h(
    spec: RunSpec, state: dict[str, Any], storage: str, folder: Path, tmp_path: Path
) -> None:
    places = tmp_path / "h.npz", tmp_path / "z.npz"
    for place, more in zip(places, ([], ["--projection"]), strict=True):
        assert embed(RUN, folder, "-o", place, "--storage", storage, *more)[0] == 0
    (_, h, _), (_, z, about) = map(table, places)
    with torch.inference_mode():
        model = load_model(spec, state, Worker.here("cpu"))
        assert np.allclose(model.head(torch.from_numpy(h)).numpy(), z, atol=1e-5)  # type: ignore[union-attr,operator]
    assert about["features"].startswith("z")


def test_weights_in_a_file_give_the_features_of_the_run_that_they_are_of(
    state: dict[str, Any],
    storage: str,
    folder: Path,
    tmp_path: Path,
    tiny_recipe: Callable[..., list[str]],
) -> None:
    weights = tmp_path / "encoder.pth"
    torch.save(
        {
            name.removeprefix("encoder."): tensor
            for name, tensor in state["model"].items()
            if name.startswith("encoder.")
        },
        weights,
    )
    recipe = tiny_recipe(precision="fp32")
    by_run, by_weights = tmp_path / "run.npz", tmp_path / "weights.npz"
    assert embed(RUN, folder, "-o", by_run, "--storage", storage)[0] == 0
    code, said = embed(weights, folder, "-o", by_weights, "--storage", storage, *recipe)
    assert code == 0, said
    (names, expected, _), (again, features, about) = table(by_run), table(by_weights)
    assert names == again
    assert np.array_equal(features, expected)
    assert about["weights"] == str(weights)
    assert "run" not in about


def test_what_cannot_be_read_is_named_and_the_rest_is_written(
    storage: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "cat" / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not an image")
    output = tmp_path / "features.parquet"
    code, said = embed(RUN, folder, "-o", output, "--storage", storage, "--json")
    assert code == 0
    document = json.loads(said[said.index("{") :])
    assert document["images"] == len(NAMES)
    assert [*document["unreadable"]] == ["cat/broken.png"]
    assert "notes.txt" in " ".join(document["left_out"])
    assert table(output)[0] == NAMES


def test_a_folder_of_broken_images_gives_no_file(storage: str, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"no picture")
    output = tmp_path / "features.npz"
    code, said = embed(RUN, tmp_path / "broken", "-o", output, "--storage", storage)
    assert code == 1
    assert "x.png" in said
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_an_encoder_that_blew_up_gives_no_file(
    spec: RunSpec, state: dict[str, Any], tmp_path: Path
) -> None:
    spoilt = {name: tensor.clone() for name, tensor in state["model"].items()}
    for name, tensor in spoilt.items():
        if name.startswith("encoder.") and name.endswith("weight"):
            tensor.mul_(1e9)
    folder = RunFolder(Storage(str(tmp_path / "results")), RUN)
    folder.write_checkpoint(Checkpoint({**state, "model": spoilt}))
    folder.write_record(RunRecord(name="one", fingerprint=RUN, status="finished", spec=spec.tree()))
    images = tmp_path / "images"
    images.mkdir()
    picture(0).save(images / "a.png")
    output = tmp_path / "features.npz"
    ended = CliRunner().invoke(
        app,
        [
            "embed",
            RUN,
            str(images),
            "--output",
            str(output),
            "--storage",
            str(tmp_path / "results"),
        ],
    )
    assert ended.exit_code == 1, ended.output
    assert "h is not finite: training has diverged" in ended.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "results"]


def test_values_beyond_8_bits_need_the_range_of_the_training_images(
    storage: str, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    values = np.arange(20 * 20, dtype=np.uint16).reshape(20, 20) * 10
    Image.fromarray(values).save(tmp_path / "deep" / "x.png")
    words = [RUN, tmp_path / "deep", "-o", tmp_path / "x.npz", "--storage", storage]
    code, said = embed(*words)
    assert code == 1
    assert "values from 0 to 3990; --set data.value_range" in said
    assert embed(*words, "--set", "data.value_range=[0, 4095]")[0] == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["-o", "x.txt"], "--output x.txt: must end in .parquet, .csv, .npz"),
        (["-o", "there.npz"], "--output there.npz: is there already, and is not overwritten"),
        (["-o", "nowhere/x.npz"], "--output nowhere/x.npz: there is no folder"),
        (["-o", "x.npz", "--preset", "shapes"], "--preset: for weights from elsewhere"),
        (["-o", "x.npz", "--set", "seed=3"], "--set seed=3: of a run only data.channels"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_before_anything_is_read(
    words: list[str],
    problem: str,
    storage: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.npz").touch()
    code, said = embed(RUN, folder, *words, "--storage", storage)
    assert code == 2
    assert problem in said


@pytest.mark.parametrize(
    ("place", "problem"),
    [("nowhere", "there is no such folder"), ("empty", "holds no image")],
)
def test_a_folder_without_images_is_named(
    place: str, problem: str, storage: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    words = [RUN, tmp_path / place, "-o", tmp_path / "x.npz", "--storage", storage]
    code, said = embed(*words)
    assert code == 2
    assert f"{tmp_path / place}: {problem}" in said.replace("\n", "")
