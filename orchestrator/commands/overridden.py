"""Values of `--set` that no run would have, because every cell of the question sets its own."""

from collections.abc import Sequence

from orchestrator.plan import Plan
from search_spaces import Step, Times
from search_spaces.values import Value
from workloads.spec import SpecError
from workloads.workload import Specification

__all__ = ["overridden"]

SHOWN = 4


def overridden(assignments: Sequence[str], plans: Sequence[Plan], base: Specification) -> list[str]:
    """Return a line for each assignment that changes no run of any plan, with what cells set.

    One that a cell multiplies, that the untrained reference reads, or that all cells agree with is
    of use.
    """
    if not plans or any(plan.ablation is None for plan in plans):
        return []
    names = dict.fromkeys(one.partition("=")[0].strip() for one in assignments)
    problems = []
    for name in names:
        values = [value for plan in plans for value in _values(plan, name)]
        own = base.flat().get(name)
        if None in values or not values or all(value == own for value in values):
            continue
        if any(_reference_reads(plan, base, name, values) for plan in plans):
            continue
        texts = list(dict.fromkeys(str(value) for value in values))
        more = ", ..." if len(texts) > SHOWN else ""
        questions = ", ".join(plan.name for plan in plans)
        problems.append(
            f"--set {name}={own}: every cell of {questions} sets {name} itself "
            f"({', '.join(texts[:SHOWN])}{more}), so that no run would have this value"
        )
    return problems


def _values(plan: Plan, name: str) -> list[Value | None]:
    """What each setting of a plan's cells has in a field; None where the recipe's own counts."""
    assert plan.ablation is not None, "of questions"
    found: list[Value | None] = []
    for point in plan.ablation.points(plan.scale):
        value = point.get(name)
        if isinstance(value, Times | Step):
            value = None
        found.append(list(value) if isinstance(value, tuple) else value)
    return found


def _reference_reads(
    plan: Plan, base: Specification, name: str, values: Sequence[Value | None]
) -> bool:
    """Tell whether the untrained run would be another one with another value."""
    reference = plan.workload.reference(base)
    if reference is None:
        return False
    for value in values:
        try:
            other = plan.workload.reference(base.with_values({name: value}))
        except SpecError:
            continue
        if other is not None and other.fingerprint() != reference.fingerprint():
            return True
    return False
