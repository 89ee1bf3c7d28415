"""What `plan` does: write down what `ablate` would run, for machines that have torch alone."""

import shlex
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from orchestrator.commands.check import check, local_shape
from orchestrator.commands.consoles import print_line
from orchestrator.commands.next_round import Round, next_round
from orchestrator.commands.plan_tree import plan_tree
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.plan import PlannedCell
from orchestrator.plan.over import Over
from orchestrator.provenance import REPORTED_PACKAGES, git_commit
from workloads.plural import counted
from workloads.runs.plan_file import PlanFile, PlannedRun

__all__ = ["as_sweep", "write_plan"]


def write_plan(request: Request, output: Path, *, with_finished: bool, out: Console) -> Finished:
    """Write the runs that are missing of a request, and start nothing.

    Tuned cells that have not chosen yet have their candidates in it, and their own runs in the plan
    that is written once these have been imported. Raises PlanError with every problem.
    """
    checked = check(request)
    for line in checked.left_out:
        print_line(out, line)
    planned = next_round(checked, local_shape())
    command = as_sweep(request)
    plan = PlanFile(
        workload=checked.workload.name,
        command=command,
        git_commit=git_commit(),
        versions={package: version(package) for package in REPORTED_PACKAGES},
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        cells=_cells(planned, with_finished=with_finished),
        sweeps=tuple(dict(plan_tree(checked, each, command)) for each in planned.plans),
    )
    try:
        plan.write(output)
    except OSError as error:
        raise PlanError([f"--output {output}: cannot be written ({error.strerror})"]) from None

    waiting = sum(len(each.waiting) for each in planned.plans)
    done = f", {len(planned.done)} finished before" if planned.done else ""
    out.print(f"{output}: {counted(len(plan.cells), 'run')}{done}", highlight=False, soft_wrap=True)
    if waiting:
        out.print(
            f"{waiting} tuned cells wait for their candidates: once these are imported, the same "
            "command writes what is left",
            highlight=False,
            soft_wrap=True,
        )
    if plan.cells:
        run = f"python -m workloads run {shlex.quote(output.name)} --output runs"
        text = f"run it anywhere: {run}; then: simclr-orch import runs"
        out.print(text, highlight=False, soft_wrap=True)
    return Finished(
        0,
        {
            "plan": str(output),
            "digest": plan.digest,
            "cells": [
                cell.model_dump(mode="json", exclude={"spec"}, by_alias=True) for cell in plan.cells
            ],
            "finished": sorted(planned.done),
            "waiting": waiting,
        },
    )


def as_sweep(request: Request) -> str:
    """Return the command that runs the same here."""
    asks = bool(request.ablations or request.over)
    words = ["simclr-orch", "ablate" if asks else "pretrain", *request.ablations]
    words += _over(request.over) if request.over else []
    if request.preset is not None:
        words += ["--preset", request.preset]
    if request.config is not None:
        words += ["--config", str(request.config)]
    words += [word for one in request.assignments for word in ("--set", one)]
    if asks:
        words += [word for one in request.only for word in ("--only", one)]
        words += ["--seeds", str(request.seeds)]
        if request.max_seeds is not None:
            words += ["--until-decided", "--max-seeds", str(request.max_seeds)]
        if request.tuning != Request.tuning:
            words += ["--tune", request.tuning]
        if request.vary is not None:
            words += ["--vary", request.vary]
    if storage := request.flags.get("storage"):
        words += ["--storage", storage]
    return shlex.join(words)


def _over(over: Over) -> list[str]:
    words = [word for one in over.axes for word in ("--over", one)]
    words += [word for one in over.claims for word in ("--claim", one)]
    given = (("--metric", over.metric), ("--name", over.name))
    return words + [word for option, text in given if text is not None for word in (option, text)]


def _cells(planned: Round, *, with_finished: bool) -> tuple[PlannedRun, ...]:
    """Number the distinct runs that are left, or all of them, in the order of the plans."""
    first: dict[str, PlannedCell] = {}
    sweeps: dict[str, list[str]] = {}
    for plan in planned.plans:
        for cell in plan.cells:
            first.setdefault(cell.fingerprint, cell)
            of = sweeps.setdefault(cell.fingerprint, [])
            of += [plan.name] if plan.name not in of else []

    found = list[PlannedRun]()
    for name, cell in first.items():
        if name in planned.done and not with_finished:
            continue
        assert cell.role != "sample", "a search is not planned ahead"
        found.append(
            PlannedRun(
                number=len(found) + 1,
                name=cell.name,
                sweeps=tuple(sweeps[name]),
                seed=cell.seed,
                role=cell.role,
                fingerprint=name,
                spec=cell.spec.tree(),
            )
        )
    return tuple(found)
