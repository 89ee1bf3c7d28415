"""What a cell occupies, what a cluster has, and whether the one fits the other. Pure."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "ClusterShape",
    "Placement",
    "Resources",
    "concurrent_cells",
    "fitted_resources",
    "resource_problems",
]

Placement = Literal["pack", "spread"]
Node = tuple[float, float]  # CPUs and GPUs
# Ray gives a node with such GPUs one of this; a worker takes so little of it that it only says
# where the worker may run.
ACCELERATOR, TAKEN = "accelerator_type:", 0.001


@dataclass(frozen=True)
class Resources:
    """What one cell occupies: `workers` processes with so many CPUs and GPUs each.

    The GPUs are of `gpu_type` only, where one is asked for. Workers are packed onto as few nodes as
    they fit on, or spread over as many as there are. Neither changes a result.
    """

    workers: int = 1
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0
    gpu_type: str | None = None
    placement: Placement = "pack"

    @property
    def bundle(self) -> dict[str, float]:
        """Return what Ray reserves for each worker."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        of_type = {ACCELERATOR + self.gpu_type: TAKEN} if self.gpu_type else {}
        return {"CPU": float(self.cpus_per_worker)} | gpus | of_type


@dataclass(frozen=True)
class ClusterShape:
    """CPUs and GPUs of each node of a cluster, and the type of its GPUs.

    The type is None where a node has no GPU; there are no `gpu_types` where nobody knows them.
    """

    nodes: tuple[Node, ...]
    gpu_types: tuple[str | None, ...] = ()

    @classmethod
    def read(cls, nodes: str) -> "ClusterShape":
        """Read a line such as `8x16x1,2x64`: 8 nodes of 16 CPUs and a GPU, and 2 of 64 CPUs.

        `8x16x1:A100` says the type of the GPU.
        """
        found = list[Node]()
        types = list[str | None]()
        for kind in nodes.split(","):
            amounts, _, gpu_type = kind.partition(":")
            count, cpus, gpus, *_ = [*map(int, amounts.split("x")), 0]
            found += [(float(cpus), float(gpus))] * count
            types += [gpu_type or None] * count
        return cls(tuple(found), tuple(types))

    @classmethod
    def of_ray(cls, nodes: list[dict[str, float]]) -> "ClusterShape":
        """Read the resources of each node, as Ray names them."""
        types = [
            [name.removeprefix(ACCELERATOR) for name in node if name.startswith(ACCELERATOR)]
            for node in nodes
        ]
        amounts = tuple(
            (float(node.get("CPU", 0.0)), float(node.get("GPU", 0.0))) for node in nodes
        )
        return cls(amounts, tuple(found[0] if found else None for found in types))

    def with_startable(self, startable: "ClusterShape") -> "ClusterShape":
        """Return these living nodes and those that may be started beside them.

        A living node counts as one of the startable ones with as many CPUs and GPUs, of the same
        type of GPU or of those whose type was not said.
        """
        left = Counter(zip(startable.nodes, startable.gpu_types, strict=True))
        for node, gpu_type in zip(self.nodes, self.gpu_types, strict=True):
            same = (node, gpu_type) if left[node, gpu_type] else (node, None)
            left[same] -= min(left[same], 1)
        more = list(left.elements())
        nodes, types = (node for node, _ in more), (gpu_type for _, gpu_type in more)
        return ClusterShape((*self.nodes, *nodes), (*self.gpu_types, *types))

    def workers_that_fit(self, resources: Resources) -> int:
        """Return how many workers all nodes hold together; a worker never spans nodes."""
        return sum(_workers_on(node, resources) for node in self.nodes_for(resources))

    def nodes_for(self, resources: Resources) -> tuple[Node, ...]:
        """Return the nodes with the type of GPU that is asked for.

        These are all nodes where no type is asked for, or where nobody knows the types.
        """
        if resources.gpu_type is None or not self.gpu_types:
            return self.nodes
        typed = zip(self.nodes, self.gpu_types, strict=True)
        return tuple(node for node, gpu_type in typed if gpu_type == resources.gpu_type)


