"""What `--dry-run` does: print the runs of a request and what they cost, and start nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console

from orchestrator.commands.check import Checked, check, local_shape
from orchestrator.commands.consoles import print_line
from orchestrator.commands.cost import (
    cost_line,
    cost_of,
    few_seeds_line,
    records_for,
    why_trained_anew,
)
from orchestrator.commands.forecast import Forecast, forecast
from orchestrator.commands.next_round import Round, next_round
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.commands.search_lines import search_lines
from orchestrator.plan.estimate import Estimate
from orchestrator.run_record import RunRecord
from orchestrator.storage.sweeps import kept_plan

__all__ = ["Ahead", "dry_run", "look_ahead", "tell_ahead"]


@dataclass(frozen=True)
class Ahead:
    """What a request would do: its first round, and what that costs by all records there are."""

    checked: Checked
    planned: Round
    records: Sequence[RunRecord]
    cost: Estimate


def look_ahead(request: Request) -> Ahead:
    """Find out what a request would run and what it costs. Raises PlanError with every problem.

    Starts nothing, unless the cluster by address must be asked for its size.
    """
    from orchestrator.cluster.connection import connected

    checked = check(request)
    if checked.settings.address is None:
        planned = next_round(checked, local_shape())
    else:
        with connected(checked.settings.address, may_start=checked.may_start) as shape:
            planned = next_round(checked, shape)
    records = records_for(checked, planned)
    return Ahead(checked, planned, records, cost_of(checked, planned, records))


def dry_run(request: Request, console: Console) -> Finished:
    """Print the plan and what it costs.

    Starts nothing, unless the cluster by address must be asked for its size.
    """
    return tell_ahead(look_ahead(request), console)


def tell_ahead(ahead: Ahead, console: Console) -> Finished:
    """Print what is ahead: the runs of each plan, and what they cost."""
    checked, planned, cost = ahead.checked, ahead.planned, ahead.cost
    for line in checked.left_out:
        print_line(console, line)

    sweeps = {}
    for plan in planned.plans:
        if len(planned.plans) > 1:
            console.print(f"{plan.name} {plan.sweep_id}", style="bold", highlight=False)
        not_asked = plan.ablation.not_asked(plan.scale) if plan.ablation else ()
        for line in not_asked:
            print_line(console, line)
        for cell in plan.cells:
            state = "at its rung" if plan.is_search else "finished before"
            if cell.fingerprint not in planned.done:
                state = f"about {cost.cell_seconds[cell.fingerprint]:.0f} s"
            console.print(f"{cell.fingerprint[:12]}  {cell.name:<44} {state}", highlight=False)
        cells = [
            {"name": cell.name, "fingerprint": cell.fingerprint, "spec": cell.spec.tree()}
            for cell in plan.cells
        ]
        sweeps[plan.name] = {"sweep": plan.sweep_id, "cells": cells, "not_asked": [*not_asked]}

    # a look at the claims, which is kept: for who is told of it
    forecasts = {
        plan.name: forecast(
            checked.storage, plan.ablation, kept_plan(checked.storage, plan), planned.concurrent
        )
        for plan in planned.plans
    }
    for line in _lines_below(ahead, forecasts.values()):
        print_line(console, line)
    document = sweeps[planned.plans[0].name] if len(sweeps) == 1 else {"sweeps": sweeps}
    return Finished(
        0,
        document
        | {
            "finished": sorted(planned.done),
            "shared": planned.shared,
            "estimate": vars(cost),
            "read": [one.tree() for one in checked.read],
            "forecast": {name: one.tree() for name, one in forecasts.items()},
        },
    )


def _lines_below(ahead: Ahead, forecasts: Iterable[Forecast]) -> list[str]:
    """What is said of all runs together: their cost, whether they decide anything, what would."""
    checked, planned = ahead.checked, ahead.planned
    plan = planned.plans[0]
    if plan.is_search:
        whole = max(ahead.cost.cell_seconds.values(), default=0.0)
        lines = search_lines(plan, whole, ahead.cost.concurrent)
    else:
        lines = [cost_line(planned, ahead.cost)]
    said = [few_seeds_line(checked), why_trained_anew(checked, planned, ahead.records)]
    lines += [one for one in said if one]
    return lines + [line for one in forecasts for line in one.lines()]
