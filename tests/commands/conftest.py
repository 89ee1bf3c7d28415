"""What tests of commands share: a sweep that has finished, of which nothing was trained."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.plan import PlannedCell, build
from orchestrator.plan.kept import KeptPlan, kept_cells
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.sweeps import PLAN, sweep_folder
from search_spaces import Ablation
from workloads.simclr.presets import preset


@pytest.fixture(scope="session")
def leave_sweep() -> Callable[..., KeptPlan]:
    """Leaves plan and records of a question in a storage, each run with `value` of its cell.

    It began at a `second`; `more` are other entries of the plan.
    """

    def leave(
        storage: Storage,
        question: Ablation,
        seeds: int,
        value: Callable[[PlannedCell], float],
        second: int = 0,
        **more: Any,
    ) -> KeptPlan:
        plan = build(question, preset("shapes"), seeds=seeds)
        tree: Any = {
            "sweep": plan.sweep_id,
            "ablation": plan.name,
            "scale": plan.scale,
            "preset": "shapes",
            "base": plan.base.tree(),
            "seeds": list(plan.seeds),
            "cells": kept_cells(plan),
            "data": {"title": "shapes", "train": 1, "validation": 1, "test": 1, "notes": []},
            "command": f"simclr-orch ablate {plan.name}",
            "looks_kept": True,
            "resources": vars(plan.resources),
            "started": f"2026-01-01T00:00:{second:02d}",
            **({} if plan.question is None else {"question": dict(plan.question)}),
            **more,
        }
        storage.write_json(f"{sweep_folder(plan)}/{PLAN}", tree)
        for cell in plan.cells:
            found = value(cell)
            record = RunRecord(
                name=cell.name,
                fingerprint=cell.fingerprint,
                status="finished",
                spec=cell.spec.tree(),
                results={"linear_top1": found},
                total_seconds=10.0,
                history=[{"epoch": 1.0, "loss": 1.0, "contrastive_accuracy": found}],
            )
            RunFolder(storage, cell.fingerprint).write_record(record)
        kept: KeptPlan = tree
        return kept

    return leave
