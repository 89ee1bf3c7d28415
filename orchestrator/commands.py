"""What `pretrain` and `ablate` do, behind the command line: plan, run in rounds until nothing is missing, report."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rich.console import Console

from orchestrator.errors import OrchestratorError, PlanError
from orchestrator.outcome import Finished
from orchestrator.plan import Ask, Plan, jobs_of
from orchestrator.plan.estimate import Estimate, estimate, measured_speed
from orchestrator.plan.rounds import next_ask
from orchestrator.plan.sharing import shared
from orchestrator.reporting import REPORT_FILES, report_on, search_report
from orchestrator.request import Checked, Request, check, local_shape
from orchestrator.resources import ClusterShape, concurrent_cells, fitted_resources
from orchestrator.storage.runs import RECORD, all_records, has_trained_state, read_record
from orchestrator.storage.sweeps import keep_plan, only_one, plan_tree, sweep_folder
from orchestrator.tracking.recorder import tags_of

__all__ = ["dry_run", "execute"]


@dataclass(frozen=True)
class _Round:
    """Plans that are run together, how many cells at once, and the cells that have ended before."""

    plans: tuple[Plan, ...]
    concurrent: int
    done: frozenset[str]

    @property
    def asks(self) -> dict[str, Ask]:
        return {plan.name: plan.ask for plan in self.plans}

    @property
    def jobs(self) -> int:
        return len(jobs_of(self.plans))

    @property
    def left(self) -> int:
        return self.jobs - len(self.done)

    @property
    def shared(self) -> int:
        """Runs saved because cells, of one sweep or of several, ask for the same run."""
        return sum(len(plan.cells) for plan in self.plans) - self.jobs


def dry_run(request: Request, console: Console) -> Finished:
    """Print the plan and what it costs. Starts nothing, unless the cluster by address must be asked for its size."""
    from orchestrator.cluster.connection import connected

    checked = check(request)
    if checked.settings.address is None:
        planned = _settled(checked, local_shape())
    else:
        with connected(checked.settings.address, may_start=checked.may_start) as shape:
            planned = _settled(checked, shape)
    cost = _cost(checked, planned, all_records(checked.storage))
    sweeps = {}
    for plan in planned.plans:
        if len(planned.plans) > 1:
            console.print(f"{plan.name} {plan.sweep_id}", style="bold", highlight=False)
        for cell in plan.cells:
            before = cell.fingerprint in planned.done
            state = "finished before" if before else f"about {cost.cell_seconds[cell.fingerprint]:.0f} s"
            console.print(f"{cell.fingerprint[:12]}  {cell.name:<44} {state}", highlight=False)
        cells = [{"name": cell.name, "fingerprint": cell.fingerprint, "spec": cell.spec.tree()} for cell in plan.cells]
        sweeps[plan.name] = {"sweep": plan.sweep_id, "cells": cells}
    console.print(_cost_line(planned, cost), highlight=False, soft_wrap=True)
    document = sweeps[planned.plans[0].name] if len(sweeps) == 1 else {"sweeps": sweeps}
    return Finished(0, document | {"finished": sorted(planned.done), "shared": planned.shared, "estimate": vars(cost)})


def execute(request: Request, out: Console, command: str) -> Finished:
    """Run what is missing of a request, with progress on stderr, and report on the whole of it to `out`.

    In rounds: tuned cells run once they have chosen a candidate, undecided claims ask for more seeds. Exit code 1 if not
    every cell has finished.
    """
    from orchestrator.cluster.connection import connected, nodes_that_miss
    from orchestrator.tracking import Tracker

    checked = check(request)
    tracker = Tracker.open(checked.settings.tracking_uri, checked.storage)
    placed = checked.settings.address is None
    planned = _settled(checked, local_shape(), placed=placed)
    for plan in planned.plans:
        for fingerprint, record in tracker.finished(plan.name, plan.jobs.keys() - planned.done).items():
            # MLflow has what the storage lost.
            checked.storage.write_json(f"runs/{fingerprint}/{RECORD}", record)
    with ExitStack() as stack:
        for plan in planned.plans:
            stack.enter_context(only_one(plan, checked.storage))
        planned = _settled(checked, local_shape(), placed=placed)
        if not planned.left:
            return _Sweep(checked, tracker, out, command).run(planned, None)
        shape = stack.enter_context(
            connected(checked.settings.address, dashboard=request.workers > 1, may_start=checked.may_start)
        )
        if len(shape.nodes) > 1 and (blind := nodes_that_miss(checked.storage)):
            place = checked.storage.shown()
            raise PlanError([f"--storage {place}: {line}" for line in blind])
        return _Sweep(checked, tracker, out, command).run(_settled(checked, shape), shape)


class _Sweep:
    """The rounds of one request."""

    def __init__(self, checked: Checked, tracker: Any, out: Console, command: str) -> None:
        self._checked, self._tracker, self._out, self._command = checked, tracker, out, command
        self._console = Console(stderr=True)

    def run(self, planned: _Round, shape: ClusterShape | None) -> Finished:
        """Round by round; without a shape there is nothing to run, only to report."""
        from orchestrator.tracking.recorder import Recorders

        while True:
            trees = [plan_tree(self._checked, plan, self._command) for plan in planned.plans]
            recorders = [self._recorder(plan, tree) for plan, tree in zip(planned.plans, trees, strict=True)]
            for recorder, plan, tree in zip(recorders, planned.plans, trees, strict=True):
                recorder.begin(tree)
                keep_plan(self._checked.storage, plan, tree)
            try:
                outcome = self._round(planned, Recorders(recorders))
                following = _settled(self._checked, shape) if shape and outcome.complete else planned
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

    def _round(self, planned: _Round, recorders: Any) -> Any:
        from orchestrator.sweep import run
        from orchestrator.sweep.progress import SweepProgress

        records = all_records(self._checked.storage) if planned.left else []
        if planned.left:
            self._say(_cost_line(planned, _cost(self._checked, planned, records)))
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

    def _report(self, planned: _Round, recorders: Sequence[Any], outcome: Any) -> Finished:
        documents = {}
        for plan, recorder in zip(planned.plans, recorders, strict=True):
            documents[plan.name], files = self._results(plan)
            recorder.finish("FINISHED" if outcome.complete else "FAILED" if outcome.failed else "KILLED", files)
        for record in outcome.failed.values():
            self._console.print(f"FAILED {record['name']}: log {record['log']}", style="red", highlight=False, soft_wrap=True)
            self._say("\n".join(f"    {line}" for line in record["log_tail"]))
        unrecorded = any(recorder.failure for recorder in recorders)
        complete = outcome.complete and not unrecorded
        if not complete:
            left = f"{len(outcome.failed)} failed, {len(outcome.missing)} not run"
            if unrecorded:
                left += ", not all recorded in MLflow"
            self._say(f"{left}; continue with: {self._command}")
        document = {"ablations": documents} if len(documents) > 1 else documents[planned.plans[0].name]
        ended = {"failed": sorted(outcome.failed), "missing": sorted(outcome.missing), "command": self._command}
        return Finished(0 if complete else 1, document | ended)

    def _results(self, plan: Plan) -> tuple[dict[str, Any], dict[str, bytes]]:
        """What is printed at the end of a sweep or a single run, as a document and as files for MLflow."""
        storage = self._checked.storage
        if plan.ablation is not None:
            finished = report_on(plan.name, storage, self._out, sweep=plan.sweep_id, output=None)
            found = {name: storage.read_bytes(f"{sweep_folder(plan)}/{name}") for name in REPORT_FILES}
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


def _settled(checked: Checked, shape: ClusterShape, *, placed: bool = True) -> _Round:
    """The round that comes next, judged by all that has ended, with the resources that cells get on this cluster."""
    from orchestrator.sweep import finished_records

    resources, limit = checked.resources(shape), checked.request.max_concurrent
    plans = checked.plans(resources, shape if placed else None)
    while True:
        done = finished_records(plans, checked.storage)
        asks = {plan.name: next_ask(plan, done, max_seeds=checked.request.max_seeds) for plan in plans}
        if asks == {plan.name: plan.ask for plan in plans}:
            break
        plans = checked.plans(resources, shape if placed else None, asks)
    if checked.request.cpus_per_worker is None:
        resources = fitted_resources(shape, resources, len(jobs_of(plans)) - len(done), limit)
        plans = tuple(replace(plan, resources=resources) for plan in plans)
    return _Round(plans, concurrent_cells(shape, resources, limit), frozenset(done))


def _cost(checked: Checked, planned: _Round, records: Sequence[dict[str, Any]]) -> Estimate:
    plan = planned.plans[0]
    speed = measured_speed(records, plan.resources, plan.workload.name)
    specs = {name: cell.spec for name, cell in jobs_of(planned.plans).items() if name not in planned.done}
    sharing = shared(
        plan.workload, specs, records, has_state=partial(has_trained_state, checked.storage), is_search=plan.is_search
    )
    return estimate(
        planned.plans,
        done=planned.done,
        trained=sharing.only_judged,
        train_images=checked.data.train,
        concurrent=planned.concurrent,
        speed=speed,
    )


def _cost_line(planned: _Round, cost: Estimate) -> str:
    plans, left = planned.plans, planned.left
    resources = plans[0].resources
    gpus = f" and {resources.gpus_per_worker:g} GPUs" if resources.gpus_per_worker else ""
    names = ", ".join(f"{plan.name} {plan.sweep_id}" for plan in plans)
    waiting = sum(len(plan.waiting) for plan in plans)
    return (
        f"{names}: {planned.jobs} cells ({len(planned.done)} finished before, {left} to run"
        f"{f', {planned.shared} runs saved by sharing' if planned.shared else ''}"
        f"{f', {waiting} more settings to run once tuned' if waiting else ''}), "
        f"{_at_once(cost, left)}, each "
        f"{resources.workers} worker(s) with {resources.cpus_per_worker} CPUs{gpus}; expected "
        f"{_duration(cost.wall_seconds)}, {cost.gpu_hours:.1f} GPU-hours ({cost.basis})"
    )


def _at_once(cost: Estimate, left: int) -> str:
    at_once = f"{min(cost.concurrent, max(cost.packs, 1))} at once"
    return f"in {cost.packs} packs, {at_once}" if cost.packs < left else at_once


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
