"""From a question and a base recipe to an explicit list of cells.

Pure: reads and starts nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import PlanError
from orchestrator.plan.asked import (
    MAX_SEEDS,
    SAME_SEEDS,
    Ask,
    AskedRun,
    Role,
    asked_for,
    by_claims,
)
from orchestrator.plan.kept_question import question_to_keep
from orchestrator.plan.study import Search
from orchestrator.resources import ClusterShape, Resources, resource_problems
from search_spaces import Ablation, Step, Times
from search_spaces.ablation import Scale
from search_spaces.claims import Place
from search_spaces.layout import Cell
from search_spaces.values import Value
from workloads.catalog import workload_named
from workloads.spec import SpecError, digest
from workloads.workload import (
    AnyWorkload,
    Specification,
)

__all__ = [
    "MAX_SEEDS",
    "Ask",
    "Plan",
    "PlannedCell",
    "and_more",
    "build",
    "build_single",
    "by_claims",
    "jobs_of",
    "told_of_cells",
]


@dataclass(frozen=True)
class PlannedCell:
    """One run of one cell of the layout with one seed. Cells with equal fingerprints are one run.

    A `reference` is a run without training. A `candidate` is one of several settings that a tuned
    cell chooses among; it has a seed of its own, so that the choice cannot flatter the seeds that
    are reported. A `sample` is one setting of a search, which trains it up to `until` at first,
    and to the end where that is None.
    """

    at: Place
    seed: int
    spec: Specification
    fingerprint: str
    paper: float | None = None
    role: Role = "cell"
    candidate: int | None = None
    until: int | None = None

    @property
    def name(self) -> str:
        """The name for people: where the cell lies, which candidate it is, and its seed."""
        which = (
            f" · candidate {self.candidate + 1}"
            if self.role == "candidate" and self.candidate is not None
            else ""
        )
        return f"{' · '.join(self.at)}{which} · seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """Every run of a sweep, in the order in which they are begun.

    Candidates come before all, then seed by seed, references first and cells that decide more
    claims next. Tuned cells that have not chosen a candidate yet have no runs beside their
    candidates. `question` is the tree of a question that is not built in, as it was asked.
    A search has the settings that were asked so far.
    """

    ablation: Ablation | None
    workload: AnyWorkload
    scale: Scale
    base: Specification
    ask: Ask
    cells: tuple[PlannedCell, ...]
    resources: Resources
    question: Mapping[str, Any] | None = None
    search: Search | None = None

    @property
    def name(self) -> str:
        """The ablation's name, `tune` for a search, or `pretrain` for a single run."""
        if self.ablation:
            return self.ablation.name
        return "tune" if self.is_search else "pretrain"

    @property
    def is_search(self) -> bool:
        """True where less promising cells may be stopped early."""
        return self.search is not None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that at least one cell is run with, candidates aside."""
        return tuple(sorted({cell.seed for cell in self.cells if cell.role != "candidate"}))

    @property
    def tuned(self) -> tuple[Cell, ...]:
        """The cells that choose among candidates."""
        cells = self.ablation.layout(self.scale).cells if self.ablation else ()
        return tuple(cell for cell in cells if cell.candidates)

    @property
    def waiting(self) -> tuple[tuple[Place, int], ...]:
        """Places and seeds of tuned cells that have not chosen among their candidates yet."""
        first, ask = self.base.seed, self.ask
        return tuple(
            (cell.at, first + number)
            for cell in self.tuned
            for number in range(ask.seeds_of(cell.at))
            if ask.choice(cell.at, first, number) is None
        )

    @property
    def sweep_id(self) -> str:
        """The identity of the sweep: the same question on the same recipe.

        It does not depend on the number of seeds or workers. It does on how settings are chosen and
        on what varies with the seed, as values that differ in that are not of one kind. A question
        that is not built in may change under its name, and is another one then. A part of a
        question is a sweep of its own, which shares its runs with that of the whole.
        """
        identity: dict[str, Any] = {
            "name": self.name,
            "scale": self.scale,
            "base": self.base.fingerprint(),
        }
        if self.search is not None:
            identity["search"] = self.search.identity
        # what there was at first, once and nothing, is left out
        if self.tuned and self.ask.tuning != "once":
            identity["tuning"] = self.ask.tuning
        if self.ablation and self.ablation.only:
            identity["only"] = {name: list(some) for name, some in self.ablation.only.items()}
        if self.ask.vary:
            identity["vary"] = sorted(self.ask.vary)
        if self.question is not None:
            identity["question"] = digest(_as_asked(self.question))
        return digest(identity)[:12]

    @property
    def jobs(self) -> dict[str, PlannedCell]:
        """One cell for each distinct fingerprint, in order."""
        return jobs_of((self,))


def _as_asked(question: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of a question without how its one axis is drawn, which was a table at first."""
    axes = question.get("axes", ())
    if question.get("figure") != "lines" or len(axes) != 1:
        return dict(question)
    plain = [{key: value for key, value in axis.items() if key != "log"} for axis in axes]
    return {key: value for key, value in question.items() if key != "figure"} | {"axes": plain}


