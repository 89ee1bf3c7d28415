"""The round of a sweep that comes next, decided by all that has ended."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from orchestrator.commands.check import Checked
from orchestrator.commands.looks import looks_before
from orchestrator.errors import PlanError
from orchestrator.plan import Ask, Plan, jobs_of
from orchestrator.plan.kept import KeptPlan, changed_code
from orchestrator.plan.rounds import TakenLooks, next_ask
from orchestrator.plan.search import advanced
from orchestrator.plan.study import Search
from orchestrator.resources import (
    ClusterShape,
    Resources,
    concurrent_cells,
    fitted_resources,
    resource_problems,
)
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import finished_records
from orchestrator.storage.sweeps import kept_plan, kept_search

__all__ = ["Round", "next_round"]


@dataclass(frozen=True)
class Round:
    """Plans that are run together, how many cells at once, and the runs that have ended before.

    Among these are runs of which this request has seen that they fail.
    """

    plans: tuple[Plan, ...]
    concurrent: int
    done: frozenset[str]

    @property
    def asks(self) -> dict[str, tuple[Ask, Search | None]]:
        """What is asked of each ablation, by its name, or of a search so far."""
        return {plan.name: (plan.ask, plan.search) for plan in self.plans}

    @property
    def jobs(self) -> int:
        """The number of distinct runs of all plans."""
        return len(jobs_of(self.plans))

    @property
    def left(self) -> int:
        """The number of runs that have not ended."""
        return self.jobs - len(self.done)

    @property
    def shared(self) -> int:
        """The number of runs saved because cells, of one sweep or of several, ask for the same."""
        return sum(len(plan.cells) for plan in self.plans) - self.jobs


def next_round(
    checked: Checked,
    shape: ClusterShape,
    before: Sequence[Plan] | None = None,
    failed: Mapping[str, RunRecord] | None = None,
    *,
    is_placed: bool = True,
) -> Round:
    """Decide what is run next, with the resources that cells get on a cluster of this shape.

    `before` are the plans of the last round, by default those that were checked: only what is
    asked in another way since then is planned again. `failed` are the runs that this request has
    tried in vain: they have ended, and other seeds may replace them. Unless `is_placed`, the shape
    stands for a cluster that is not connected yet. Raises one PlanError for cells that do not fit,
    and for own parts whose source has changed since the sweep began.
    """
    resources, limit = checked.resources(shape), checked.request.max_concurrent
    if is_placed and (problems := resource_problems(resources, shape)):
        raise PlanError(problems)

    plans, most = tuple(before or checked.plans), checked.request.max_seeds
    kept = [kept_plan(checked.storage, plan) for plan in plans]
    if before is None:
        _refuse_changed_code(plans, kept)
        plans = tuple(_continued(checked, plan) for plan in plans)
    looks = {
        plan.name: _looks(plan, of_before, checked.storage) if most else {}
        for plan, of_before in zip(plans, kept, strict=True)
    }
    while True:
        done = {**(failed or {}), **finished_records(plans, checked.storage)}
        searched = tuple(_searched(checked, plan, done, failed or {}) for plan in plans)
        if searched != plans:
            plans = searched
            continue
        asks = [next_ask(plan, done, max_seeds=most, taken=looks[plan.name]) for plan in plans]
        if asks == [plan.ask for plan in plans]:
            break
        plans = tuple(checked.plan_again(plan, ask) for plan, ask in zip(plans, asks, strict=True))

    if checked.request.cpus_per_worker is None:
        resources = _as_before(plans, kept, resources, shape) or fitted_resources(
            shape, resources, _at_once(plans), limit
        )
    plans = tuple(replace(plan, resources=resources) for plan in plans)
    return Round(plans, concurrent_cells(shape, resources, limit), frozenset(done))


def _refuse_changed_code(plans: Sequence[Plan], kept: Sequence[KeptPlan | None]) -> None:
    problems = [
        line
        for plan, before in zip(plans, kept, strict=True)
        if before is not None
        for line in changed_code(plan, before)
    ]
    if problems:
        raise PlanError(problems)


def _as_before(
    plans: Sequence[Plan],
    kept: Sequence[KeptPlan | None],
    resources: Resources,
    shape: ClusterShape,
) -> Resources | None:
    """Return the resources that the same runs were given before, if this cluster has them.

    Threads change the rounding of a result; so what is left of a sweep has as many as the rest.
    None where more is asked for than before, or where nothing was.
    """
    for plan, before in zip(plans, kept, strict=True):
        if before is None or not plan.jobs.keys() <= {
            cell["fingerprint"] for cell in before["cells"]
        }:
            return None
    given = [before["resources"] for before in kept if before is not None]
    if not given or any(one != given[0] for one in given):
        return None
    same = replace(resources, cpus_per_worker=int(given[0].get("cpus_per_worker", 0)))
    fits = not resource_problems(same, shape)
    return same if fits and asdict(same) == given[0] else None


def _at_once(plans: Sequence[Plan]) -> int:
    """Return how many runs share the machines: of a search a generation, at each of its steps."""
    search = plans[0].search
    return len(jobs_of(plans)) if search is None else search.rules.generation


def _continued(checked: Checked, plan: Plan) -> Plan:
    """Return a search with what it has asked before; its runs that failed are tried again."""
    if not plan.is_search:
        return plan
    kept = kept_search(checked.storage, plan.name, plan.sweep_id)
    return plan if kept is None else checked.search_again(plan, kept.study.tried_again())


def _searched(
    checked: Checked, plan: Plan, done: Mapping[str, RunRecord], failed: Mapping[str, RunRecord]
) -> Plan:
    """Return a search after its next step; the same while runs are missing, and at the end."""
    if plan.search is None:
        return plan
    study = advanced(plan, done, failed, train_images=checked.data.train)
    return plan if study == plan.search.study else checked.search_again(plan, study)


def _looks(plan: Plan, kept: KeptPlan | None, storage: Storage) -> TakenLooks:
    return {} if plan.ablation is None else looks_before(storage, plan.ablation, kept)
