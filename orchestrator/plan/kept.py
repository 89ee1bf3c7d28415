"""A plan as the storage keeps it: what was asked, of which data, with which code.

Plain data, since versions differ: a report reads plans that earlier ones wrote.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from orchestrator.plan.asked import Role, Tuning
from orchestrator.plan.cells import Plan
from orchestrator.plan.kept_shape import check_plan
from orchestrator.run_record import DEFAULT_WORKLOAD
from search_spaces.ablation import Scale, Varied
from workloads.catalog import workload_named
from workloads.workload import (
    AnyWorkload,
)

__all__ = [
    "KeptCell",
    "KeptData",
    "KeptPlan",
    "changed_code",
    "kept_cells",
    "only_text",
    "read_plan",
    "same_run",
    "workload_of_plan",
]


class KeptCell(TypedDict):
    """One run of a plan: where its cell lies, with which seed, as what, and its fingerprint."""

    at: list[str]
    seed: int
    role: Role
    candidate: NotRequired[int | None]
    name: str
    fingerprint: str


class KeptData(TypedDict):
    """The data of a sweep: numbers of images or inputs, and the digest of their content.

    `read` are all data sets that were read, with what is left out (`workloads.inventory`).
    """

    title: str
    train: int
    validation: int
    test: int
    content: str
    notes: list[str]
    read: NotRequired[list[dict[str, Any]]]


class KeptPlan(TypedDict):
    """A sweep's plan, with the runs of earlier and larger requests.

    `looks` are the numbers of seeds at which claims are looked at. With `looks_kept` the looks that
    were taken lie beside the plan; of a version before that, `looks_changed` tells that they were
    others before. `tuning` says how settings were chosen, once where it is not said, and
    `vary` what differs from seed to seed beside the seed. `question` is the tree of one that is not
    built in, `only` the labels by their axis of a sweep of a part.
    """

    sweep: str
    ablation: str
    question: NotRequired[dict[str, Any]]
    workload: NotRequired[str]
    scale: Scale
    preset: str
    base: dict[str, Any]
    seeds: list[int]
    looks: NotRequired[list[int]]
    looks_changed: NotRequired[bool]
    looks_kept: NotRequired[bool]
    tuning: NotRequired[Tuning]
    vary: NotRequired[list[Varied]]
    only: NotRequired[dict[str, list[str]]]
    cells: list[KeptCell]
    data: KeptData
    resources: dict[str, Any]
    command: str
    git_commit: str | None
    versions: dict[str, str]
    started: str


def read_plan(data: bytes) -> KeptPlan:
    """Read the plan that a file holds, of this version or another.

    Raises ValueError for what is none.
    """
    tree = json.loads(data)
    if not isinstance(tree, dict):
        raise ValueError("is not a mapping")
    if missing := [key for key in _READ_BY_REPORTS if key not in tree]:
        raise ValueError(f"has no {', '.join(missing)}")
    cells = tree["cells"]
    if not (isinstance(cells, list) and all(isinstance(cell, dict) for cell in cells)):
        raise ValueError("has no list of cells")
    check_plan(tree)
    found: KeptPlan = tree  # type: ignore[assignment]
    return found


# What no version has left out.
_READ_BY_REPORTS = ("sweep", "base", "cells", "started")


def kept_cells(plan: Plan) -> list[KeptCell]:
    """List the runs of a plan as they are kept in the storage."""
    return [
        {
            "at": list(cell.at),
            "seed": cell.seed,
            "role": cell.role,
            "candidate": cell.candidate,
            "name": cell.name,
            "fingerprint": cell.fingerprint,
        }
        for cell in plan.cells
    ]


def only_text(only: Mapping[str, Sequence[str]]) -> str:
    """Return the labels of a part, as `--only` reads them."""
    return "; ".join(f"{name}={','.join(labels)}" for name, labels in only.items())


def same_run(cell: KeptCell) -> tuple[object, ...]:
    """Return what two entries have in common that are of the same run of the same cell.

    A tuned cell that chose again has other runs instead of the old ones.
    """
    candidate = cell.get("candidate") if cell["role"] == "candidate" else None
    return (tuple(cell["at"]), cell["seed"], cell["role"], candidate)


def changed_code(plan: Plan, before: KeptPlan) -> list[str]:
    """Return a line for each own part whose source is another since the sweep began.

    Runs of both would stand in one table. The same run of the same question on the same recipe has
    another fingerprint then; a tuned cell that chose again has so for a reason of its own.
    """
    kept = {same_run(cell): cell["fingerprint"] for cell in before["cells"]}
    tuned = {cell.at for cell in plan.tuned}
    changed: dict[str, str] = {}
    for cell, entry in zip(plan.cells, kept_cells(plan), strict=True):
        chosen = cell.role == "cell" and cell.at in tuned
        if chosen or kept.get(same_run(entry), cell.fingerprint) == cell.fingerprint:
            continue
        changed |= {
            path: str(value)
            for path, value in cell.spec.flat().items()
            if value and "code" in path.split(".")
        }
    return [
        f"{plan.name}: {path}: the source is now {code}, and sweep {plan.sweep_id} began with "
        "another; put that back, or begin anew with another --storage"
        for path, code in changed.items()
    ]


def workload_of_plan(plan: KeptPlan) -> AnyWorkload:
    """Return the workload that the runs of a kept plan are of."""
    return workload_named(plan.get("workload", DEFAULT_WORKLOAD))
