"""Real local Ray and the real command: cells that differ in how they are judged, and what is judged
again afterwards.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from workloads.datasets import load
from workloads.distributed.worker import Worker
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.protocols.finetune import finetuned
from workloads.runs.predictions import read_predictions
from workloads.simclr.spec import RunSpec


@pytest.mark.slow
def test_few_labels_trains_each_seed_once_and_its_runs_can_be_judged_compared_and_exported(
    tmp_path: Path,
    simclr_orch: Callable[..., subprocess.CompletedProcess[str]],
    document: Callable[..., dict[str, Any]],
    tiny_recipe: Callable[..., list[str]],
    records: Callable[[str], dict[str, dict[str, Any]]],
) -> None:
    there = str(tmp_path / "storage")
    recipe = tiny_recipe(data__train_images=300, data__test_images=150, schedule__epochs=2)
    ablate = ["ablate", "few-labels", "--storage", there, *recipe]
    report = document(*ablate)
    storage = Storage(there)
    runs = records(there)

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

    cells = {tuple(cell["at"]): cell for cell in report["cells"]}
    assert cells.keys() >= {
        (method, share) for method in ("supervised", "SimCLR") for share in ("1", "10", "100")
    }
    assert all("untrained" not in at for at in cells)

    again = simclr_orch(*ablate)
    assert again.returncode == 0, again.stderr
    assert records(there) == runs, "nothing finished runs twice"

    # Judged again, by a protocol that draws and by one that compares.
    one, other = sorted(trained)[:2]
    files = document("evaluate", one, "--protocol", "inspect", "--storage", there)["files"]
    drawn = next(file for file in files if file.endswith("tsne.png"))
    with Image.open(storage.local_path(drawn)) as picture:
        assert picture.width > 400
    for run in (one, other):
        linear = document("evaluate", run, "--protocol", "linear", "--storage", there)
        results = linear["results"]
    compared = document("compare", one, other, "--result", "linear_top1", "--storage", there)
    assert "linear_top1" in json.dumps(compared)

    client = MlflowClient(f"sqlite:///{there}/mlflow.db")
    experiment = client.get_experiment_by_name("few-labels")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`simclr_orch.kind` = 'evaluation'")
    assert len(found) == 3
    (last,) = [run for run in found if run.data.tags["simclr_orch.fingerprint"] == other]
    assert last.data.metrics["linear_top1_percent"] == pytest.approx(results["linear_top1"])
    above = client.get_run(last.data.tags["mlflow.parentRunId"])
    assert above.data.tags["simclr_orch.fingerprint"] == other

    written = simclr_orch("export", one, "--output", str(tmp_path / "out"), "--storage", there)
    assert written.returncode == 0, written.stderr
    # Weights from elsewhere become a run that the other commands know.
    weights = str(tmp_path / "out" / "encoder.safetensors")
    foreign = document("evaluate", weights, *recipe, "--storage", there)
    own = document("evaluate", one, "--protocol", "linear", "--storage", there)
    assert foreign["results"] == pytest.approx(own["results"], abs=0.7)
    assert foreign["run"] in simclr_orch("runs", "--storage", there, "--json").stdout
