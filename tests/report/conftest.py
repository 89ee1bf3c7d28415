"""What tests of pages share: a report of a question whose words are HTML."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.plan import build
from orchestrator.plan.kept import kept_cells
from orchestrator.report.collect import Report, collect
from orchestrator.run_record import RunRecord
from search_spaces import UNTRAINED, Ablation, Axis, Cell, Claim, Comparison, Layout
from search_spaces.claims import Term
from workloads.catalog import preset_named

HOSTILE = "<script>hit = 1</script>"
LABELS = (HOSTILE, "b & <b>c</b>", "third")


def ablation_of(figure: str) -> Ablation:
    """A grid of three labels by two, or a list of three, whose first label is a script."""
    rows = Axis(name="rows <i>", labels=LABELS)
    columns = Axis(name="columns", labels=("1", "2"), log=True)
    places = [(row,) for row in LABELS]
    if figure != "table":
        places = [(row, column) for row in LABELS for column in columns.labels]
    layout = Layout(
        axes=(rows,) if figure == "table" else (rows, columns),
        cells=tuple(
            Cell(at=at, values={"loss.temperature": 0.1 + 0.1 * number}, paper=40.0 + 2 * number)
            for number, at in enumerate(places)
        ),
        note="a note with <img src=x>",
    )
    comparisons = tuple(
        Comparison(
            label=f"{at} is above the first",
            terms=(Term(weight=1, at=at), Term(weight=-1, at=places[0])),
        )
        for at in places[1:]
    )
    claim = Claim(
        statement=f"All are above {HOSTILE}.",
        source="section 0",
        paper=comparisons,
        small=comparisons,
    )
    return Ablation(
        name="hostile",
        title=f"A title with {HOSTILE}",
        question="What if words are <em>HTML</em>?",
        source="Figure 0",
        paper=layout,
        small=layout,
        figure=figure,  # type: ignore[arg-type]
        claims=(claim,),
    )


@pytest.fixture(scope="session")
def hostile_report() -> Callable[[str], Report]:
    """Collects a question drawn as named: 50 + the cell's number + a tenth of the seed."""

    def collected(figure: str) -> Report:
        ablation = ablation_of(figure)
        plan = build(ablation, preset_named("shapes"), seeds=5)
        kept: Any = {
            "sweep": plan.sweep_id,
            "workload": "simclr",
            "scale": plan.scale,
            "preset": "shapes",
            "base": plan.base.tree(),
            "seeds": list(plan.seeds),
            "cells": kept_cells(plan),
            "data": {"title": "shapes", "train": 1, "validation": 1, "test": 1, "content": "d1"},
            "command": "simclr-orch ablate hostile --storage /home/someone --seeds 5",
            "git_commit": "abc123",
            "versions": {"torch": "2.14"},
            "started": "2026-01-01T00:00:00+00:00",
        }
        machine = {"device": "a CPU", "gpu": False, "threads": 2, "workers": 1}
        machine |= {"precision": "bf16", "torch": "2.14", "python": "3.11"}
        places = [UNTRAINED, *(cell.at for cell in ablation.small.cells)]
        records = {}
        for cell in plan.cells:
            number = places.index(cell.at)
            value = 50.0 + number + 0.1 * ((cell.seed + number) % 5)
            history = [
                {"epoch": float(epoch), "loss": 5.0 / epoch, "online_top1": value - 3 + epoch}
                for epoch in range(1, 4)
            ]
            records[cell.fingerprint] = RunRecord(
                name=cell.name,
                fingerprint=cell.fingerprint,
                status="finished",
                spec=cell.spec.tree(),
                results={"linear_top1": value},
                history=[] if cell.role == "reference" else history,
                machine=machine,  # type: ignore[arg-type]
                ended="2026-01-01T01:00:00+00:00",
                total_seconds=1800.0,
            )
        return collect(ablation, kept, records)

    return collected
