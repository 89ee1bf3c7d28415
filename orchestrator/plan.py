"""From a question and a base recipe to an explicit list of cells. Pure: reads and starts nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.errors import PlanError
from search_spaces import Ablation, Times
from workloads.simclr.pretrain import problems_with
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError, digest

__all__ = ["ClusterShape", "Plan", "PlannedCell", "Resources", "build", "build_single"]

Scale = Literal["paper", "small"]
MAX_SEEDS = 1000


@dataclass(frozen=True)
class Resources:
    """What one cell occupies: `workers` processes with so many CPUs and GPUs each."""

    workers: int = 1
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0


@dataclass(frozen=True)
class ClusterShape:
    """CPUs and GPUs of each node."""

    nodes: tuple[tuple[float, float], ...]

    def workers_that_fit(self, resources: Resources) -> int:
        """How many workers of this size all nodes hold together; a worker never spans nodes."""
        return sum(_workers_on(node, resources) for node in self.nodes)


@dataclass(frozen=True)
class PlannedCell:
    """One run of one cell of the layout with one seed. Cells with equal fingerprints are one run."""

    at: tuple[str, ...]
    seed: int
    spec: RunSpec
    fingerprint: str
    paper: float | None = None
    role: Literal["cell", "reference"] = "cell"

    @property
    def name(self) -> str:
        """For people: where the cell lies, and its seed."""
        return f"{' · '.join(self.at)} · seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """Every cell of a sweep, in the order of the layout, seed by seed, references first."""

    ablation: Ablation | None
    scale: Scale
    base: RunSpec
    seeds: tuple[int, ...]
    cells: tuple[PlannedCell, ...]
    resources: Resources

    @property
    def name(self) -> str:
        """The ablation's name, or `pretrain` for a single run."""
        return self.ablation.name if self.ablation else "pretrain"

    @property
    def sweep_id(self) -> str:
        """Identity of the sweep: the same question on the same recipe, whatever the number of seeds or workers."""
        identity = {"name": self.name, "scale": self.scale, "base": self.base.fingerprint()}
        return digest(identity)[:12]

    @property
    def jobs(self) -> dict[str, PlannedCell]:
        """One cell for each distinct fingerprint, in order."""
        first: dict[str, PlannedCell] = {}
        for cell in self.cells:
            first.setdefault(cell.fingerprint, cell)
        return first


def build(
    ablation: Ablation,
    base: RunSpec,
    *,
    seeds: int = 1,
    resources: Resources | None = None,
    train_images: int | None = None,
    shape: ClusterShape | None = None,
) -> Plan:
    """The plan of an ablation on a base recipe, with `seeds` seeds from the base's on and an untrained reference for each.

    Every cell is the base re-validated with the cell's values. `train_images` (after validation is split off) and `shape`
    are checked against where they are known. Raises one PlanError that lists every violation.
    """
    resources = resources or Resources()
    scale: Scale = "paper" if base.data.name == "imagenet" else "small"
    layout = ablation.layout(scale)
    problems = _resource_problems(seeds, resources, shape)
    cells: list[PlannedCell] = []
    for seed in range(base.seed, base.seed + max(0, min(seeds, MAX_SEEDS))):
        reference = base.with_values({"seed": seed, "schedule.epochs": 0, "schedule.warmup_epochs": 0})
        cells.append(PlannedCell(("untrained",), seed, reference, reference.fingerprint(), role="reference"))
        for cell, values in zip(layout.cells, ablation.points(scale), strict=True):
            where = " · ".join(cell.at)
            try:
                spec = base.with_values(_resolved(values, base) | {"seed": seed})
            except SpecError as error:
                problems += [f"cell {where}: {problem}" for problem in error.problems]
                continue
            found = problems_with(spec, train_images or spec.schedule.batch_size, max(resources.workers, 1))
            problems += [f"cell {where}: {problem}" for problem in found]
            cells.append(PlannedCell(cell.at, seed, spec, spec.fingerprint(), cell.paper))
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    return Plan(ablation, scale, base, tuple(range(base.seed, base.seed + seeds)), tuple(cells), resources)


def build_single(
    spec: RunSpec,
    *,
    resources: Resources | None = None,
    train_images: int | None = None,
    shape: ClusterShape | None = None,
) -> Plan:
    """The plan of one run. Raises one PlanError that lists every violation."""
    resources = resources or Resources()
    problems = _resource_problems(1, resources, shape)
    problems += problems_with(spec, train_images or spec.schedule.batch_size, max(resources.workers, 1))
    if problems:
        raise PlanError(problems)
    cell = PlannedCell(("pretrain",), spec.seed, spec, spec.fingerprint())
    return Plan(None, "small", spec, (spec.seed,), (cell,), resources)


def _resolved(values: Mapping[str, Any], base: RunSpec) -> dict[str, Any]:
    """Values as numbers: multiples of what the base recipe has are worked out."""
    flat = base.flat()
    return {field: value.resolve(flat[field]) if isinstance(value, Times) else value for field, value in values.items()}


def _resource_problems(seeds: int, resources: Resources, shape: ClusterShape | None) -> list[str]:
    of_seeds = [] if 1 <= seeds <= MAX_SEEDS else [f"--seeds {seeds}: must lie between 1 and {MAX_SEEDS}"]
    found = []
    if resources.workers < 1:
        found.append(f"--workers {resources.workers}: must be at least 1")
    if resources.cpus_per_worker < 1:
        found.append(f"--cpus-per-worker {resources.cpus_per_worker}: must be at least 1")
    gpus = resources.gpus_per_worker
    if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        found.append(f"--gpus-per-worker {gpus:g}: must be a share of one GPU or a whole number")
    elif 0 < gpus < 1 and resources.workers > 1:
        found.append(f"--gpus-per-worker {gpus:g}: a share of a GPU is for cells of one worker, not {resources.workers}")
    elif shape is not None and not found:
        found += _placement_problems(resources, shape)
    return of_seeds + found


def _placement_problems(resources: Resources, shape: ClusterShape) -> list[str]:
    most_gpus = max((gpus for _, gpus in shape.nodes), default=0)
    most_cpus = max((cpus for cpus, _ in shape.nodes), default=0)
    found = []
    if resources.gpus_per_worker > most_gpus:
        found.append(f"--gpus-per-worker {resources.gpus_per_worker:g}: no node has more than {most_gpus:g} GPUs")
    if resources.cpus_per_worker > most_cpus:
        found.append(f"--cpus-per-worker {resources.cpus_per_worker}: no node has more than {most_cpus:g} CPUs")
    fit = shape.workers_that_fit(resources)
    if not found and resources.workers > fit:
        found.append(f"--workers {resources.workers}: the cluster holds {fit} workers of this size")
    return found


def _workers_on(node: tuple[float, float], resources: Resources) -> int:
    cpus, gpus = node
    by_cpu = int(cpus // resources.cpus_per_worker)
    if not resources.gpus_per_worker:
        return by_cpu
    if resources.gpus_per_worker < 1:  # a share never spans two GPUs
        by_gpu = int(gpus) * int(1 / resources.gpus_per_worker + 1e-9)
    else:
        by_gpu = int(gpus // resources.gpus_per_worker)
    return min(by_cpu, by_gpu)
