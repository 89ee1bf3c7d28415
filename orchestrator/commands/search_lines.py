"""What is said of a search before it runs: its space and cost, and each of its steps.

It stands by itself, as nothing of it draws: a dry run imports no matplotlib.
"""

from orchestrator.plan import Plan
from orchestrator.plan.space import shown
from orchestrator.plan.study import Search
from workloads.plural import counted

__all__ = ["search_lines", "step_line"]


def search_lines(plan: Plan, seconds: float, concurrent: int) -> list[str]:
    """Describe a search before it is run: its space, rungs and cost.

    `seconds` is what a setting takes with the whole budget. How many settings train on at each rung
    is the rule's expectation.
    """
    search = plan.search
    assert search is not None, "the plan of a search"
    study, rules = search.study, search.rules
    rungs = ", ".join(map(str, study.rungs))
    budgets = _expected_budgets(search)
    scored = sum(bool(trial.scores) for trial in study.trials)
    at_once = min(rules.generation, concurrent)
    hours = budgets * seconds / 3600
    gpus = plan.resources.workers * plan.resources.gpus_per_worker
    of_gpus = f", {hours * gpus:.2g} GPU-hours" if gpus else ""
    return [
        f"tune {plan.sweep_id}: {counted(search.samples, 'setting')} of "
        f"{counted(len(search.space), 'field')}, sampler {rules.sampler}, {rules.generation} at "
        f"once; {scored} have a score by now",
        *(f"    {line}" for line in shown(search.space)),
        f"    pruner {rules.pruner}: rungs after {rungs} epochs",
        f"    as many epochs as about {budgets:.1f} settings with the whole budget, "
        f"{seconds:.0f} s each: {hours:.2g} hours of runs{of_gpus}, "
        f"{hours / max(at_once, 1):.2g} hours with {at_once} at once",
    ]


def _expected_budgets(search: Search) -> float:
    """Return how many whole budgets are still to be spent, if a third trains on at each rung."""
    study, before, total = search.study, 0, 0.0
    for rung, epochs in enumerate(study.rungs):
        expected = max(1.0, search.samples / 3**rung)
        done = sum(len(trial.scores) > rung for trial in study.trials)
        total += max(0.0, expected - done) * (epochs - before) / study.rungs[-1]
        before = epochs
    return total


def step_line(plan: Plan, left: int) -> str:
    """Say in a line what the next step of a search runs."""
    search = plan.search
    assert search is not None, "the plan of a search"
    study = search.study
    rungs = sorted({study.rungs[trial.rung] for trial in study.trials if trial.is_pending})
    return (
        f"tune {plan.sweep_id}: {len(study.trials)} of {search.samples} settings asked, {left} to "
        f"run now, to epoch {', '.join(map(str, rungs))} of {study.rungs[-1]}"
    )
