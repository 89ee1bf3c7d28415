"""What tuned cells have chosen, seed by seed, and which choices lie at the edge of their grid."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.plan.asked import MAX_SEEDS
from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.rounds import choices
from orchestrator.report.quantities import quantity
from orchestrator.run_record import Records, RunRecord
from search_spaces import Ablation
from search_spaces.claims import Claim, Place
from search_spaces.layout import Cell
from search_spaces.values import Times
from workloads.spec import flatten

__all__ = ["Edge", "Tuned", "at_edge", "edge_note", "edges_of", "tuned_cells", "tuned_facts"]

Edge = Literal["lowest", "highest"]

ONCE = (
    "once, on one seed, for all seeds: what luck chose is the same in all of them, so that "
    "verdicts on these cells are too sure of themselves"
)
EACH = "anew for each seed, among candidates of its own and on a validation split of its own"


@dataclass(frozen=True)
class Tuned:
    """What a tuned cell has chosen, among how many candidates, by which validation score.

    `seed` is the one that the choice is for, None where it is for all. `diverged` of the candidates
    did. `edges` are the fields whose chosen number is the first or the last of three or more that
    were offered: a better one may lie beyond.
    """

    at: Place
    seed: int | None
    chosen: Mapping[str, object]
    score: float
    candidates: int
    diverged: int
    edges: Mapping[str, Edge]


def tuned_cells(ablation: Ablation, plan: KeptPlan, records: Records) -> Iterable[Tuned]:
    """Return the choices of all tuned cells, of each cell by seed."""
    of_cell = {cell.at: cell for cell in ablation.layout(plan["scale"]).cells}
    is_for_all = plan.get("tuning", "once") == "once"
    found = choices(ablation, plan["scale"], plan["cells"], records)
    for at, of_seeds in found.items():
        for seed, index in sorted(of_seeds.items()):
            yield _tuned(
                ablation,
                plan,
                of_cell[at],
                index,
                _candidates(plan, at, seed, records),
                None if is_for_all else seed - MAX_SEEDS,
            )


def _candidates(
    plan: KeptPlan, at: Place, seed: int, records: Records
) -> dict[int | None, RunRecord | None]:
    return {
        run.get("candidate"): records[run["fingerprint"]]
        for run in plan["cells"]
        if tuple(run["at"]) == at and run["role"] == "candidate" and run["seed"] == seed
    }


def _tuned(
    ablation: Ablation,
    plan: KeptPlan,
    cell: Cell,
    index: int,
    found: Mapping[int | None, RunRecord | None],
    seed: int | None,
) -> Tuned:
    best = found[index]
    assert best is not None, "a candidate is chosen once all have ended"
    spec = flatten(best.spec)
    chosen = {path: spec[path] for path in cell.candidates[index]}
    return Tuned(
        at=cell.at,
        seed=seed,
        chosen=chosen,
        score=best.result(ablation.tuning_metric_of(cell)) or 0.0,
        candidates=len(found),
        diverged=sum(1 for record in found.values() if record and record.diverged),
        edges=edges_of(cell, chosen, plan["base"]),
    )


def edges_of(cell: Cell, chosen: Mapping[str, object], base: Mapping[str, Any]) -> dict[str, Edge]:
    """Return which fields of a choice lie at an edge of the cell's candidates on a recipe."""
    flat = flatten(base)
    edges = {}
    for path, value in chosen.items():
        offered = [one[path] for one in cell.candidates if path in one]
        resolved = [
            each.resolve(flat[path]) if isinstance(each, Times) and path in flat else each
            for each in offered
        ]
        edges[path] = at_edge(value, resolved)
    return {path: edge for path, edge in edges.items() if edge is not None}


def at_edge(chosen: object, offered: Sequence[object]) -> Edge | None:
    """Tell whether a number is the first or the last of three or more that were offered.

    A list of one number counts as that number. Of two numbers each is at an edge, which says
    nothing.
    """
    number, numbers = _number(chosen), {_number(one) for one in offered}
    known = sorted(one for one in numbers if one is not None)
    if number not in numbers or len(known) != len(numbers) or len(known) < 3:
        return None
    return "lowest" if number == known[0] else "highest" if number == known[-1] else None


def _number(value: object) -> float | None:
    if isinstance(value, list | tuple) and len(value) == 1:
        (value,) = value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


def tuned_facts(
    ablation: Ablation, plan: KeptPlan, tuned: Sequence[Tuned]
) -> list[tuple[str, str]]:
    """Return what is said of the choices: how they were made, and each, with those at an edge."""
    if not tuned:
        return []
    facts = [("Settings are chosen", ONCE if plan.get("tuning", "once") == "once" else EACH)]
    for at in dict.fromkeys(one.at for one in tuned):
        mine = [one for one in tuned if one.at == at]
        told = "; ".join(_told(ablation, one) for one in mine)
        facts.append((f"Tuned {' · '.join(at)}", f"{told} (best of {mine[0].candidates})"))
    return facts


def edge_note(claim: Claim, plan: KeptPlan, tuned: Sequence[Tuned]) -> str | None:
    """Name the cells under a claim that chose at the edge of a grid, and how often; None: none."""
    under = {term.at for asked in claim.comparisons(plan["scale"]) for term in asked.terms}
    notes = []
    for at in dict.fromkeys(one.at for one in tuned if one.at in under):
        mine = [one for one in tuned if one.at == at]
        edges = Counter(f"{edge} {path}" for one in mine for path, edge in one.edges.items())
        if edges:
            named = ", ".join(
                edge if len(mine) == 1 else f"{edge} in {times} of {len(mine)} seeds"
                for edge, times in edges.items()
            )
            notes.append(f"{' · '.join(at)} ({named})")
    return "; ".join(notes) or None


def _told(ablation: Ablation, one: Tuned) -> str:
    chosen = ", ".join(
        f"{path}={_plain(value)}" + (f" ({one.edges[path]})" if path in one.edges else "")
        for path, value in one.chosen.items()
    )
    score = quantity(ablation.tuned_by).told(one.score, None)
    lost = f", {one.diverged} diverged" if one.diverged else ""
    whose = "" if one.seed is None else f"seed {one.seed}: "
    return f"{whose}{chosen}, {score} validation{lost}"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
