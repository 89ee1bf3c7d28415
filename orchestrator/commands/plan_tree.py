"""The plan of a sweep as it is kept: what was asked, of which data, with which code."""

from datetime import UTC, datetime
from importlib.metadata import version

from orchestrator.commands.check import Checked
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan, kept_cells, same_run
from orchestrator.plan.rounds import looks_of
from orchestrator.provenance import REPORTED_PACKAGES, git_commit
from orchestrator.storage.sweeps import kept_plan

__all__ = ["plan_tree"]


def plan_tree(checked: Checked, plan: Plan, command: str) -> KeptPlan:
    """Return the plan as it is kept: what was asked, of which data, with which code.

    Runs of an earlier and larger request stay part of the sweep, and so does the schedule at which
    its claims are looked at, unless there is a new one. The looks that were taken lie beside it.
    """
    before = kept_plan(checked.storage, plan)
    cells = kept_cells(plan)
    here = {same_run(cell) for cell in cells}
    looks_before: list[int] = []
    changed = False
    if before is not None:
        cells += [cell for cell in before["cells"] if same_run(cell) not in here]
        looks_before = before.get("looks", [])
        changed = before.get("looks_changed", False)
    looks = looks_before
    if most := checked.request.max_seeds:
        looks = list(looks_of(plan.ask.seeds, most))

    data = checked.data
    kept: KeptPlan = {
        "sweep": plan.sweep_id,
        "ablation": plan.name,
        "workload": plan.workload.name,
        "scale": plan.scale,
        "preset": checked.request.recipe,
        "base": plan.base.tree(),
        "seeds": sorted({cell["seed"] for cell in cells if cell["role"] != "candidate"}),
        "looks": looks,
        "looks_changed": changed,
        "looks_kept": True,
        "tuning": plan.ask.tuning,
        "vary": list(plan.ask.vary),
        "cells": cells,
        "data": {
            "title": data.title,
            "train": data.train,
            "validation": data.validation,
            "test": data.test,
            "content": data.content,
            "notes": list(data.notes),
            "read": [one.tree() for one in checked.read],
        },
        "resources": vars(plan.resources),
        "command": command,
        "git_commit": git_commit(),
        "versions": {package: version(package) for package in REPORTED_PACKAGES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if plan.question is not None:
        kept["question"] = dict(plan.question)
    if plan.ablation and plan.ablation.only:
        kept["only"] = {name: list(labels) for name, labels in plan.ablation.only.items()}
    return kept
