"""Milliseconds, then one process, then real Ray (slow): the two-layer study through the machinery
of all workloads.
"""

import ast
import json
import shutil
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from orchestrator.cell.job import CellJob, Pack
from orchestrator.commands.check import check
from orchestrator.commands.evaluate import Question, evaluate
from orchestrator.commands.request import Request
from orchestrator.commands.run_quantities import Quantities
from orchestrator.commands.run_table import print_table
from orchestrator.errors import PlanError
from orchestrator.plan import build, build_single
from orchestrator.plan.estimate import Speed, estimate, measured_speed
from orchestrator.resources import Resources
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.rows import run_rows
from orchestrator.tracking import Tracker
from search_spaces import ABLATIONS
from workloads.catalog import (
    every_preset,
    every_workload,
    workload_named,
    workload_of_preset,
    workload_of_tree,
)
from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN
from workloads.runs.pack import run_pack
from workloads.spec import SpecError
from workloads.two_layer_cnn.presets import preset
from workloads.two_layer_cnn.run import run
from workloads.two_layer_cnn.spec import TwoLayerSpec
from workloads.workload import TrainedAlone, TrainedTogether

BASE = preset("gaussian-patches")
TINY = {"data.dimension": 60, "data.unlabeled": 20, "data.test": 100}
FLAGS = {"address": None, "tracking_uri": None}


def asked(storage: Path, *names: str, **more: Any) -> Request:
    return Request(ablations=names, flags={**FLAGS, "storage": str(storage)}, **more)


# Workloads


def test_every_workload_is_of_one_kind_and_known_to_the_spaces() -> None:
    workloads = list(every_workload())
    assert {ablation.workload for ablation in ABLATIONS.values()} == {one.name for one in workloads}
    for workload in workloads:
        assert workload_named(workload.name) is workload
        assert isinstance(workload, TrainedAlone) != isinstance(workload, TrainedTogether)
        assert workload.presets


def test_presets_name_their_workload() -> None:
    assert sum(len(workload.presets) for workload in every_workload()) == len(every_preset())
    for workload in every_workload():
        for name, build_preset in workload.presets.items():
            assert workload_of_preset(name) is workload
            tree = yaml.safe_load(yaml.safe_dump(build_preset().tree()))
            assert workload_of_tree(tree) is workload
            assert workload.read(tree) == build_preset()
            assert workload.setting(tree)


def test_the_orchestrator_names_no_workload_in_its_imports(repository: Path) -> None:
    """So that a third one is a folder, a space and a line that names it."""
    for path in (repository / "orchestrator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith("workloads.")
            ):
                assert node.module.split(".")[1] not in ("simclr", "two_layer_cnn"), path


# What there is to know before a run


def test_generated_inputs_are_described(tmp_path: Path) -> None:
    spec, facts = TWO_LAYER_CNN.prepare(BASE, download=False)
    assert spec == BASE
    assert (facts.title, facts.train, facts.validation, facts.test) == (
        "Gaussian patches, d = 1000",
        64,
        0,
        2000,
    )
    assert "250 unlabeled" in facts.notes[0]
    other = TWO_LAYER_CNN.prepare(BASE.with_values({"data.noise_std": 2.0}), download=False)[1]
    assert other.content != facts.content
    assert check(asked(tmp_path, "label-complexity")).data == facts


