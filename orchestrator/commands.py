"""What the commands do, behind the command line: plan, run, report."""

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from orchestrator.cell import RECORD, read_record
from orchestrator.errors import OrchestratorError, PlanError, StorageError
from orchestrator.estimate import Estimate, estimate, measured_speed
from orchestrator.figures import draw, save
from orchestrator.plan import Plan
from orchestrator.report import Report, as_json, collect, markdown, print_report, subtitle
from orchestrator.request import Checked, Request, ablation_named, check, local_shape
from orchestrator.storage import Storage
from workloads.datasets.spec import EMBEDDED

if TYPE_CHECKING:
    from orchestrator.recorder import Recorder

__all__ = ["Finished", "dry_run", "execute", "latest_sweep", "report_on"]

PACKAGES = ("ray", "torch", "torchvision", "mlflow", "pydantic", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Finished:
    """How a command ended: its exit code, and what `--json` prints."""

    exit_code: int
    document: dict[str, Any]


def dry_run(request: Request, console: Console) -> Finished:
    """Print the plan and what it costs. Starts nothing, unless the cluster by address must be asked for its size."""
    from orchestrator.cluster import connected

    checked = check(request)
    if checked.settings.address is None:
        plan, concurrent, done = _fitted(checked, local_shape())
    else:
        with connected(checked.settings.address) as shape:
            plan, concurrent, done = _fitted(checked, shape)
    cost = _cost(checked, plan, concurrent, done)
    for cell in plan.cells:
        state = "finished before" if cell.fingerprint in done else f"about {cost.cell_seconds[cell.fingerprint]:.0f} s"
        console.print(f"{cell.fingerprint[:12]}  {cell.name:<44} {state}", highlight=False)
    console.print(_cost_line(plan, cost, done), highlight=False, soft_wrap=True)
    cells = [{"name": cell.name, "fingerprint": cell.fingerprint, "spec": cell.spec.tree()} for cell in plan.cells]
    return Finished(0, {"sweep": plan.sweep_id, "cells": cells, "finished": sorted(done), "estimate": vars(cost)})


def execute(request: Request, out: Console, command: str) -> Finished:
    """Run what is missing of a request, with progress on stderr, and report on the whole of it to `out`.

    Exit code 1 if not every cell has finished.
    """
    from orchestrator.cluster import connected, nodes_that_miss
    from orchestrator.tracking import Tracker

    checked = check(request)
    tracker = Tracker.open(checked.settings.tracking_uri, checked.storage)
    plan, _, done = _fitted(checked, local_shape(), placed=checked.settings.address is None)
    for fingerprint, record in tracker.finished(plan.name, plan.jobs.keys() - done).items():
        # MLflow has what the storage lost.
        checked.storage.write_json(f"runs/{fingerprint}/{RECORD}", record)
        done.add(fingerprint)
    with _only_one(plan, checked.storage):
        if len(done) == len(plan.jobs):
            return _run(checked, plan, tracker, out, command, 1)
        with connected(checked.settings.address, dashboard=request.workers > 1) as shape:
            plan, concurrent, done = _fitted(checked, shape)
            if len(shape.nodes) > 1 and (blind := nodes_that_miss(checked.storage)):
                raise PlanError([f"--storage {checked.storage.uri}: node {node} does not see it" for node in blind])
            cost = _cost(checked, plan, concurrent, done)
            Console(stderr=True).print(_cost_line(plan, cost, done), highlight=False, soft_wrap=True)
            return _run(checked, plan, tracker, out, command, concurrent)


def report_on(name: str, storage: Storage, console: Console, *, sweep: str | None, output: Path | None) -> Finished:
    """Print the report of an ablation's sweep, the latest unless named, and write its files.

    Raises PlanError when the storage has no such sweep.
    """
    ablation = ablation_named(name)
    plan = latest_sweep(storage, name, sweep)
    records = {cell["fingerprint"]: read_record(storage, cell["fingerprint"]) for cell in plan["cells"]}
    report = collect(ablation, plan, records)
    print_report(report, console)
    files = _report_files(report)
    if output is None:
        for file, content in files.items():
            storage.write_bytes(f"sweeps/{name}/{plan['sweep']}/{file}", content)
        where = storage.path("sweeps", name, plan["sweep"])
    else:
        output.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (output / file).write_bytes(content)
        where = str(output)
    console.print(f"report: {where}/report.md, figure: {where}/report.png", highlight=False, soft_wrap=True)
    return Finished(0, as_json(report) | {"files": where})


def latest_sweep(storage: Storage, name: str, sweep: str | None = None) -> dict[str, Any]:
    """The kept plan of a sweep, by the beginning of its id, or the latest one. Raises PlanError when there is none."""
    found = [storage.read_json(f"sweeps/{name}/{folder}/plan.json") for folder in storage.list(f"sweeps/{name}")]
    plans = sorted((plan for plan in found if plan), key=lambda plan: str(plan["started"]))
    fitting: list[dict[str, Any]] = [plan for plan in plans if sweep is None or plan["sweep"].startswith(sweep)]
    if not fitting:
        known = f"; known are {', '.join(plan['sweep'] for plan in plans)}" if plans else ""
        raise PlanError([f"{name}: no sweep{f' {sweep}' if sweep else ''} in {storage.uri}{known}"])
    return fitting[-1]


def _run(checked: Checked, plan: Plan, tracker: Any, out: Console, command: str, concurrent: int) -> Finished:
    from orchestrator.recorder import Recorder

    console = Console(stderr=True)
    tree = _plan_tree(checked, plan, command)
    recorder = Recorder(
        tracker,
        plan,
        checked.storage,
        _tags(plan, tree),
        log_model=checked.request.log_model,
        warn=lambda text: console.print(text, style="yellow", soft_wrap=True),
    )
    recorder.begin(tree)
    try:
        return _swept(checked, plan, tree, recorder, console, out, concurrent)
    except KeyboardInterrupt:
        recorder.finish("KILLED", {})
        raise
    except Exception as error:  # noqa: BLE001 - the request was right: what has begun, the same command continues
        recorder.finish("FAILED", {})
        if not isinstance(error, OrchestratorError):
            console.print_exception()
        console.print(f"{error}; continue with: {command}", highlight=False, soft_wrap=True, markup=False)
        return Finished(1, {"error": str(error), "command": command})


def _swept(
    checked: Checked,
    plan: Plan,
    tree: dict[str, Any],
    recorder: "Recorder",
    console: Console,
    out: Console,
    concurrent: int,
) -> Finished:
    from orchestrator.progress import SweepProgress
    from orchestrator.sweep import finished_records, run

    command = tree["command"]
    checked.storage.write_json(f"sweeps/{plan.name}/{plan.sweep_id}/plan.json", tree)
    done = len(finished_records(plan, checked.storage))
    with SweepProgress(console, plan.name, len(plan.jobs), done) as progress:
        outcome = run(
            plan,
            checked.storage,
            recorder,
            progress,
            concurrent=concurrent,
            max_failures=checked.request.max_failures,
            shared_storage=checked.settings.address is not None,
        )
    document, files = _results(checked, plan, out)
    recorder.finish("FINISHED" if outcome.complete else "FAILED" if outcome.failed else "KILLED", files)
    for record in outcome.failed.values():
        console.print(f"FAILED {record['name']}: log {record['log']}", style="red", highlight=False, soft_wrap=True)
        console.print("\n".join(f"    {line}" for line in record["log_tail"]), highlight=False, markup=False)
    complete = outcome.complete and recorder.failure is None
    if not complete:
        left = f"{len(outcome.failed)} failed, {len(outcome.missing)} not run"
        if recorder.failure:
            left += ", not all recorded in MLflow"
        console.print(f"{left}; continue with: {command}", highlight=False, soft_wrap=True, markup=False)
    document |= {"failed": sorted(outcome.failed), "missing": sorted(outcome.missing), "command": command}
    return Finished(0 if complete else 1, document)


def _results(checked: Checked, plan: Plan, console: Console) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What is printed at the end of a sweep or a single run, as a document and as files for MLflow."""
    if checked.ablation is not None:
        finished = report_on(plan.name, checked.storage, console, sweep=plan.sweep_id, output=None)
        folder = f"sweeps/{plan.name}/{plan.sweep_id}"
        names = ("report.md", "report.json", "report.png", "report.svg")
        return finished.document, {name: checked.storage.read_bytes(f"{folder}/{name}") or b"" for name in names}
    record = read_record(checked.storage, plan.cells[0].fingerprint)
    if record and record["status"] == "finished":
        for name, value in record["results"].items():
            console.print(f"{name:<24} {value:.6g}", highlight=False)
    return {"run": plan.cells[0].fingerprint, "record": record}, {}


def _report_files(report: Report) -> dict[str, bytes]:
    figure = draw(report.ablation, report.layout, report.cells, reference=report.reference, subtitle=subtitle(report))
    files = {
        "report.md": markdown(report, "report.png").encode(),
        "report.json": (json.dumps(as_json(report), indent=2) + "\n").encode(),
    }
    with tempfile.TemporaryDirectory() as folder:
        files |= {path.name: path.read_bytes() for path in save(figure, Path(folder), "report")}
    return files


def _fitted(checked: Checked, shape: Any, *, placed: bool = True) -> tuple[Plan, int, set[str]]:
    """The plan with the resources it gets on this cluster, the number of cells at once, and the finished ones."""
    from orchestrator.sweep import concurrent_cells, finished_records, fitted_resources

    resources = checked.resources(shape)
    plan = checked.plan(resources, shape if placed else None)
    done = set(finished_records(plan, checked.storage))
    limit = checked.request.max_concurrent
    if checked.request.cpus_per_worker is None:
        resources = fitted_resources(shape, resources, len(plan.jobs) - len(done), limit)
        plan = replace(plan, resources=resources)
    return plan, concurrent_cells(shape, resources, limit), done


def _cost(checked: Checked, plan: Plan, concurrent: int, done: set[str]) -> Estimate:
    storage = checked.storage
    records = [read_record(storage, name) for name in storage.list("runs")]
    speed = measured_speed((record for record in records if record), plan.resources)
    return estimate(plan, done=done, train_images=len(checked.data.train), concurrent=concurrent, speed=speed)


def _cost_line(plan: Plan, cost: Estimate, done: set[str]) -> str:
    resources = plan.resources
    gpus = f" and {resources.gpus_per_worker:g} GPUs" if resources.gpus_per_worker else ""
    left = len(plan.jobs) - len(done)
    shared = len(plan.cells) - len(plan.jobs)
    return (
        f"{plan.name} {plan.sweep_id}: {len(plan.jobs)} cells ({len(done)} finished before, {left} to run"
        f"{f', {shared} shared' if shared else ''}), {min(cost.concurrent, max(left, 1))} at once, each "
        f"{resources.workers} worker(s) with {resources.cpus_per_worker} CPUs{gpus}; expected "
        f"{_duration(cost.wall_seconds)}, {cost.gpu_hours:.1f} GPU-hours ({cost.basis})"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _plan_tree(checked: Checked, plan: Plan, command: str) -> dict[str, Any]:
    """The plan as it is kept: what was asked, of which data, with which code."""
    before = checked.storage.read_json(f"sweeps/{plan.name}/{plan.sweep_id}/plan.json")
    cells = [
        {"at": list(cell.at), "seed": cell.seed, "role": cell.role, "name": cell.name, "fingerprint": cell.fingerprint}
        for cell in plan.cells
    ]
    # Seeds of an earlier, larger request stay part of the sweep.
    cells += [cell for cell in (before["cells"] if before else []) if cell["seed"] not in plan.seeds]
    data = checked.data
    return {
        "sweep": plan.sweep_id,
        "ablation": plan.name,
        "scale": plan.scale,
        "preset": checked.request.recipe,
        "base": plan.base.tree(),
        "seeds": sorted({cell["seed"] for cell in cells}),
        "cells": cells,
        "data": {
            "title": _data_title(plan),
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
            "content": data.content,
            "notes": list(data.notes),
        },
        "resources": vars(plan.resources),
        "command": command,
        "git_commit": _git_commit(),
        "versions": {package: version(package) for package in PACKAGES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _data_title(plan: Plan) -> str:
    data = plan.base.data
    if data.name in EMBEDDED:
        return f"{data.name} (embedded), {data.image_size} px"
    folder = Path(data.root or "").name
    return f"{folder if data.name == 'image-folder' else data.name}, {data.image_size} px"


def _tags(plan: Plan, tree: Mapping[str, Any]) -> dict[str, str]:
    source = {"simclr_orch.source": plan.ablation.source} if plan.ablation else {}
    commit = {"simclr_orch.git_commit": tree["git_commit"]} if tree["git_commit"] else {}
    return {"simclr_orch.ablation": plan.name, "simclr_orch.data": tree["data"]["content"]} | source | commit


def _git_commit() -> str | None:
    """The commit of the code that runs, marked when the files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("-changed" if changed.stdout.strip() else "")


@contextmanager
def _only_one(plan: Plan, storage: Storage) -> Iterator[None]:
    """Refuse to run a sweep that another process of this machine is running. A killed process leaves no lock behind."""
    if not storage.is_local:
        yield
        return
    path = storage.local_path(f"sweeps/{plan.name}/{plan.sweep_id}/lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StorageError(f"--storage {storage.uri}: {error}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlanError([f"{plan.name} {plan.sweep_id}: another process is running this sweep"]) from None
        yield
    finally:
        os.close(file)
