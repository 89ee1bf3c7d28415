"""Milliseconds, in process: what a sweep writes into MLflow, and what it does when MLflow fails."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from orchestrator.errors import TrackingError
from orchestrator.plan import Plan, build
from orchestrator.provenance import RAY_JOB
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.tracking import CellRun, ParentRun, Status, recorder
from orchestrator.tracking.encoder_model import LoggedEncoder, ModelError
from orchestrator.tracking.names import entry_name
from orchestrator.tracking.provenance import DataSplit, data_splits
from orchestrator.tracking.recorder import Recorder, Recorders, tags_of
from search_spaces import ABLATIONS
from search_spaces.part import part_of
from workloads.catalog import preset_named
from workloads.catalog.simclr import SIMCLR

PARENT = ParentRun("experiment", "parent", "s1")
BASE = preset_named("shapes").tree()
COMMAND = "simclr-orch ablate temperature --preset shapes --storage /some/where"
KEPT: Any = {
    "base": BASE,
    "cells": [],
    "command": COMMAND,
    "data": {"content": "c0ffee", "title": "t", "train": 1800, "validation": 200, "test": 1000},
    "git_commit": "abc-changed",
    "preset": "shapes",
}
TAGS = {"simclr_orch.ablation": "temperature"}
REPORT = {"report.md": b"# Temperature"}


class Ledger:
    """A tracker in memory: keeps what it is asked to write, and refuses what `failing` names."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.recorded: dict[str, int | None] = {}  # of how many epochs each curve is whole
        self.whole: dict[str, int | None] = {}
        self.mended: dict[str, Mapping[int, Mapping[str, float]]] = {}
        self.added: dict[str, Mapping[str, float]] = {}
        self.of_old: set[str] = set()
        self.described: list[tuple[str, Mapping[str, str], str]] = []
        self.numbers: list[Mapping[str, float]] = []
        self.asked: list[str] = []
        self.no_program = set[str]()
        self.encoders: dict[str, LoggedEncoder] = {}
        self.about: dict[str, Mapping[str, str] | None] = {}
        self.data: dict[str, list[tuple[str, str, int | None]]] = {}
        self.opened: dict[str, dict[str, Any]] = {}
        self.curves: list[tuple[str, Mapping[int, Mapping[str, float]]]] = []
        self.models: dict[str, tuple[bytes, str]] = {}
        self.closed: dict[str, tuple[Status, Mapping[str, float], Mapping[str, str | bytes]]] = {}
        self.ended: list[tuple[Status, Mapping[str, str | bytes]]] = []

    def _answer(self, request: str) -> None:
        self.asked.append(request)
        if request in self.failing:
            raise TrackingError(f"no answer to {request}")

    def sweep(self, experiment: str, sweep_id: str, **about: Any) -> ParentRun:
        self._answer("sweep")
        self.opened[f"{experiment} {sweep_id}"] = about
        return PARENT

    def reconcile(self, parent: ParentRun) -> list[str]:
        assert parent == PARENT
        self._answer("reconcile")
        return []

    def finished_cells(self, parent: ParentRun) -> dict[str, CellRun]:
        assert parent == PARENT
        self._answer("finished_cells")
        return {
            name: CellRun(
                parent.experiment_id, f"run of {name}", name, epochs, name not in self.of_old
            )
            for name, epochs in self.recorded.items()
        }

    def cell(self, parent: ParentRun, fingerprint: str, **about: Any) -> CellRun:
        assert parent == PARENT
        self._answer("cell")
        self.opened[fingerprint] = about
        return CellRun(parent.experiment_id, f"run of {fingerprint}", fingerprint)

    def log_data(self, run: CellRun | ParentRun, splits: Iterable[DataSplit]) -> None:
        self._answer("log_data")
        self.data[run.run_id] = [(split.name, split.context, split.images) for split in splits]

    def log_epochs(self, cell: CellRun, curve: Mapping[int, Mapping[str, float]]) -> None:
        self._answer("log_epochs")
        self.curves.append((cell.fingerprint, curve))

    def describe(self, parent: ParentRun, text: str, tags: Mapping[str, str], view: str) -> None:
        assert parent == PARENT
        self._answer("describe")
        self.described.append((text, tags, view))

    def mend(
        self,
        cell: CellRun,
        curve: Mapping[int, Mapping[str, float]],
        results: Mapping[str, float],
        **about: Any,
    ) -> None:
        self._answer("mend")
        self.mended[cell.fingerprint] = curve
        self.added[cell.fingerprint] = results
        self.opened[cell.fingerprint] = about

    def log_model(self, cell: CellRun, state: bytes, spec: str) -> None:
        self._answer("log_model")
        self.models[cell.fingerprint] = (state, spec)

    def log_encoder(self, cell: CellRun, encoder: LoggedEncoder) -> None:
        if cell.fingerprint in self.no_program:
            raise ModelError("it branches by its input")
        self.encoders[cell.fingerprint] = encoder

    def finish(
        self,
        cell: CellRun,
        results: Mapping[str, float],
        artifacts: Mapping[str, str | bytes],
        status: Status = "FINISHED",
        epochs: int | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self._answer("finish")
        self.about[cell.fingerprint] = about
        self.whole[cell.fingerprint] = epochs
        self.closed[cell.fingerprint] = (status, results, artifacts)

    def finish_sweep(
        self,
        parent: ParentRun,
        *,
        status: Status,
        artifacts: Mapping[str, str | bytes],
        metrics: Mapping[str, float],
    ) -> None:
        assert parent == PARENT
        self._answer("finish_sweep")
        self.numbers.append(metrics)
        self.ended.append((status, artifacts))


class Clock:
    """Stands for the module `time`: shows the seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build(ABLATIONS["temperature"], preset_named("shapes"), seeds=1)


@pytest.fixture(scope="module")
def cells(plan: Plan) -> list[str]:
    """Fingerprints of cells that are trained."""
    return [name for name, cell in plan.jobs.items() if cell.role == "cell"]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recorder, "time", clock)
    return clock


def recording(
    ledger: Any, plan: Plan, storage: Storage, warnings: list[str], *, log_model: bool = False
) -> Recorder:
    return Recorder(ledger, plan, storage, TAGS, log_model=log_model, warn=warnings.append)


@pytest.fixture
def begun(ledger: Ledger, plan: Plan, storage: Storage, warnings: list[str]) -> Recorder:
    """A recorder of a sweep that has begun."""
    begun = recording(ledger, plan, storage, warnings)
    begun.begin(KEPT)
    return begun


def record(fingerprint: str, status: str = "finished", **more: Any) -> RunRecord:
    tree: dict[str, Any] = {
        "name": "a cell",
        "fingerprint": fingerprint,
        "status": status,
        "spec": {"seed": 3},
        "results": {"linear_top1": 70.0} if status == "finished" else {},
        "history": [{"epoch": 1.0, "loss": 5.0}, {"epoch": 2.0, "loss": 4.0}],
    }
    return RunRecord.read(tree | more)


# When MLflow fails --------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["sweep", "reconcile", "finished_cells"])
def test_a_beginning_that_fails_begins_again(
    refused: str, ledger: Ledger, plan: Plan, storage: Storage, warnings: list[str]
) -> None:
    ledger.failing = {refused}
    mine = recording(ledger, plan, storage, warnings)
    with pytest.raises(TrackingError, match=f"no answer to {refused}"):
        mine.begin(KEPT)
    ledger.failing = set()
    mine.begin(KEPT)
    assert list(ledger.opened) == [f"temperature {plan.sweep_id}"]
    assert warnings == []


@pytest.mark.parametrize("refused", ["cell", "log_epochs", "finish"])
def test_a_cell_that_fails_is_written_by_the_next_call(
    refused: str, begun: Recorder, ledger: Ledger, cells: list[str]
) -> None:
    ledger.failing = {refused}
    with pytest.raises(TrackingError, match=f"no answer to {refused}"):
        begun.ended(cells[0], record(cells[0]))
    assert ledger.closed == {}
    ledger.failing = set()
    begun.ended(cells[0], record(cells[0]))
    begun.finish("FINISHED", REPORT)
    assert ledger.closed[cells[0]][0] == "FINISHED"
    assert [status for status, _ in ledger.ended] == ["FINISHED"]


@pytest.mark.parametrize("refused", ["finish", "reconcile", "finish_sweep"])
def test_an_end_that_fails_is_written_by_the_next_call(
    refused: str, begun: Recorder, ledger: Ledger, cells: list[str]
) -> None:
    begun.started(cells[0])
    ledger.failing = {refused}
    with pytest.raises(TrackingError, match=f"no answer to {refused}"):
        begun.finish("FINISHED", REPORT)
    assert ledger.ended == []
    ledger.failing = set()
    begun.finish("FINISHED", REPORT)
    assert ledger.closed[cells[0]][0] == "KILLED"
    assert [status for status, _ in ledger.ended] == ["FINISHED"]


# What is written ----------------------------------------------------------------------------------


def test_a_sweep_is_opened_with_its_plan_and_a_cell_once_with_its_specification(
    begun: Recorder, ledger: Ledger, plan: Plan, cells: list[str]
) -> None:
    assert ledger.asked == ["sweep", "log_data", "describe", "reconcile", "finished_cells"]
    name = f"temperature {plan.sweep_id}"
    shared = ledger.opened[name].pop("params")
    assert ledger.opened == {name: {"name": name, "tags": TAGS, "plan": KEPT}}
    for _ in range(2):
        begun.started(cells[0])
    assert ledger.asked[5:] == ["cell", "log_data"]
    whole = [("shapes", "train", 1800), ("shapes", "validation", 200), ("shapes", "test", 1000)]
    assert ledger.data == {PARENT.run_id: whole, f"run of {cells[0]}": whole}
    cell = plan.jobs[cells[0]]
    fields = cell.spec.flat()
    assert shared.items() < fields.items()
    varied = {"loss.temperature", "loss.normalize", "seed"}
    assert {name for name in fields if name not in shared} == varied
    axes = plan.ablation.layout(plan.scale).axes if plan.ablation else ()
    at = {entry_name(axis.name): label for axis, label in zip(axes, cell.at, strict=True)}
    assert ledger.opened[cells[0]] == {
        "name": cell.name,
        "params": {"cell": " · ".join(cell.at), **at, **fields},
        "tags": TAGS
        | {
            "simclr_orch.cell": " · ".join(cell.at),
            "simclr_orch.seed": str(cell.seed),
            "simclr_orch.role": "cell",
            "simclr_orch.paper": f"{cell.paper:g}",
            "simclr_orch.pages": "2",
        },
    }


def test_curves_are_written_at_once_and_then_in_batches_each_cells_by_itself(
    begun: Recorder, ledger: Ledger, cells: list[str], clock: Clock
) -> None:
    one, other = cells[:2]
    started = clock.seconds
    for epoch, seconds in enumerate([0.0, 2.0, 5.0, 5.1, 9.0], start=1):
        clock.seconds = started + seconds
        if epoch == 2:
            begun.epoch(other, {"epoch": 1.0, "loss": 0.1})
        begun.epoch(one, {"epoch": float(epoch), "loss": 5.0 - epoch})
    assert ledger.curves == [
        (one, {1: {"loss": 4.0}}),
        (other, {1: {"loss": 0.1}}),
        (one, {2: {"loss": 3.0}, 3: {"loss": 2.0}, 4: {"loss": 1.0}}),
    ]

    begun.ended(one, record(one))
    whole = {1: {"loss": 5.0}, 2: {"loss": 4.0}}
    assert ledger.curves[3:] == [(one, whole)], "what was waiting is part of the record"


def test_of_an_epoch_only_what_the_workload_logs_is_written(
    begun: Recorder, ledger: Ledger, plan: Plan, cells: list[str]
) -> None:
    assert {"loss", "learning_rate"} <= set(plan.workload.logged)
    metrics = {"epoch": 7.0, "loss": 5.0, "learning_rate": 0.1, "time_this_iter_s": 3.0}
    begun.epoch(cells[0], metrics)
    assert ledger.curves == [(cells[0], {7: {"loss": 5.0, "learning_rate": 0.1}})]


@pytest.mark.parametrize(
    ("status", "expected", "results"),
    [
        ("finished", "FINISHED", {"linear_top1_percent": 70.0, "total_seconds": 9.0}),
        ("failed", "FAILED", {}),
        ("stopped", "KILLED", {"validation_score": 40.0}),
    ],
)
def test_a_cell_that_has_ended_is_closed_with_its_status_results_and_files(
    status: str,
    expected: Status,
    results: dict[str, float],
    begun: Recorder,
    ledger: Ledger,
    storage: Storage,
    cells: list[str],
) -> None:
    storage.write_bytes(f"runs/{cells[0]}/log.txt", b"epoch 1")
    own = {"stopped": {"validation_score": 40.0}, "finished": {"linear_top1": 70.0}}
    ended = record(cells[0], status, results=own.get(status, {}), total_seconds=9.0)
    begun.ended(cells[0], ended)
    found_status, found_results, files = ledger.closed[cells[0]]
    of_paper = {name: value for name, value in found_results.items() if name.startswith("paper_")}
    assert of_paper.keys() == ({"paper_linear_top1_percent"} if status == "finished" else set())
    assert (found_status, found_results) == (expected, results | of_paper)
    assert list(files) == ["run.json", "spec.yaml", "log.txt"]
    assert json.loads(files["run.json"]) == ended.tree()
    assert yaml.safe_load(files["spec.yaml"]) == {"seed": 3}
    assert files["log.txt"] == "epoch 1"
    assert ledger.models == {}

    begun.finish("FINISHED", REPORT)
    assert ledger.closed[cells[0]][0] == expected, "it is closed twice"


def test_an_interval_is_a_tag_and_no_metric(
    begun: Recorder, ledger: Ledger, plan: Plan, cells: list[str]
) -> None:
    begun.ended(cells[0], record(cells[0], intervals={"linear_top1": [68.0, 72.04]}))
    paper = plan.jobs[cells[0]].paper
    results = {"linear_top1_percent": 70.0, "paper_linear_top1_percent": paper}
    assert ledger.closed[cells[0]][1] == results
    about = ledger.about[cells[0]]
    assert about is not None
    assert about["interval.linear_top1_percent"] == "68.0 to 72.0"


def test_runs_of_a_version_that_named_metrics_otherwise_are_mended(
    ledger: Ledger, plan: Plan, storage: Storage, cells: list[str], warnings: list[str]
) -> None:
    ledger.recorded, ledger.of_old = {cells[0]: 2}, {cells[0]}
    mine = recording(ledger, plan, storage, warnings)
    mine.begin(KEPT)
    mine.taken_over(cells[0], record(cells[0], intervals={"linear_top1": [68.0, 72.0]}))
    assert ledger.added[cells[0]]["linear_top1_percent"] == 70.0
    mended = ledger.opened[cells[0]]
    assert mended["params"]["cell"] == " · ".join(plan.jobs[cells[0]].at)
    assert mended["tags"] == {
        "simclr_orch.pages": "2",
        "interval.linear_top1_percent": "68.0 to 72.0",
    }


def test_a_sweep_is_described_at_first_by_its_question_and_in_the_end_by_its_answer(
    begun: Recorder, ledger: Ledger, plan: Plan
) -> None:
    assert plan.ablation is not None
    [(text, tags, view)] = ledger.described
    for part in (plan.ablation.question, plan.ablation.source, COMMAND, "preset shapes", "1,800"):
        assert part in text
    assert "No answer yet" in text
    assert list(tags) == [f"mlflow.sharedViewState.{view}"]

    cell = {"mean": 70.0, "failed": 1, "missing": 2}
    document = {
        "cells": [cell, cell | {"mean": 60.0}, {"mean": None, "failed": 0, "missing": 0}],
        "untrained": {"mean": 50.0},
        "rank_correlation": None,
        "verdicts": [{"verdict": "reproduced"}, {"verdict": "not asked"}],
    }
    files = {"report.json": json.dumps(document).encode(), "report.png": b"", "answer.md": b"- yes"}
    begun.finish("FINISHED", files)
    [metrics] = ledger.numbers
    assert metrics == {
        "best_linear_top1_percent": 70.0,
        "untrained_linear_top1_percent": 50.0,
        "claims_reproduced": 1,
        "claims_contradicted": 0,
        "claims_alike": 0,
        "claims_undecided": 0,
        "claims_not_asked": 1,
        "runs_failed": 2,
        "runs_missing": 4,
    }
    text = ledger.described[-1][0]
    assert "- yes" in text
    assert "No answer yet" not in text
    assert "(get-artifact?path=report.png&run_uuid=parent)" in text


def test_what_was_recorded_before_is_not_opened_again_and_its_curve_is_made_whole(
    ledger: Ledger, plan: Plan, storage: Storage, cells: list[str], warnings: list[str]
) -> None:
    whole, of_an_older_version, short, new = cells[:4]
    ledger.recorded = {whole: 2, of_an_older_version: None, short: 1}
    mine = recording(ledger, plan, storage, warnings)
    mine.begin(KEPT)
    for name in (whole, of_an_older_version, short, new):
        mine.taken_over(name, record(name))
    assert list(ledger.closed) == [new]
    assert ledger.whole == {new: 2}
    curve = {1: {"loss": 5.0}, 2: {"loss": 4.0}}
    assert ledger.mended == {of_an_older_version: curve, short: curve}


def test_encoders_are_logged_of_all_that_have_finished_recorded_or_not(
    ledger: Ledger, plan: Plan, storage: Storage, cells: list[str], warnings: list[str]
) -> None:
    recorded, borrowed, failed, without = cells[:4]
    ledger.recorded = {recorded: 2}
    for name in (recorded, failed, "another-run"):
        storage.write_bytes(f"runs/{name}/checkpoint.pt", f"state of {name}".encode())
    mine = recording(ledger, plan, storage, warnings, log_model=True)
    mine.begin(KEPT)
    mine.taken_over(recorded, record(recorded))
    mine.ended(borrowed, record(borrowed, trained_by="another-run"))
    mine.ended(failed, record(failed, "failed"))
    mine.ended(without, record(without))
    assert ledger.models == {
        recorded: (f"state of {recorded}".encode(), "seed: 3\n"),
        borrowed: (b"state of another-run", "seed: 3\n"),
    }
    assert set(ledger.closed) == {recorded, borrowed, failed, without}


def test_cells_that_are_still_open_at_the_end_were_interrupted(
    begun: Recorder, ledger: Ledger, cells: list[str]
) -> None:
    done, left = cells[:2]
    for name in (done, left):
        begun.started(name)
    begun.ended(done, record(done))
    begun.finish("KILLED", REPORT)
    assert ledger.closed[done][0] == "FINISHED"
    assert ledger.closed[left] == ("KILLED", {}, {})
    assert ledger.ended == [("KILLED", REPORT)]
    assert ledger.asked[-3:] == ["finish", "reconcile", "finish_sweep"]


@pytest.mark.parametrize("job", [None, "raysubmit_1"])
def test_the_tags_of_a_sweep_name_what_it_is_of_and_the_ray_job_that_ran_it(
    job: str | None, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RAY_JOB, raising=False)
    if job is not None:
        monkeypatch.setenv(RAY_JOB, job)
    expected = {
        "simclr_orch.ablation": "temperature",
        "simclr_orch.data": "c0ffee",
        "simclr_orch.source": ABLATIONS["temperature"].source,
        "simclr_orch.git_commit": "abc-changed",
        "simclr_orch.vary": "seed",
        "mlflow.source.name": "simclr-orch ablate temperature",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "abc",
    }
    assert tags_of(plan, KEPT) == expected | ({} if job is None else {"simclr_orch.job": job})
    without = tags_of(plan, KEPT | {"git_commit": None})
    assert not {"simclr_orch.git_commit", "mlflow.source.git.commit"} & without.keys()


def test_the_tags_of_a_part_name_its_labels() -> None:
    part = part_of(
        ABLATIONS["few-augmentations"], "small", {"1st transformation": ["crop", "color"]}
    )
    tags = tags_of(build(part, preset_named("shapes")), KEPT)
    assert tags["simclr_orch.only"] == "1st transformation=crop,color"


# Several sweeps at once ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def larger() -> Plan:
    """The same ablation with a second seed: has every run of `plan`, and others."""
    return build(ABLATIONS["temperature"], preset_named("shapes"), seeds=2)


def test_each_sweep_is_told_of_the_cells_that_it_has(
    plan: Plan, larger: Plan, storage: Storage, cells: list[str], warnings: list[str]
) -> None:
    ledgers = Ledger(), Ledger()
    both = [
        recording(ledger, one, storage, warnings)
        for ledger, one in zip(ledgers, (plan, larger), strict=True)
    ]
    for one in both:
        one.begin(KEPT)
    together = Recorders(both)
    shared, before = cells[:2]
    own = next(name for name in larger.jobs if name not in plan.jobs)
    for name in (shared, own):
        together.started(name)
        together.epoch(name, {"epoch": 1.0, "loss": 5.0})
        together.ended(name, record(name))
    together.taken_over(before, record(before))

    assert [set(ledger.closed) for ledger in ledgers] == [{shared, before}, {shared, own, before}]
    first = {1: {"loss": 5.0}}
    assert [ledger.curves.count((shared, first)) for ledger in ledgers] == [1, 1]
    assert [ledger.curves.count((own, first)) for ledger in ledgers] == [0, 1]


def test_sizes_of_data_are_told_where_a_run_has_the_images_that_were_counted() -> None:
    shapes = preset_named("shapes")
    other_split = shapes.with_values({"data.split_seed": 7, "loss.temperature": 2.0}).tree()
    fewer = shapes.with_values({"data.train_images": 100, "data.content": "another"}).tree()
    kept = KEPT | {"data": KEPT["data"] | {"validation": 0}}
    assert [split.images for split in data_splits(SIMCLR.data_name, kept, other_split)] == [
        1800,
        1000,
    ]
    assert [
        (split.images, split.digest) for split in data_splits(SIMCLR.data_name, kept, fewer)
    ] == [(None, "another")] * 3


def test_what_a_run_was_measured_on_is_in_its_tags(
    begun: Recorder, ledger: Ledger, cells: list[str]
) -> None:
    machine = {"device": "A100", "gpu": True, "threads": 2, "workers": 1, "precision": "bf16"}
    more = {"torch": "2.14", "python": "3.12", "hosts": ["node-1"]}
    begun.ended(cells[0], record(cells[0], machine=machine | more))
    begun.ended(cells[1], record(cells[1]))
    about = ledger.about[cells[0]] or {}
    assert about["simclr_orch.device"] == "A100"
    assert about["simclr_orch.hosts"] == "node-1"
    assert not ledger.about[cells[1]]


def test_use_of_the_machine_is_part_of_the_curve(
    begun: Recorder, ledger: Ledger, cells: list[str]
) -> None:
    history = [{"epoch": 1.0, "loss": 5.0, "system/cpu_utilization_percentage": 50.0, "other": 1.0}]
    begun.ended(cells[0], record(cells[0], history=history))
    assert ledger.curves == [
        (cells[0], {1: {"loss": 5.0, "system/cpu_utilization_percentage": 50.0}})
    ]


def test_an_encoder_that_is_no_program_is_told_and_ends_nothing(
    ledger: Ledger, plan: Plan, cells: list[str], storage: Storage, warnings: list[str]
) -> None:
    network = LoggedEncoder(torch.nn.Identity(), 4)
    mine = Recorder(
        ledger,  # type: ignore[arg-type]
        plan,
        storage,
        TAGS,
        log_model=True,
        warn=warnings.append,
        encoder_of=lambda _: network,
    )
    mine.begin(KEPT)
    for name in cells[:2]:
        storage.write_bytes(f"runs/{name}/checkpoint.pt", b"state")
    ledger.no_program = {cells[0]}
    for name in cells[:2]:
        mine.ended(name, record(name))
    assert ledger.encoders == {cells[1]: network}
    assert warnings == [
        "a cell: its encoder is kept, and is no model of MLflow: it branches by its input"
    ]
    assert ledger.closed.keys() == {*cells[:2]}
