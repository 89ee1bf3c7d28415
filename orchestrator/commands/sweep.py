"""What `pretrain` and `ablate` do, behind the command line: plan, run in rounds until nothing is
missing, report.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from rich.console import Console

from orchestrator.commands.check import Checked, check, local_shape
from orchestrator.commands.cost import cost_line, cost_of
from orchestrator.commands.next_round import Round, next_round
from orchestrator.commands.report import REPORT_FILES, report_on, search_report
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.errors import OrchestratorError, PlanError
from orchestrator.plan import Plan
from orchestrator.plan.rounds import kept_cells, looks_of
from orchestrator.provenance import REPORTED_PACKAGES, git_commit
from orchestrator.resources import ClusterShape
from orchestrator.storage.runs import RECORD, all_records, read_record
from orchestrator.storage.sweeps import keep_plan, only_one, sweep_folder
from orchestrator.tracking.recorder import tags_of

__all__ = ["dry_run", "execute", "plan_tree"]


def dry_run(request: Request, console: Console) -> Finished:
    """Print the plan and what it costs. Starts nothing, unless the cluster by address must be asked
    for its size.
    """
    from orchestrator.cluster.connection import connected

    checked = check(request)
    if checked.settings.address is None:
        planned = next_round(checked, local_shape())
    else:
        with connected(checked.settings.address, may_start=checked.may_start) as shape:
            planned = next_round(checked, shape)
    cost = cost_of(checked, planned, all_records(checked.storage))
    sweeps = {}
    for plan in planned.plans:
        if len(planned.plans) > 1:
            console.print(f"{plan.name} {plan.sweep_id}", style="bold", highlight=False)
        for cell in plan.cells:
            before = cell.fingerprint in planned.done
            state = (
                "finished before"
                if before
                else (f"about {cost.cell_seconds[cell.fingerprint]:.0f} s")
            )
            console.print(f"{cell.fingerprint[:12]}  {cell.name:<44} {state}", highlight=False)
        cells = [
            {"name": cell.name, "fingerprint": cell.fingerprint, "spec": cell.spec.tree()}
            for cell in plan.cells
        ]
        sweeps[plan.name] = {"sweep": plan.sweep_id, "cells": cells}
    console.print(cost_line(planned, cost), highlight=False, soft_wrap=True)
    document = sweeps[planned.plans[0].name] if len(sweeps) == 1 else {"sweeps": sweeps}
    return Finished(
        0,
        document
        | {"finished": sorted(planned.done), "shared": planned.shared, "estimate": vars(cost)},
    )


def execute(request: Request, out: Console, command: str) -> Finished:
    """Run what is missing of a request, with progress on stderr, and report on the whole of it to
    `out`.

    In rounds: tuned cells run once they have chosen a candidate, undecided claims ask for more
    seeds. Exit code 1 if not every cell has finished.
    """
    from orchestrator.cluster.connection import connected, nodes_that_miss
    from orchestrator.tracking import Tracker

    checked = check(request)
    tracker = Tracker.open(checked.settings.tracking_uri, checked.storage)
    placed = checked.settings.address is None
    planned = next_round(checked, local_shape(), placed=placed)
    for plan in planned.plans:
        for fingerprint, record in tracker.finished(
            plan.name, plan.jobs.keys() - planned.done
        ).items():
            # MLflow has what the storage lost.
            checked.storage.write_json(f"runs/{fingerprint}/{RECORD}", record)
    with ExitStack() as stack:
        for plan in planned.plans:
            stack.enter_context(only_one(plan, checked.storage))
        planned = next_round(checked, local_shape(), placed=placed)
        if not planned.left:
            return _Sweep(checked, tracker, out, command).run(planned, None)
        shape = stack.enter_context(
            connected(
                checked.settings.address, dashboard=request.workers > 1, may_start=checked.may_start
            )
        )
        if len(shape.nodes) > 1 and (blind := nodes_that_miss(checked.storage)):
            place = checked.storage.shown()
            raise PlanError([f"--storage {place}: {line}" for line in blind])
        return _Sweep(checked, tracker, out, command).run(next_round(checked, shape), shape)


class _Sweep:
    """The rounds of one request."""

    def __init__(self, checked: Checked, tracker: Any, out: Console, command: str) -> None:
        self._checked, self._tracker, self._out, self._command = checked, tracker, out, command
        self._console = Console(stderr=True)

    def run(self, planned: Round, shape: ClusterShape | None) -> Finished:
        """Round by round; without a shape there is nothing to run, only to report."""
        from orchestrator.tracking.recorder import Recorders

        while True:
            trees = [plan_tree(self._checked, plan, self._command) for plan in planned.plans]
            recorders = [
                self._recorder(plan, tree) for plan, tree in zip(planned.plans, trees, strict=True)
            ]
            for recorder, plan, tree in zip(recorders, planned.plans, trees, strict=True):
                recorder.begin(tree)
                keep_plan(self._checked.storage, plan, tree)
            try:
                outcome = self._round(planned, Recorders(recorders))
                following = (
                    next_round(self._checked, shape) if shape and outcome.complete else planned
                )
                if following.asks == planned.asks:
                    return self._report(planned, recorders, outcome)
                for recorder in recorders:
                    recorder.finish("FINISHED", {})
                planned = following
            except KeyboardInterrupt:
                for recorder in recorders:
                    recorder.finish("KILLED", {})
                raise
            except Exception as error:  # noqa: BLE001 - the request was right: what has begun, the same command continues
                for recorder in recorders:
                    recorder.finish("FAILED", {})
                if not isinstance(error, OrchestratorError):
                    self._console.print_exception()
                self._say(f"{error}; continue with: {self._command}")
                return Finished(1, {"error": str(error), "command": self._command})

    def _recorder(self, plan: Plan, tree: dict[str, Any]) -> Any:
        from orchestrator.tracking.recorder import Recorder

        return Recorder(
            self._tracker,
            plan,
            self._checked.storage,
            tags_of(plan, tree),
            log_model=self._checked.request.log_model,
            warn=lambda text: self._console.print(text, style="yellow", soft_wrap=True),
        )

    def _round(self, planned: Round, recorders: Any) -> Any:
        from orchestrator.sweep import run
        from orchestrator.sweep.progress import SweepProgress

        records = all_records(self._checked.storage) if planned.left else []
        if planned.left:
            self._say(cost_line(planned, cost_of(self._checked, planned, records)))
        names = ", ".join(plan.name for plan in planned.plans)
        with SweepProgress(self._console, names, planned.jobs, len(planned.done)) as progress:
            return run(
                planned.plans,
                self._checked.storage,
                recorders,
                progress,
                records=records,
                concurrent=planned.concurrent,
                max_failures=self._checked.request.max_failures,
                shared_storage=self._checked.settings.address is not None,
            )

    def _report(self, planned: Round, recorders: Sequence[Any], outcome: Any) -> Finished:
        documents = {}
        for plan, recorder in zip(planned.plans, recorders, strict=True):
            documents[plan.name], files = self._results(plan)
            recorder.finish(
                "FINISHED" if outcome.complete else "FAILED" if outcome.failed else "KILLED", files
            )
        for record in outcome.failed.values():
            self._console.print(
                f"FAILED {record['name']}: log {record['log']}",
                style="red",
                highlight=False,
                soft_wrap=True,
            )
            self._say("\n".join(f"    {line}" for line in record["log_tail"]))
        unrecorded = any(recorder.failure for recorder in recorders)
        complete = outcome.complete and not unrecorded
        if not complete:
            left = f"{len(outcome.failed)} failed, {len(outcome.missing)} not run"
            if unrecorded:
                left += ", not all recorded in MLflow"
            self._say(f"{left}; continue with: {self._command}")
        document = (
            {"ablations": documents} if len(documents) > 1 else documents[planned.plans[0].name]
        )
        ended = {
            "failed": sorted(outcome.failed),
            "missing": sorted(outcome.missing),
            "command": self._command,
        }
        return Finished(0 if complete else 1, document | ended)

    def _results(self, plan: Plan) -> tuple[dict[str, Any], dict[str, bytes]]:
        """What is printed at the end of a sweep or a single run, as a document and as files for
        MLflow.
        """
        storage = self._checked.storage
        if plan.ablation is not None:
            finished = report_on(plan.name, storage, self._out, sweep=plan.sweep_id, output=None)
            found = {
                name: storage.read_bytes(f"{sweep_folder(plan)}/{name}") for name in REPORT_FILES
            }
            files = {name: content for name, content in found.items() if content is not None}
            return finished.document, files
        if plan.is_search:
            return search_report(plan, storage, self._out), {}
        record = read_record(storage, plan.cells[0].fingerprint)
        if record and record["status"] == "finished":
            for name, value in record["results"].items():
                self._out.print(f"{name:<24} {value:.6g}", highlight=False)
        return {"run": plan.cells[0].fingerprint, "record": record}, {}

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)


def plan_tree(checked: Checked, plan: Plan, command: str) -> dict[str, Any]:
    """The plan as it is kept: what was asked, of which data, with which code.

    Runs of an earlier and larger request stay part of the sweep, and so does the schedule at which
    its claims are looked at: a verdict does not forget that it was looked at before.
    """
    before = checked.storage.read_json(f"{sweep_folder(plan)}/plan.json") or {
        "cells": [],
        "looks": [],
    }
    cells = kept_cells(plan)
    here = {_key(cell) for cell in cells}
    cells += [cell for cell in before["cells"] if _key(cell) not in here]
    most = checked.request.max_seeds
    looks = list(looks_of(plan.ask.seeds, most)) if most else before.get("looks", [])
    data = checked.data
    return {
        "sweep": plan.sweep_id,
        "ablation": plan.name,
        "workload": plan.workload.name,
        "scale": plan.scale,
        "preset": checked.request.recipe,
        "base": plan.base.tree(),
        "seeds": sorted({cell["seed"] for cell in cells if cell["role"] != "candidate"}),
        "looks": looks,
        # Verdicts keep their level only if the schedule was fixed before the first look.
        "looks_changed": before.get("looks_changed", False)
        or before.get("looks", []) not in ([], looks),
        "cells": cells,
        "data": {
            "title": data.title,
            "train": data.train,
            "validation": data.validation,
            "test": data.test,
            "content": data.content,
            "notes": list(data.notes),
        },
        "resources": vars(plan.resources),
        "command": command,
        "git_commit": git_commit(),
        "versions": {package: version(package) for package in REPORTED_PACKAGES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _key(cell: Mapping[str, Any]) -> tuple[object, ...]:
    """One run of one cell: a tuned cell that chose again has other runs in the place of the old
    ones.
    """
    candidate = cell.get("candidate") if cell["role"] == "candidate" else None
    return (tuple(cell["at"]), cell["seed"], cell["role"], candidate)
