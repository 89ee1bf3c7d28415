"""What `import` does: take in runs that were done elsewhere as if they had been run here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from orchestrator.commands.consoles import plain_console, print_line
from orchestrator.commands.looks import keep_older_looks, records_of
from orchestrator.commands.report import kept_report, report_on
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.logs import Carrier
from orchestrator.plan import Ask, Plan, PlannedCell
from orchestrator.plan.asked import seed_chosen_for
from orchestrator.plan.kept import KeptPlan, read_plan, same_run
from orchestrator.plan.kept_question import question_in
from orchestrator.plan.rounds import lost_of
from orchestrator.resources import Resources
from orchestrator.run_record import RunRecord
from orchestrator.settings import Settings
from orchestrator.storage import Storage
from orchestrator.storage.foreign_runs import names_in, read_foreign_run, take_in
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.sweeps import keep_plan, kept_plan, only_one
from orchestrator.tracking import Tracker
from orchestrator.tracking.recorder import Recorder, tags_of
from workloads.plural import counted
from workloads.runs.command import PLANS
from workloads.runs.plan_file import PlanFile, PlannedRun, read_plan_file
from workloads.spec import SpecError

__all__ = ["import_runs"]


@dataclass
class _Taken:
    """What has become of the runs of a folder, by fingerprint."""

    taken: dict[str, RunRecord] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # names of runs that have not ended
    without_state: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def import_runs(folder: Path, settings: Settings, out: Console) -> Finished:
    """Take in the runs that `python -m workloads run` has left in a folder.

    Sweeps that are complete with them are reported: a look at half of one would cost its verdicts.
    What is foreign, damaged or half is refused by name, and the rest is taken. Exit code 1 where
    something was refused. Raises PlanError for a folder without such runs.
    """
    say = plain_console(stderr=True)
    storage = Storage(settings.storage)
    if problem := storage.check_writable():
        raise PlanError([problem])
    tracker = Tracker.open(settings.tracking_uri, storage)
    plans, refused = _plans(folder)
    found = _Taken(refused=refused)
    _take_all(folder, plans, storage, found)

    unrecorded = False
    for plan, kept in _sweeps(plans):
        recorded = _record(plan, kept, storage, tracker, found, out, say)
        unrecorded = unrecorded or not recorded

    for name, reason in found.refused.items():
        print_line(say, f"refused {name}: {reason}")
    counts = f"{counted(len(found.taken), 'run')} taken, {len(found.before)} there before"
    counts += f", {len(found.refused)} refused" if found.refused else ""
    counts += f", {len(found.left)} not ended" if found.left else ""
    out.print(counts, highlight=False, soft_wrap=True)
    if found.without_state:
        text = f"{found.without_state} have no last state: they are reported, not evaluated again"
        out.print(text, highlight=False, soft_wrap=True)
    document = {
        "taken": sorted(found.taken),
        "before": sorted(found.before),
        "left": found.left,
        "refused": found.refused,
    }
    return Finished(1 if found.refused or unrecorded else 0, document)


def _plans(folder: Path) -> tuple[list[PlanFile], dict[str, str]]:
    """Read the plans of a folder, the oldest first, and why others cannot be read."""
    files = sorted((folder / PLANS).glob("*.json"))
    if not files:
        raise PlanError(
            [f"{folder}: has no plan of its runs; give the --output of `python -m workloads run`"]
        )
    plans, refused = list[PlanFile](), dict[str, str]()
    for file in files:
        try:
            plan = read_plan_file(file)
            for tree in plan.sweeps:
                _of_this_version(plan, _read_kept(tree))
            plans.append(plan)
        except (SpecError, PlanError, ValueError) as error:
            refused[f"{PLANS}/{file.name}"] = str(error).splitlines()[0]
    if not plans:
        raise PlanError([f"{folder}: {name}: {why}" for name, why in refused.items()])
    return sorted(plans, key=lambda plan: plan.written), refused


def _sweeps(plans: Sequence[PlanFile]) -> list[tuple[PlanFile, KeptPlan]]:
    """Return each sweep once, as its newest plan has it, with the cells of the older ones."""
    found = dict[str, tuple[PlanFile, KeptPlan]]()
    for plan in plans:
        for tree in plan.sweeps:
            kept = _read_kept(tree)
            if before := found.pop(kept["sweep"], None):
                _add(kept, before[1])
            found[kept["sweep"]] = plan, kept
    return list(found.values())


def _read_kept(tree: dict[str, object]) -> KeptPlan:
    """Return a sweep's plan as it lies in a plan file. Raises ValueError for what is none."""
    return read_plan(json.dumps(tree).encode())


def _take_all(folder: Path, plans: Sequence[PlanFile], storage: Storage, found: _Taken) -> None:
    planned: dict[str, tuple[PlanFile, PlannedRun]] = {}
    for plan in plans:
        planned |= {cell.fingerprint: (plan, cell) for cell in plan.cells}

    for name in names_in(folder):
        if name not in planned:
            found.refused[f"runs/{name}"] = "is a run of no plan that lies here"
            continue
        plan, cell = planned[name]
        try:
            run = read_foreign_run(folder, cell, plan.of_workload)
            if run is None:
                found.left.append(cell.name)
            elif take_in(run, cell, storage):
                found.taken[name] = run.record
                state_of = RunFolder(storage, run.record.state_of)
                found.without_state += not state_of.has_checkpoint()
            else:
                found.before.append(name)
        except ValueError as error:
            found.refused[f"runs/{name} ({cell.name})"] = str(error)


