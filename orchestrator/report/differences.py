"""Where a recipe is not the paper's: the fields that some cell of the sweep reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.plan.kept import KeptPlan, workload_of_plan
from search_spaces import Ablation
from workloads.spec import SpecError, flatten

__all__ = ["Difference", "differences"]


@dataclass(frozen=True)
class Difference:
    """A field in which the recipe differs from the paper's own setting."""

    field: str
    ours: object
    paper: object


def differences(ablation: Ablation, plan: KeptPlan) -> tuple[Difference, ...]:
    """Return where the recipe is not the paper's.

    What every cell sets itself is left out, what is no part of a setting, and what no cell reads.
    """
    workload = workload_of_plan(plan)
    if ablation.setting not in workload.presets:
        return ()

    paper = workload.presets[ablation.setting]().flat()
    # as it was kept, perhaps by another version: not read as a specification
    ours = flatten(plan["base"])

    points = ablation.points(plan["scale"])
    set_by_all = {
        path
        for path in points[0]
        if all(not hasattr(point.get(path, 0), "resolve") for point in points)
    }
    own = set_by_all.intersection(*points)
    found = [
        Difference(path, value, paper[path])
        for path, value in ours.items()
        if path in paper and path not in own and path not in workload.free_fields
        if value != paper[path]
    ]
    unread = _unread(workload.read, plan["base"], found, points)
    return tuple(one for one in found if one.field not in unread)


def _unread(
    read: Callable[[Mapping[str, Any]], Any],
    base: Mapping[str, Any],
    found: Sequence[Difference],
    points: Sequence[Mapping[str, Any]],
) -> set[str]:
    """The fields that could be the paper's without another result in any cell.

    None where the recipe cannot be read any more, or a cell cannot be made of it.
    """
    try:
        recipe = read(base)
    except SpecError:
        return set()
    unread = {one.field: one.paper for one in found if _is_unread(recipe, {one.field: one.paper})}
    # numbers that a cell resolves by the recipe do not decide which fields are read
    cells = [
        {path: value for path, value in point.items() if not hasattr(value, "resolve")}
        for point in points
    ]
    for cell in {str(cell): cell for cell in cells}.values():
        try:
            of_cell = recipe.with_values(cell)
        except SpecError:
            return set()
        mine = {path: value for path, value in unread.items() if path not in cell}
        if not _is_unread(of_cell, mine):
            unread = {
                path: value for path, value in mine.items() if _is_unread(of_cell, {path: value})
            }
    return set(unread)


def _is_unread(recipe: Any, values: Mapping[str, Any]) -> bool:
    try:
        return bool(recipe.with_values(values).fingerprint() == recipe.fingerprint())
    except SpecError:
        return False
