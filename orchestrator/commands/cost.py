"""What a round of a sweep will cost, as numbers and as a line."""

from collections.abc import Sequence
from functools import partial

from orchestrator.commands.check import Checked
from orchestrator.commands.next_round import Round
from orchestrator.plan import Plan, jobs_of
from orchestrator.plan.estimate import Estimate, Speed, estimate, measured_speed
from orchestrator.plan.longer import why_anew
from orchestrator.run_record import RunRecord
from orchestrator.storage.runs import has_trained_state
from orchestrator.storage.useful import useful_records
from orchestrator.verdicts.sample import FEWEST_ALONE, FEWEST_POOLED
from workloads.plural import counted
from workloads.runs.sharing import shared

__all__ = ["cost_line", "cost_of", "duration", "few_seeds_line", "records_for", "why_trained_anew"]


def records_for(checked: Checked, planned: Round) -> Sequence[RunRecord]:
    """Read the records of the storage that tell what is left of a round costs; none for nothing."""
    if not planned.left:
        return ()
    left = [cell for name, cell in jobs_of(planned.plans).items() if name not in planned.done]
    seeds = {cell.spec.seed for cell in left}
    return useful_records(checked.storage, checked.workload.name, seeds)


def cost_of(checked: Checked, planned: Round, records: Sequence[RunRecord]) -> Estimate:
    """Estimate what is left of a round, from what was measured in the storage."""
    plan = planned.plans[0]
    speed = Speed(1.0, "nothing is left to run")
    if planned.left:
        speed = measured_speed(records, plan.resources, plan.workload.name)
    specs = {
        name: cell.spec for name, cell in jobs_of(planned.plans).items() if name not in planned.done
    }

    sharing = shared(
        plan.workload,
        specs,
        records,
        has_state=partial(has_trained_state, checked.storage),
        is_search=plan.is_search,
    )

    return estimate(
        planned.plans,
        done=planned.done,
        trained=sharing.only_evaluated,
        train_images=checked.data.train,
        concurrent=planned.concurrent,
        speed=speed,
    )


def cost_line(planned: Round, cost: Estimate) -> str:
    """Say in one line what will run, how much of it at once, and how long it will take.

    Each ablation that tunes per seed has a line more, with what this costs in runs.
    """
    plans, left = planned.plans, planned.left
    resources = plans[0].resources
    gpus = resources.gpus_per_worker
    each = (
        f"{counted(resources.workers, 'worker')} with {counted(resources.cpus_per_worker, 'CPU')}"
    )
    each += f" and {counted(gpus, 'GPU')}" if gpus else ""
    hours = f", {cost.gpu_hours:.1f} GPU-hours" if gpus else ""
    names = ", ".join(f"{plan.name} {plan.sweep_id}" for plan in plans)
    waiting = sum(len(plan.waiting) for plan in plans)
    saved = f", {counted(planned.shared, 'run')} saved by sharing" if planned.shared else ""
    line = (
        f"{names}: {counted(planned.jobs, 'cell')} ({len(planned.done)} finished before, "
        f"{left} to run{saved}"
        f"{f', {waiting} more to run once tuned' if waiting else ''}), "
        f"{_at_once(cost, left)}, each "
        f"{each}; expected {duration(cost.wall_seconds)}{hours} ({cost.basis})"
    )
    return "\n".join([line, *filter(None, map(_tuning_line, plans))])


def _tuning_line(plan: Plan) -> str | None:
    """Say what choosing anew for each seed costs; None where it costs nothing more."""
    per_seed = sum(cell.role == "candidate" for cell in plan.cells)
    once = sum(len(cell.candidates) for cell in plan.tuned)
    if per_seed <= once:
        return None
    return (
        f"{plan.name}: {per_seed} of them are candidates, among which each seed of "
        f"{counted(len(plan.tuned), 'tuned cell')} chooses anew; --tune once has {once}, "
        "and chooses once for all seeds"
    )


def few_seeds_line(checked: Checked) -> str | None:
    """Say that so few seeds as are asked for decide no claim; None where they may, or none is."""
    request = checked.request
    if max(request.seeds, request.max_seeds or 0) >= FEWEST_POOLED:
        return None
    asked = [
        comparison
        for plan in checked.plans
        for claim in (plan.ablation.claims if plan.ablation else ())
        for comparison in claim.comparisons(plan.scale)
    ]
    if not asked or any(comparison.event for comparison in asked):  # rates are counted from two on
        return None
    return (
        f"--seeds {request.seeds}: decides no claim; {FEWEST_POOLED} seeds are the fewest that are "
        f"judged where the cells of a sweep tell the spread between seeds, {FEWEST_ALONE} where "
        "they do not"
    )


def why_trained_anew(checked: Checked, planned: Round, records: Sequence[RunRecord]) -> str | None:
    """Say why runs are trained that the storage has with fewer epochs; None where none are."""
    cells = jobs_of(planned.plans).items()
    left = [cell for fingerprint, cell in cells if fingerprint not in planned.done]
    return why_anew(checked.workload, left, records)


def _at_once(cost: Estimate, left: int) -> str:
    at_once = f"{min(cost.concurrent, max(cost.packs, 1))} at once"
    return f"in {counted(cost.packs, 'pack')}, {at_once}" if cost.packs < left else at_once


def duration(seconds: float) -> str:
    """Return a time for people, in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
