"""The round of a sweep that comes next, judged by all that has ended."""

from dataclasses import dataclass, replace

from orchestrator.commands.check import Checked
from orchestrator.plan import Ask, Plan, jobs_of
from orchestrator.plan.rounds import next_ask
from orchestrator.resources import ClusterShape, concurrent_cells, fitted_resources
from orchestrator.storage.runs import finished_records

__all__ = ["Round", "next_round"]


@dataclass(frozen=True)
class Round:
    """Plans that are run together, how many cells at once, and the cells that have ended before."""

    plans: tuple[Plan, ...]
    concurrent: int
    done: frozenset[str]

    @property
    def asks(self) -> dict[str, Ask]:
        """What is asked of each ablation, by its name."""
        return {plan.name: plan.ask for plan in self.plans}

    @property
    def jobs(self) -> int:
        """Distinct runs of all plans."""
        return len(jobs_of(self.plans))

    @property
    def left(self) -> int:
        """Runs that have not ended."""
        return self.jobs - len(self.done)

    @property
    def shared(self) -> int:
        """Runs saved because cells, of one sweep or of several, ask for the same run."""
        return sum(len(plan.cells) for plan in self.plans) - self.jobs


def next_round(checked: Checked, shape: ClusterShape, *, placed: bool = True) -> Round:
    """The round that comes next, judged by all that has ended, with the resources that cells get on
    this cluster.
    """
    resources, limit = checked.resources(shape), checked.request.max_concurrent
    plans = checked.plans(resources, shape if placed else None)
    while True:
        done = finished_records(plans, checked.storage)
        asks = {
            plan.name: next_ask(plan, done, max_seeds=checked.request.max_seeds) for plan in plans
        }
        if asks == {plan.name: plan.ask for plan in plans}:
            break
        plans = checked.plans(resources, shape if placed else None, asks)
    if checked.request.cpus_per_worker is None:
        resources = fitted_resources(shape, resources, len(jobs_of(plans)) - len(done), limit)
        plans = tuple(replace(plan, resources=resources) for plan in plans)
    return Round(plans, concurrent_cells(shape, resources, limit), frozenset(done))