def resource_problems(resources: Resources, shape: ClusterShape | None) -> list[str]:
    """Return what is wrong with what a cell occupies, a line each that names the option.

    Whether it fits a cluster is asked where the cluster's shape is known.
    """
    found = []
    if resources.workers < 1:
        found.append(f"--workers {resources.workers}: must be at least 1")
    if resources.cpus_per_worker < 1:
        found.append(f"--cpus-per-worker {resources.cpus_per_worker}: must be at least 1")
    if resources.placement == "spread" and resources.workers == 1:
        found.append("--placement spread: is for cells of several workers, --workers")
    gpus = resources.gpus_per_worker
    if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        found.append(f"--gpus-per-worker {gpus:g}: must be a share of one GPU or a whole number")
    elif 0 < gpus < 1 and resources.workers > 1:
        found.append(
            f"--gpus-per-worker {gpus:g}: a share of a GPU is for cells of one worker, not "
            f"{resources.workers}"
        )
    elif not gpus and resources.gpu_type is not None:
        found.append(
            f"--gpu-type {resources.gpu_type}: cells without GPUs have no type of them, "
            "--gpus-per-worker 0"
        )
    elif shape is not None and not found:
        found += _placement_problems(resources, shape)
    return found


def _placement_problems(resources: Resources, shape: ClusterShape) -> list[str]:
    """Return why a cluster of this shape cannot hold the workers of one cell."""
    nodes = shape.nodes_for(resources)
    of_type = f" with {resources.gpu_type}" if resources.gpu_type else ""
    if of_type and not nodes:
        known = (
            ", ".join(sorted({name for name in shape.gpu_types if name}))
            or "no GPUs of a known type"
        )
        return [f"--gpu-type {resources.gpu_type}: no node has it; there are {known}"]
    most_gpus = max((gpus for _, gpus in nodes), default=0)
    most_cpus = max((cpus for cpus, _ in nodes), default=0)

    found = []
    if resources.gpus_per_worker > most_gpus:
        found.append(
            f"--gpus-per-worker {resources.gpus_per_worker:g}: no node{of_type} has more than "
            f"{most_gpus:g} GPUs"
        )
    if resources.cpus_per_worker > most_cpus:
        found.append(
            f"--cpus-per-worker {resources.cpus_per_worker}: no node{of_type} has more than "
            f"{most_cpus:g} CPUs"
        )

    fit = shape.workers_that_fit(resources)
    if not found and resources.workers > fit:
        found.append(
            f"--workers {resources.workers}: the cluster holds {fit} workers of this size{of_type}"
        )
    return found


def _workers_on(node: Node, resources: Resources) -> int:
    """Return how many workers one node holds."""
    cpus, gpus = node
    by_cpu = int(cpus // resources.cpus_per_worker)
    if not resources.gpus_per_worker:
        return by_cpu
    if resources.gpus_per_worker < 1:  # a share never spans two GPUs
        by_gpu = int(gpus) * int(1 / resources.gpus_per_worker + 1e-9)
    else:
        by_gpu = int(gpus // resources.gpus_per_worker)
    return min(by_cpu, by_gpu)


def concurrent_cells(shape: ClusterShape, resources: Resources, limit: int | None) -> int:
    """Return how many cells run at once.

    More than fit would each hold some workers and wait for the others.
    """
    fit = max(1, shape.workers_that_fit(resources) // resources.workers)
    return min(fit, limit) if limit else fit


def fitted_resources(
    shape: ClusterShape, resources: Resources, cells: int, limit: int | None
) -> Resources:
    """Return as many CPUs a worker that the cells that run at once use the whole cluster."""
    at_once = min(concurrent_cells(shape, resources, limit), max(cells, 1))
    cpus_of_nodes = [cpus for cpus, _ in shape.nodes_for(resources) if cpus]
    smallest = min(cpus_of_nodes, default=1.0)
    share = sum(cpus_of_nodes) / (at_once * resources.workers)
    fitted = replace(resources, cpus_per_worker=max(1, int(min(share, smallest))))

    # Nodes differ: those with GPUs may have fewer CPUs than the others.
    while (
        fitted.cpus_per_worker > 1 and shape.workers_that_fit(fitted) < at_once * resources.workers
    ):
        fitted = replace(fitted, cpus_per_worker=fitted.cpus_per_worker - 1)
    return fitted