def _of_this_version(plan: PlanFile, kept: KeptPlan) -> Plan:
    """Return the plan of a sweep without its cells. Raises PlanError, SpecError."""
    workload, name = plan.of_workload, kept["ablation"]
    base = workload.read(kept["base"])
    ablation = None if name == "pretrain" else question_in(kept, name).asked_of(base.flat())
    ask = Ask(tuning=kept.get("tuning", "once"), vary=tuple(kept.get("vary", ())))
    question = kept.get("question")
    found = Plan(ablation, workload, kept["scale"], base, ask, (), Resources(), question)
    if found.sweep_id != kept["sweep"]:
        raise PlanError(
            [f"{name} {kept['sweep']}: is {found.sweep_id} here, in another version of the code"]
        )
    return found


def _record(
    plan: PlanFile,
    kept: KeptPlan,
    storage: Storage,
    tracker: Tracker,
    found: _Taken,
    out: Console,
    say: Console,
) -> bool:
    """Keep the plan of a sweep, write its runs into MLflow, and report; whether MLflow took all."""
    empty = _of_this_version(plan, kept)
    with only_one(empty, storage):
        keep_older_looks(storage, empty)
        _add(kept, kept_plan(storage, empty))
        records = records_of(storage, kept)
        there = {name: record for name, record in records.items() if record is not None}
        if not there:
            return True

        def warn(text: str) -> None:
            say.print(text, style="yellow", soft_wrap=True)

        sweep = _with_cells(empty, kept, there)
        recorder = Recorder(
            tracker,
            sweep,
            storage,
            tags_of(sweep, kept),
            log_model=False,
            warn=warn,
        )
        carrier = Carrier(recorder.label, warn)
        outbox = carrier.outbox(recorder, sweep, storage)
        outbox.begin(kept)
        carrier.wait_for_begin(outbox)
        keep_plan(storage, sweep, kept)
        for name, record in there.items():
            if name in found.taken:
                outbox.ended(name, record)
            elif record.has_finished:
                outbox.taken_over(name, record)
        files = {}
        complete = _is_complete(sweep, kept, there)
        if not complete:
            count = sum(record.has_finished for record in there.values())
            out.print(
                f"{sweep.name} {sweep.sweep_id}: {count} of "
                f"{counted(len(records), 'run')} are there"
            )
        elif sweep.ablation is not None:
            report_on(sweep.name, storage, out, sweep=sweep.sweep_id, output=None)
            files = kept_report(sweep, storage)
        outbox.finish("FINISHED" if complete else "KILLED", files)
        carrier.settle()
        carrier.close()
    return carrier.failure is None


def _is_complete(sweep: Plan, kept: KeptPlan, there: Mapping[str, RunRecord]) -> bool:
    """Tell whether all has ended that was planned, and no tuned cell waits for its choice."""
    for cell in kept["cells"]:
        record = there.get(cell["fingerprint"])
        if record is None or not (record.has_finished or record.diverged):
            return False

    lost = lost_of(sweep.ablation, kept["cells"], there) if sweep.ablation else {}
    own = {(tuple(cell["at"]), cell["seed"]) for cell in kept["cells"] if cell["role"] == "cell"}
    once = kept.get("tuning", "once") == "once"
    for cell in kept["cells"]:
        at, seed = tuple(cell["at"]), seed_chosen_for(cell["seed"])
        if cell["role"] != "candidate" or seed in lost.get(at, {}):
            continue
        if not any(place == at and (once or number == seed) for place, number in own):
            return False
    return True


def _add(kept: KeptPlan, before: KeptPlan | None) -> None:
    """Add to a plan what the storage's own has beside it, as another request does there."""
    if before is None:
        return
    here = {same_run(cell) for cell in kept["cells"]}
    kept["cells"] += [cell for cell in before["cells"] if same_run(cell) not in here]
    kept["seeds"] = sorted({*kept["seeds"], *before["seeds"]})
    kept["looks"] = kept.get("looks") or before.get("looks", [])
    kept["looks_changed"] = before.get("looks_changed", False)


def _with_cells(empty: Plan, kept: KeptPlan, records: dict[str, RunRecord]) -> Plan:
    """Return a sweep's plan with the cells that have a record."""
    layout = empty.ablation.layout(empty.scale).cells if empty.ablation else ()
    paper = {cell.at: cell.paper for cell in layout}
    cells: Iterable[PlannedCell] = (
        PlannedCell(
            at=tuple(cell["at"]),
            seed=cell["seed"],
            spec=empty.workload.read(records[cell["fingerprint"]].spec),
            fingerprint=cell["fingerprint"],
            paper=paper.get(tuple(cell["at"])),
            role=cell["role"],
            candidate=cell.get("candidate"),
        )
        for cell in kept["cells"]
        if cell["fingerprint"] in records
    )
    return replace(empty, cells=tuple(cells))