def images(folder: Path, classes: int) -> Path:
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(classes):
            images_of_class = folder / split / f"class{label}"
            images_of_class.mkdir(parents=True)
            for number in range(6):
                pixels = generator.integers(0, 255, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(images_of_class / f"{number}.png")
    return folder


def test_images_are_pinned_by_their_content(tmp_path: Path) -> None:
    folders = [images(tmp_path / name, 2) for name in ("a", "b")]
    specs = [
        BASE.with_values(
            {"data.name": "image-folder", "data.root": str(folder), "data.image_size": 8}
        )
        for folder in folders
    ]
    assert specs[0].fingerprint() != specs[1].fingerprint()
    (one, facts), (other, _) = (TWO_LAYER_CNN.prepare(spec, download=False) for spec in specs)
    assert one.flat()["data.content"] == facts.content
    assert one.fingerprint() == other.fingerprint()
    assert facts.title == "a beside Gaussian patches, 8 px"
    with pytest.raises(SpecError, match=r"image-folder has the classes 0 to 1"):
        TWO_LAYER_CNN.prepare(specs[0].with_values({"data.classes": [0, 7]}), download=False)
    digits, facts = TWO_LAYER_CNN.prepare(preset("digit-patches"), download=False)
    assert digits == preset("digit-patches")  # what comes with a library needs no pin
    assert facts.title == "digits (embedded) beside Gaussian patches, 28 px"


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """A file of MNIST's format: two zeros, the type, the number of axes, and their lengths."""
    header = bytes([0, 0, 8, array.ndim])
    lengths = b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(header + lengths + array.tobytes())


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A root with 30 training and 12 test images in MNIST's files: of each digit a grey of its own,
    in noise.
    """
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 30), ("t10k", 12)):
        labels = (np.arange(count) % 3).astype(np.uint8)
        noise = np.random.default_rng(count).integers(0, 50, (count, 28, 28), dtype=np.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", noise + 100 * labels[:, None, None])
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)
    return tmp_path / "data"


def test_mnist_is_the_signal_when_its_root_is_given(mnist: Path, tmp_path: Path) -> None:
    base = preset("mnist-patches").with_values({"data.root": str(mnist), "data.classes": [0, 2]})
    spec, facts = TWO_LAYER_CNN.prepare(base, download=False)
    assert (spec.data.dim, spec.data.unlabeled) == (784, 200)
    assert facts.title == "mnist beside Gaussian patches, 28 px"
    assert "9 training images of class 2" in facts.notes  # one is for validation
    # The fingerprint is of the images, wherever they lie.
    moved = tmp_path / "moved"
    shutil.copytree(mnist, moved)
    again, _ = TWO_LAYER_CNN.prepare(base.with_values({"data.root": str(moved)}), download=False)
    assert again.fingerprint() == spec.fingerprint()
    few = spec.with_values({"data.labels": 4, "data.test": 20})
    (given,) = run([few.with_values({"finetune.max_steps": 5})])
    assert given["alignment"] > 0.9


def test_mnist_without_a_root_and_a_digit_that_is_not_there_are_refused(mnist: Path) -> None:
    base = preset("mnist-patches")
    with pytest.raises(SpecError, match=r"data\.root: is required by data\.name='mnist'"):
        TWO_LAYER_CNN.prepare(base, download=False)
    absent = base.with_values({"data.root": str(mnist), "data.classes": [0, 7]})
    with pytest.raises(
        SpecError, match=r"there is no training image of class 7, '7 - seven'"
    ) as no:
        TWO_LAYER_CNN.prepare(absent, download=False)
    assert len(no.value.problems) == 2  # nor a test image


def test_a_plan_has_every_cell_and_no_reference() -> None:
    plan = build(ABLATIONS["label-complexity"], BASE, seeds=5)
    assert len(plan.cells) == len(plan.jobs) == 5 * 10 * 2 * 5
    assert {cell.role for cell in plan.cells} == {"cell"}
    assert plan.scale == "small"
    methods = {cell.spec.flat()["pretrain.method"] for cell in plan.cells}
    assert methods == {"simclr", "none"}


def test_what_this_workload_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as refused:
        build_single(BASE, TWO_LAYER_CNN, resources=Resources(workers=2))
    assert refused.value.problems == [
        "--workers 2: two-layer-cnn has one worker a cell; its many cells are spread over "
        "the cluster"
    ]
    searched = asked(tmp_path, preset="gaussian-patches", search=("pretrain.temperature=0.5,1",))
    with pytest.raises(PlanError, match="tune: two-layer-cnn has no validation split to search by"):
        check(searched)
    with pytest.raises(
        PlanError, match="is not for label-complexity, whose presets are gaussian-patches"
    ):
        check(asked(tmp_path, "label-complexity", preset="shapes"))
    with pytest.raises(PlanError, match="are of different workloads"):
        check(asked(tmp_path, "label-complexity", "temperature"))


def test_a_written_recipe_finds_its_workload(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(BASE.with_values(TINY).tree()))
    checked = check(asked(tmp_path / "s", config=tmp_path / "own.yaml"))
    assert checked.workload is TWO_LAYER_CNN
    assert checked.base == BASE.with_values(TINY)


# What it costs


def test_shared_pretraining_is_paid_once() -> None:
    few, many = (BASE.with_values({"data.labels": count}) for count in (2, 64))
    alone = TWO_LAYER_CNN.cost([few]) + TWO_LAYER_CNN.cost([many])
    direct = [spec.with_values({"pretrain.method": "none"}) for spec in (few, many)]
    pretraining = TWO_LAYER_CNN.cost([few]) - TWO_LAYER_CNN.cost(direct[:1])
    assert pretraining > 0
    assert TWO_LAYER_CNN.cost([few, many]) == pytest.approx(alone - pretraining)
    assert TWO_LAYER_CNN.cost(direct) == pytest.approx(
        sum(TWO_LAYER_CNN.cost([spec]) for spec in direct)
    )


def test_the_whole_grid_is_expected_to_take_minutes_not_hours() -> None:
    plan = build(ABLATIONS["label-complexity"], BASE, seeds=5)
    cost = estimate(
        [plan],
        done=set(),
        train_images=64,
        concurrent=2,
        speed=measured_speed([], Resources(), "two-layer-cnn"),
    )
    assert cost.packs == 2
    assert len(cost.cell_seconds) == 500
    assert sum(cost.cell_seconds.values()) == pytest.approx(2 * cost.wall_seconds, rel=0.1)
    assert 20 < cost.wall_seconds < 600


def test_speed_is_measured_on_cells_of_the_same_workload() -> None:
    machine = {"workers": 1, "gpu": False, "threads": 1, "device": "cpu"}
    machine |= {"precision": "fp64", "torch": "2.11"}
    two_layer = RunRecord.read(
        {
            "name": "a cell",
            "fingerprint": BASE.fingerprint(),
            "status": "finished",
            "history": [{"epoch": 0.0}],
            "total_seconds": 2.0,
            "machine": machine,
            "workload": "two-layer-cnn",
            "spec": BASE.tree(),
        }
    )
    speed = measured_speed([two_layer], Resources(), "two-layer-cnn")
    assert speed == Speed(
        TWO_LAYER_CNN.cost([BASE]) / 2, "measured: median of 1 finished cells in this storage"
    )
    assert measured_speed([two_layer], Resources(), "simclr").basis.startswith("assumed")


# Runs in the storage


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Storage, str]:
    """A storage with one finished run, and its fingerprint."""
    spec = BASE.with_values(TINY | {"data.labels": 4})
    assert isinstance(spec, TwoLayerSpec)
    job = CellJob(
        "pretrain · seed 0", "two-layer-cnn", spec.fingerprint(), spec.tree(), str(tmp_path)
    )
    run_pack(Pack((job,), "sweeps/x/running"), lambda *_: None)
    return Storage(str(tmp_path)), spec.fingerprint()


def test_the_list_of_runs_shows_the_test_error(kept: tuple[Storage, str]) -> None:
    storage, fingerprint = kept
    (row,) = run_rows(storage)
    assert (row.fingerprint, row.status, row.workload) == (
        fingerprint,
        "finished",
        "two-layer-cnn",
    )
    shown = StringIO()
    print_table([row], Console(file=shown, width=200), None, Quantities.of([row]))
    assert f"{row.results['test_error']:.4g}" in shown.getvalue()


def test_a_run_is_not_evaluated_again(kept: tuple[Storage, str]) -> None:
    storage, fingerprint = kept
    with pytest.raises(
        PlanError, match=r"is of two-layer-cnn, whose runs are tested once, at their end"
    ):
        evaluate(
            Question(fingerprint[:8]),
            storage,
            lambda: Tracker.open(None, storage),
            Console(quiet=True),
        )


# Real Ray


@pytest.mark.slow
def test_a_sweep_of_packs_survives_the_loss_of_a_process(
    storage_folder: Path,
    simclr_orch: Callable[..., subprocess.CompletedProcess[str]],
    start: Callable[..., "subprocess.Popen[str]"],
    records: Callable[[Path], dict[str, dict[str, Any]]],
    mlflow_runs: Callable[[Path, str], tuple[list[Run], list[Run]]],
    kill_one: Callable[[int, str], None],
    wait_for: Callable[..., None],
) -> None:
    sweep = ["ablate", "pretraining-controls", "--preset", "gaussian-patches", "--json"]
    sweep += ["--max-concurrent", "1", "--storage", str(storage_folder)]
    # The training loss is never reached, so that each number of labels takes its time.
    endless = TINY | {"finetune.loss_target": 1e-12, "finetune.max_steps": 2000}
    sweep += [word for name, value in endless.items() for word in ("--set", f"{name}={value}")]
    driver = start(*sweep)
    wait_for(lambda: records(storage_folder), pause=0.05)
    before = records(storage_folder)
    kill_one(driver.pid, "ImplicitFunc")
    said, complaints = driver.communicate(timeout=300)
    assert driver.returncode == 0, complaints
    after = records(storage_folder)
    assert len(before) < len(after) == 25
    assert all(record["status"] == "finished" for record in after.values())
    assert {name: after[name]["ended"] for name in before} == {
        name: record["ended"] for name, record in before.items()
    }
    assert not list(storage_folder.glob("sweeps/*/*/running/*"))
    cells = json.loads(said)["cells"]
    assert len(cells) == 25

    client = MlflowClient(f"sqlite:///{storage_folder}/mlflow.db")
    _, children = mlflow_runs(storage_folder, "pretraining-controls")
    assert {run.data.tags["simclr_orch.fingerprint"] for run in children} == after.keys()
    for child in children:
        record = after[child.data.tags["simclr_orch.fingerprint"]]
        assert child.info.status == "FINISHED"
        assert child.data.metrics["test_error_percent"] == record["results"]["test_error"]
        losses = client.get_metric_history(child.info.run_id, "loss")
        assert [(entry.step, entry.value) for entry in losses] == [
            (point["epoch"], point["loss"]) for point in record["history"]
        ]

    repeated = simclr_orch(*sweep, timeout=120)
    assert repeated.returncode == 0, repeated.stderr
    assert {name: record["ended"] for name, record in records(storage_folder).items()} == {
        name: record["ended"] for name, record in after.items()
    }
