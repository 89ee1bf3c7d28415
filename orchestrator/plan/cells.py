"""From a question and a base recipe to an explicit list of cells.

Pure: reads and starts nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.errors import PlanError
from orchestrator.resources import ClusterShape, Resources, resource_problems
from search_spaces import UNTRAINED, Ablation, Step, Times
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
    "build",
    "build_single",
    "by_claims",
    "jobs_of",
]

Scale = Literal["paper", "small"]
Role = Literal["cell", "reference", "candidate", "sample"]
MAX_SEEDS = 1000


@dataclass(frozen=True)
class PlannedCell:
    """One run of one cell of the layout with one seed. Cells with equal fingerprints are one run.

    A `reference` is a run without training. A `candidate` is one of several settings that a tuned
    cell chooses among; it has a seed of its own, so that the choice cannot flatter the seeds that
    are reported. A `sample` is one setting of a search, which may stop it early.
    """

    at: Place
    seed: int
    spec: Specification
    fingerprint: str
    paper: float | None = None
    role: Role = "cell"
    candidate: int | None = None

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
class Ask:
    """The part of an ablation that is wanted: seeds of every cell, and `more` of some cells.

    `chosen` has the candidates that tuned cells have chosen.
    """

    seeds: int = 1
    more: Mapping[Place, int] = field(default_factory=dict)
    chosen: Mapping[Place, int] = field(default_factory=dict)

    def seeds_of(self, at: Place) -> int:
        """Return the number of seeds of one cell."""
        return max(self.seeds, self.more.get(at, 0))


@dataclass(frozen=True)
class Plan:
    """Every run of a sweep, in the order in which they are begun.

    Candidates come before all, then seed by seed, references first and cells that decide more
    claims next. Tuned cells that have not chosen a candidate yet have no runs beside their
    candidates.
    """

    ablation: Ablation | None
    workload: AnyWorkload
    scale: Scale
    base: Specification
    ask: Ask
    cells: tuple[PlannedCell, ...]
    resources: Resources

    @property
    def name(self) -> str:
        """The ablation's name, `tune` for a search, or `pretrain` for a single run."""
        if self.ablation:
            return self.ablation.name
        return "tune" if self.is_search else "pretrain"

    @property
    def is_search(self) -> bool:
        """True where less promising cells may be stopped early."""
        return any(cell.role == "sample" for cell in self.cells)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that at least one cell is run with, candidates aside."""
        return tuple(sorted({cell.seed for cell in self.cells if cell.role != "candidate"}))

    @property
    def waiting(self) -> tuple[Place, ...]:
        """Tuned cells that have not chosen among their candidates yet."""
        cells = self.ablation.layout(self.scale).cells if self.ablation else ()
        return tuple(
            cell.at for cell in cells if cell.candidates and cell.at not in self.ask.chosen
        )

    @property
    def sweep_id(self) -> str:
        """The identity of the sweep: the same question on the same recipe.

        It does not depend on the number of seeds or workers.
        """
        identity: dict[str, Any] = {
            "name": self.name,
            "scale": self.scale,
            "base": self.base.fingerprint(),
        }
        if self.is_search:
            identity["samples"] = [cell.fingerprint for cell in self.cells]
        return digest(identity)[:12]

    @property
    def jobs(self) -> dict[str, PlannedCell]:
        """One cell for each distinct fingerprint, in order."""
        return jobs_of((self,))


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
    workload, ablation = workload_named(ablation.workload), ablation.asked_of(base.flat())
    scale = workload.scale(base, ablation.setting)
    of_seeds = (
        []
        if 1 <= ask.seeds <= MAX_SEEDS
        else [f"--seeds {ask.seeds}: must lie between 1 and {MAX_SEEDS}"]
    )
    problems = of_seeds + resource_problems(resources, shape)

    cells = [] if of_seeds else list(_asked_for(ablation, scale, base.seed, ask))
    planned: list[PlannedCell] = []
    for asked in cells:
        try:
            spec = _spec(asked, base, workload)
        except SpecError as error:
            problems += [f"cell {' · '.join(asked.at)}: {problem}" for problem in error.problems]
            continue
        if spec is None:
            continue

        if asked.role != "reference":
            found = workload.problems(spec, train_images, max(resources.workers, 1))
            problems += [f"cell {' · '.join(asked.at)}: {problem}" for problem in found]
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

    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    return Plan(ablation, workload, scale, base, ask, tuple(planned), resources)


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


@dataclass(frozen=True)
class _Asked:
    """A run before its specification is made."""

    at: Place
    seed: int
    values: Mapping[str, Value]
    paper: float | None
    role: Role
    candidate: int | None = None


def _asked_for(ablation: Ablation, scale: Scale, first: int, ask: Ask) -> Iterator[_Asked]:
    cells = by_claims(ablation, scale)
    for cell in cells:
        for index, candidate in enumerate(cell.candidates):
            values = {**ablation.fixed, **cell.values, **candidate}
            yield _Asked(cell.at, first + MAX_SEEDS, values, cell.paper, "candidate", index)

    most = max((ask.seeds_of(cell.at) for cell in cells), default=ask.seeds)
    untrained = ask.seeds_of(UNTRAINED) if ablation.untrained else 0
    for number in range(max(most, untrained)):
        seed = first + number
        if number < untrained:
            yield _Asked(UNTRAINED, seed, {}, None, "reference")
        for cell in cells:
            choice = ask.chosen.get(cell.at)
            if number >= ask.seeds_of(cell.at) or (cell.candidates and choice is None):
                continue
            chosen = cell.candidates[choice] if choice is not None else {}
            values = {**ablation.fixed, **cell.values, **chosen}
            yield _Asked(cell.at, seed, values, cell.paper, "cell", choice)


def by_claims(ablation: Ablation, scale: Scale) -> list[Cell]:
    """Return the cells of the layout, those first that more claims rest on.

    Then come those of more comparisons, else its order holds. Within a seed: a verdict needs pairs,
    so every cell's seed comes before the next one of any.
    """
    claims, comparisons = Counter[Place](), Counter[Place]()
    for claim in ablation.claims:
        of_claim: set[Place] = set()
        for asked in claim.comparisons(scale):
            compared = {term.at for term in asked.terms}
            comparisons.update(compared)
            of_claim |= compared
        claims.update(of_claim)

    return sorted(
        ablation.layout(scale).cells, key=lambda cell: (-claims[cell.at], -comparisons[cell.at])
    )


def _spec(asked: _Asked, base: Specification, workload: AnyWorkload) -> Specification | None:
    """Return the specification of a run; None for a reference that the workload does not have.

    Raises SpecError.
    """
    if asked.role == "reference":
        reference = workload.reference(base)
        return reference and reference.with_values({"seed": asked.seed})
    return base.with_values(_resolved(asked.values, base) | {"seed": asked.seed})


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
