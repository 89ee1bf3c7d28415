"""Milliseconds: the report's numbers against hand-made records, in every form that it takes."""

import io
import statistics
from typing import Any

import pytest
from rich.console import Console

from orchestrator.plan import build
from orchestrator.report import as_json, collect
from orchestrator.report_text import markdown, print_report
from orchestrator.rounds import kept_cells
from search_spaces import ABLATIONS
from workloads.simclr.presets import preset

MACHINE = {"device": "a CPU", "gpu": False, "threads": 1, "workers": 1, "precision": "bf16", "torch": "2.14"}


def swept(name: str, seeds: int) -> tuple[dict[str, Any], dict[str, dict[str, Any] | None]]:
    """A kept plan and a finished record for each cell: accuracy 50 + the cell's number + seed."""
    plan = build(ABLATIONS[name], preset("shapes"), seeds=seeds)
    kept = {
        "sweep": plan.sweep_id,
        "scale": plan.scale,
        "preset": "shapes",
        "base": plan.base.tree(),
        "seeds": list(plan.seeds),
        "cells": kept_cells(plan),
        "data": {"title": "shapes, 24 px", "train": 1800, "validation": 200, "test": 1000},
        "command": f"simclr-orch ablate {name}",
    }
    each = len(plan.cells) // seeds
    records: dict[str, dict[str, Any] | None] = {}
    judged_by = {ABLATIONS[name].metric_of(cell) for cell in ABLATIONS[name].small.cells} | {ABLATIONS[name].tuned_by}
    for number, cell in enumerate(plan.cells):
        last = {"contrastive_entropy": 4.0 + cell.seed, "contrastive_accuracy": 80.0}
        records[cell.fingerprint] = {
            "name": cell.name,
            "status": "finished",
            "results": dict.fromkeys(judged_by | {"linear_top1"}, 50.0 + number % each + cell.seed),
            "spec": cell.spec.tree(),
            "history": [] if cell.role == "reference" else [last],
            "machine": MACHINE,
            "log": "runs/x/log.txt",
        }
    return kept, records


def test_mean_spread_and_n_of_each_cell() -> None:
    plan, records = swept("temperature", 3)
    report = collect(ABLATIONS["temperature"], plan, records)
    first = report.cells[0]
    assert first.at == ("yes, 0.05",)
    assert first.values == (51.0, 52.0, 53.0)
    assert (first.mean, first.spread, first.n) == (52.0, statistics.stdev([51, 52, 53]), 3)
    assert first.paper == 59.7
    assert report.reference is not None
    assert report.reference.values == (50.0, 51.0, 52.0)
    assert report.more[("yes, 0.05",)]["contrastive_entropy"] == pytest.approx(5.0)
    assert report.machines == ("a CPU, 1 thread a worker, bf16, torch 2.14",)


def test_failed_and_missing_cells_are_shown_as_such() -> None:
    plan, records = swept("augmentations", 1)
    at = {tuple(cell["at"]): cell["fingerprint"] for cell in plan["cells"]}
    records[at[("crop", "color")]] = None
    failed = records[at[("blur", "blur")]]
    assert failed is not None
    failed |= {"status": "failed", "error": "Traceback\nLossNotFiniteError: loss is nan"}
    report = collect(ABLATIONS["augmentations"], plan, records)
    assert report.finished == 47
    text = markdown(report, "report.png")
    crop = next(line for line in text.splitlines() if line.startswith("| crop |"))
    assert crop.split(" | ")[3] == "missing"
    blur = next(line for line in text.splitlines() if line.startswith("| blur |"))
    assert blur.split(" | ")[6] == "failed"
    assert "LossNotFiniteError: loss is nan (log: runs/x/log.txt)" in text
    cells = {tuple(cell["at"]): cell for cell in as_json(report)["cells"]}
    assert cells[("crop", "color")]["mean"] is None
    assert (cells[("crop", "color")]["missing"], cells[("blur", "blur")]["failed"]) == (1, 1)


def test_the_papers_values_stand_in_a_table_of_their_own() -> None:
    plan, records = swept("augmentations", 1)
    text = markdown(collect(ABLATIONS["augmentations"], plan, records), "report.png")
    ours, paper = [line for line in text.splitlines() if line.startswith("| color |")]
    assert ours == "| color | 65.0 | 66.0 | 67.0 | 68.0 | 69.0 | 70.0 | 71.0 |"
    assert paper == "| color | 55.8 | 35.5 | 18.8 | 21.0 | 11.4 | 16.5 | 20.8 |"


@pytest.mark.parametrize("name", list(ABLATIONS))
def test_every_ablation_prints_on_a_narrow_terminal(name: str) -> None:
    plan, records = swept(name, 2)
    buffer = io.StringIO()
    print_report(collect(ABLATIONS[name], plan, records), Console(file=buffer, width=100))
    printed = buffer.getvalue()
    assert ABLATIONS[name].question in printed.replace("\n", " ")
    if not any(cell.candidates for cell in ABLATIONS[name].small.cells):
        assert "Untrained: the same encoder without pre-training: 50.5 ± 0.7 % top-1" in printed


def test_the_document_holds_no_path_of_the_machine() -> None:
    plan, records = swept("head", 1)
    plan["base"]["data"]["root"] = "/home/somebody/images"
    report = collect(ABLATIONS["head"], plan, records)
    assert "/home/somebody" not in str(as_json(report))
    assert "/home/somebody" not in markdown(report, "report.png")
