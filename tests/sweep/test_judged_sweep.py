"""Real local Ray and the real command: cells that differ in how they are judged, and what is judged
again afterwards.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from orchestrator.storage import Storage
from orchestrator.storage.predictions import read_predictions
from orchestrator.storage.runs import RunFolder
from workloads.datasets import load
from workloads.distributed.worker import Worker
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.protocols.finetune import finetuned
from workloads.simclr.spec import RunSpec

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
TINY = {
    "data.image_size": 16,
    "data.train_images": 300,
    "data.test_images": 150,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
    "schedule.epochs": 2,
}


def simclr_orch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=500
    )


def records(storage: Storage) -> dict[str, dict[str, Any]]:
    found = {name: storage.read_json(f"runs/{name}/run.json") for name in storage.list("runs")}
    return {name: record for name, record in found.items() if record}


@pytest.mark.slow
def test_few_labels_trains_each_seed_once_and_its_runs_can_be_judged_compared_and_exported(
    tmp_path: Path,
) -> None:
    place = str(tmp_path / "storage")
    assigned = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    ablate = ["ablate", "few-labels", "--preset", "shapes", "--storage", place, *assigned]
    ended = simclr_orch(*ablate, "--json")
    assert ended.returncode == 0, ended.stderr
    storage = Storage(place)
    runs = records(storage)

    # Of 24 + 24 candidates and 6 cells, two are trained: SimCLR's candidates share a seed, and so
    # do its cells.
    pretrained = {
        name: record for name, record in runs.items() if record["spec"]["schedule"]["epochs"]
    }
    assert len(runs) == 48 + 6
    assert len(pretrained) == 24 + 3
    trained = {name for name, record in pretrained.items() if "trained_by" not in record}
    assert sorted(pretrained[name]["spec"]["seed"] for name in trained) == [0, 1000]
    assert {
        record["trained_by"] for name, record in pretrained.items() if name not in trained
    } == trained
    for name in runs.keys() - trained - {name for name in runs if name not in pretrained}:
        assert storage.read_bytes(f"runs/{name}/checkpoint.pt") is None, "the state is kept once"

    # What a run judged from another's state equals the judgement of that state in this process.
    name, record = next(
        (name, record)
        for name, record in pretrained.items()
        if "finetune_10_top1" in record["results"]
    )
    kept = RunFolder(storage, name).checkpoint()
    assert kept is not None
    spec, worker = RunSpec.read(record["spec"]), Worker(torch.device("cpu"))
    judged = finetuned(
        spec,
        FrozenEncoder.of_state(spec, kept.state, worker),
        load(spec.data),
    )
    assert record["results"]["finetune_10_top1"] == pytest.approx(
        judged.results["finetune_10_top1"], abs=1.4
    )
    low, high = record["intervals"]["finetune_10_top1"]
    assert low <= record["results"]["finetune_10_top1"] <= high
    said = read_predictions(storage.read_bytes(f"runs/{name}/predictions.npz") or b"")[
        "finetune_10_top1"
    ]
    assert 100 * np.mean(said.predicted == said.labels) == pytest.approx(
        record["results"]["finetune_10_top1"]
    )

    report = json.loads(ended.stdout)
    cells = {tuple(cell["at"]): cell for cell in report["cells"]}
    assert cells.keys() >= {
        (method, share) for method in ("supervised", "SimCLR") for share in ("1", "10", "100")
    }
    assert all("untrained" not in at for at in cells)

    again = simclr_orch(*ablate)
    assert again.returncode == 0, again.stderr
    assert records(storage) == runs, "nothing finished runs twice"

    # Judged again, by a protocol that draws and by one that compares.
    one, other = sorted(trained)[:2]
    looked = simclr_orch("evaluate", one, "--protocol", "inspect", "--storage", place, "--json")
    assert looked.returncode == 0, looked.stderr
    files = json.loads(looked.stdout)["files"]
    drawn = next(file for file in files if file.endswith("tsne.png"))
    with Image.open(storage.local_path(drawn)) as picture:
        assert picture.width > 400
    for run in (one, other):
        linear = simclr_orch("evaluate", run, "--protocol", "linear", "--storage", place, "--json")
        assert linear.returncode == 0, linear.stderr
        results = json.loads(linear.stdout)["results"]
    compared = simclr_orch(
        "compare", one, other, "--result", "linear_top1", "--storage", place, "--json"
    )
    assert compared.returncode == 0, compared.stderr
    assert "linear_top1" in compared.stdout

    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    experiment = client.get_experiment_by_name("few-labels")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`simclr_orch.kind` = 'evaluation'")
    assert len(found) == 3
    (last,) = [run for run in found if run.data.tags["simclr_orch.fingerprint"] == other]
    assert last.data.metrics["linear_top1"] == pytest.approx(results["linear_top1"])
    above = client.get_run(last.data.tags["mlflow.parentRunId"])
    assert above.data.tags["simclr_orch.fingerprint"] == other

    written = simclr_orch("export", one, "--output", str(tmp_path / "out"), "--storage", place)
    assert written.returncode == 0, written.stderr
    # Weights from elsewhere become a run that the other commands know.
    weights = str(tmp_path / "out" / "encoder.safetensors")
    judged_there = simclr_orch(
        "evaluate", weights, "--preset", "shapes", *assigned, "--storage", place, "--json"
    )
    assert judged_there.returncode == 0, judged_there.stderr
    document = json.loads(judged_there.stdout)
    own = simclr_orch("evaluate", one, "--protocol", "linear", "--storage", place, "--json")
    assert document["results"] == pytest.approx(json.loads(own.stdout)["results"], abs=0.7)
    assert document["run"] in simclr_orch("runs", "--storage", place, "--json").stdout
