"""What must be true of a storage when a sweep has ended, whatever happened to it meanwhile."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["problems_of_mlflow", "problems_of_storage"]

# Of an epoch: what depends on the machine, not on the run.
NOT_RESULTS = ("seconds", "system/", "images_per_second")
LEFT_OVER = ("*.partial", "*.tmp", "*.damaged*", "*.lock", "ray-t*/**/*", "running")
OF_OTHERS = ("*wandb-*", "torchinductor_*")  # what Ray imports and torch make, and a kill leaves
TOLERANCE = 0.02  # of a loss on two workers: sums are taken in another order
POINTS = 6.0  # of a score in percent on two workers: 100 test images decide it


def problems_of_storage(
    storage: Path, undisturbed: Path, fingerprints: list[str], *, exact: bool
) -> Iterator[str]:
    """Say where a storage's runs differ from those that nothing disturbed, and what is left over.

    `exact` asks for the same bits in all results and losses.
    """
    for name in fingerprints:
        path = storage / "runs" / name / "run.json"
        if not path.exists():
            yield f"{name}: no record"
            continue
        ours = json.loads(path.read_text())
        theirs = json.loads((undisturbed / "runs" / name / "run.json").read_text())
        if ours["status"] != "finished":
            yield f"{name}: {ours['status']}"
        elif exact:
            yield from _differences(name, _plain(ours), _plain(theirs))
        else:
            yield from _far(name, ours, theirs)


def problems_of_leftovers(storage: Path, temporary: Path) -> Iterator[str]:
    """Name what no ended sweep leaves: temporary files, states of packs, leases, what is owed."""
    for pattern in LEFT_OVER:
        for path in sorted(storage.rglob(pattern)):
            if path.name != "mlflow.db.lock":
                yield f"left in the storage: {path.relative_to(storage)}"
    for folder in ("leases", "outbox"):
        for path in sorted(storage.rglob(f"{folder}/**/*")):
            if path.is_file():
                yield f"left in the storage: {path.relative_to(storage)}"
    others = {path for pattern in OF_OTHERS for path in temporary.glob(pattern)}
    for path in sorted({*temporary.iterdir()} - others):
        yield f"left in the temporary folder: {path.name}"


def problems_of_mlflow(
    uri: str, experiment: str, storage: Path, fingerprints: list[str]
) -> Iterator[str]:
    """Say where MLflow differs from the records: runs, their status, their curves."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        yield f"MLflow: no experiment {experiment}"
        return
    runs = list(client.search_runs([found.experiment_id], max_results=1000))
    sweeps = [run.info.status for run in runs if "mlflow.parentRunId" not in run.data.tags]
    if sweeps != ["FINISHED"]:
        yield f"MLflow: the sweep's runs are {sweeps}"
    cells = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    count = Counter(run.data.tags["simclr_orch.fingerprint"] for run in cells)
    if count != Counter(fingerprints):
        yield f"MLflow: runs by fingerprint are {dict(count)}"
    for run in cells:
        name = run.data.tags["simclr_orch.fingerprint"]
        if run.info.status != "FINISHED":
            yield f"MLflow: {name} is {run.info.status}"
        path = storage / "runs" / name / "run.json"
        history = json.loads(path.read_text())["history"] if path.exists() else []
        curve = [(each.step, each.value) for each in _curve(client, run.info.run_id)]
        if curve != [(each["epoch"], each["loss"]) for each in history]:
            yield f"MLflow: the curve of {name} is {curve}, its record's has {len(history)} epochs"


def _curve(client: Any, run: str) -> list[Any]:
    return list(client.get_metric_history(run, "loss"))


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """What a run computed."""
    history = [
        {key: value for key, value in epoch.items() if not key.startswith(NOT_RESULTS)}
        for epoch in record["history"]
    ]
    return {"results": record["results"], "history": history, "spec": record["spec"]}


def _differences(name: str, ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        for key in ours:
            yield from _differences(name, ours[key], theirs[key], f"{at}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(name, one, other, f"{at}[{number}]")
    elif ours != theirs and not (_is_nan(ours) and _is_nan(theirs)):
        yield f"{name}{at}: {str(ours)[:200]}, undisturbed {str(theirs)[:200]}"


def _far(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    """Of a run on two workers."""
    epochs = [[epoch["epoch"] for epoch in each["history"]] for each in (ours, theirs)]
    if epochs[0] != epochs[1]:
        yield f"{name}: epochs {epochs[0]}, undisturbed {epochs[1]}"
        return
    for one, other in zip(ours["history"], theirs["history"], strict=True):
        if not math.isclose(one["loss"], other["loss"], rel_tol=TOLERANCE):
            yield f"{name}: loss {one['loss']} in epoch {one['epoch']}, alone {other['loss']}"
    for key in ("linear_top1",):
        if abs(ours["results"][key] - theirs["results"][key]) > POINTS:
            yield f"{name}: {key} {ours['results'][key]}, alone {theirs['results'][key]}"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