def jobs_of(plans: Iterable[Plan]) -> dict[str, PlannedCell]:
    """Return one cell for each distinct fingerprint of several plans, in order.

    Equal runs are run once and shared.
    """
    first: dict[str, PlannedCell] = {}
    for plan in plans:
        for cell in plan.cells:
            first.setdefault(cell.fingerprint, cell)
    return first


def build(
    ablation: Ablation,
    base: Specification,
    *,
    seeds: int = 1,
    ask: Ask | None = None,
    resources: Resources | None = None,
    train_images: int | None = None,
    shape: ClusterShape | None = None,
) -> Plan:
    """Plan an ablation on a base recipe, with an untrained reference for each seed.

    There are `seeds` seeds, from the base's on; `ask` says more than a number of seeds. Every cell
    is the base re-validated with the cell's values; cells and claims without a meaning on the base
    are left out. `train_images` (after validation is split off) and `shape` are checked against
    where they are known. Raises one PlanError that lists every violation.
    """
    resources, ask = resources or Resources(), ask or Ask(seeds)
    question = question_to_keep(ablation)
    workload, ablation = workload_named(ablation.workload), ablation.asked_of(base.flat())
    scale = workload.scale(base, ablation.setting)
    of_seeds = (
        []
        if 1 <= ask.seeds <= MAX_SEEDS
        else [f"--seeds {ask.seeds}: must lie between 1 and {MAX_SEEDS}"]
    )
    problems = of_seeds + resource_problems(resources, shape)

    cells = [] if of_seeds else list(asked_for(ablation, scale, base.seed, ask))
    planned: list[PlannedCell] = []
    of_cells: list[tuple[Place, list[str]]] = []
    for asked in cells:
        try:
            spec = _spec(asked, base, workload, ask)
        except SpecError as error:
            of_cells.append((asked.at, error.problems))
            continue
        if spec is None:
            continue

        if asked.role != "reference":
            found = workload.problems(spec, train_images, max(resources.workers, 1))
            of_cells.append((asked.at, found))
        planned.append(
            PlannedCell(
                asked.at,
                asked.seed,
                spec,
                spec.fingerprint(),
                asked.paper,
                asked.role,
                asked.candidate,
            )
        )

    if problems := problems + told_of_cells(of_cells):
        raise PlanError(list(dict.fromkeys(problems)))
    return Plan(ablation, workload, scale, base, ask, tuple(planned), resources, question)


def told_of_cells(found: Sequence[tuple[Place, Sequence[str]]]) -> list[str]:
    """Return the problems of cells, each once, with the first cell that has it and how many more.

    Those that all cells have are told without a cell. `found` has every cell that was asked, with
    its problems.
    """
    everywhere = set.intersection(*(set(problems) for _, problems in found)) if found else set()
    if len({at for at, _ in found}) == 1:
        everywhere = set()  # whose cell it is says something
    whose: dict[str, dict[Place, None]] = {}
    for at, problems in found:
        for problem in problems:
            whose.setdefault(problem, {})[at] = None
    return [
        problem
        if problem in everywhere
        else f"cell {' · '.join(next(iter(places)))}: {problem}{and_more(len(places), 'cell')}"
        for problem, places in whose.items()
    ]


def and_more(count: int, what: str) -> str:
    """Return " (and 48 more cells)" after the first of 49 that have the same problem."""
    more = count - 1
    return f" (and {more} more {what}{'s' if more > 1 else ''})" if more else ""


def build_single(
    spec: Specification,
    workload: AnyWorkload,
    *,
    resources: Resources | None = None,
    train_images: int | None = None,
    shape: ClusterShape | None = None,
) -> Plan:
    """Plan one run. Raises one PlanError that lists every violation."""
    resources = resources or Resources()
    problems = resource_problems(resources, shape)
    problems += workload.problems(spec, train_images, max(resources.workers, 1))
    if problems:
        raise PlanError(problems)
    cell = PlannedCell(("pretrain",), spec.seed, spec, spec.fingerprint())
    return Plan(None, workload, "small", spec, Ask(), (cell,), resources)


def _spec(
    asked: AskedRun, base: Specification, workload: AnyWorkload, ask: Ask
) -> Specification | None:
    """Return the specification of a run; None for a reference that the workload does not have.

    Raises SpecError.
    """

    def with_own(recipe: Specification, values: dict[str, Any]) -> Specification:
        varied = ask.varied(recipe.flat() | values, asked.number, asked.role)
        return recipe.with_values({**values, **varied, "seed": asked.seed})

    if asked.role == "reference":
        reference = workload.reference(base)
        return reference and with_own(reference, {})
    if "seed" in asked.values:
        raise SpecError([f"seed={asked.values['seed']}: {SAME_SEEDS}"])
    return with_own(base, _resolved(asked.values, base))


def _resolved(values: Mapping[str, Value], base: Specification) -> dict[str, Any]:
    """Return plain values: multiples and neighbours of the base recipe's are worked out.

    Raises SpecError.
    """
    flat, resolved, problems = base.flat(), dict[str, Any](), list[str]()
    for path, value in values.items():
        try:
            resolved[path] = value.resolve(flat[path]) if isinstance(value, Times | Step) else value
        except ValueError as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise SpecError(problems)
    return resolved
