"""From options to a checked plan: everything that is wrong with a request is found before anything starts."""

import os
import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from orchestrator.errors import OrchestratorError, PlanError, TrackingError
from orchestrator.plan import ClusterShape, Plan, Resources, build, build_single
from orchestrator.settings import Settings, read_settings
from orchestrator.storage import Storage
from search_spaces import ABLATIONS, Ablation
from workloads.datasets import DataSet, load
from workloads.datasets.spec import EMBEDDED
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError, read_assignments, read_yaml

__all__ = [
    "Checked",
    "Problems",
    "Request",
    "ablation_named",
    "address_problem",
    "check",
    "command_line",
    "local_shape",
]

T = TypeVar("T")
ADDRESS_TIMEOUT = 5.0


@dataclass(frozen=True)
class Request:
    """What a person asked for, as typed. `ablation` is None for a single run."""

    ablation: str | None
    preset: str
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    seeds: int = 1
    workers: int = 1
    cpus_per_worker: int | None = None
    gpus_per_worker: float | None = None
    max_concurrent: int | None = None
    max_failures: int = 2
    download: bool = False
    log_model: bool = False
    flags: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def recipe(self) -> str:
        """For people: where the base recipe comes from."""
        return (str(self.config) if self.config else self.preset) + "".join(f" {one}" for one in self.assignments)


@dataclass
class Problems:
    """Collects what is wrong, so that it is said at once."""

    found: list[str] = field(default_factory=list)

    def attempt(self, step: Callable[[], T]) -> T | None:
        """The step's value; None when it refused, which is kept."""
        try:
            return step()
        except (SpecError, PlanError) as error:
            self.found += error.problems
        except OrchestratorError as error:
            self.found.append(str(error))
        return None

    def refuse(self) -> None:
        """Raise one PlanError with all problems, if there are any."""
        if self.found:
            raise PlanError(list(dict.fromkeys(self.found)))


@dataclass(frozen=True)
class Checked:
    """A request that can be carried out."""

    request: Request
    settings: Settings
    storage: Storage
    ablation: Ablation | None
    base: RunSpec
    data: DataSet

    def plan(self, resources: Resources, shape: ClusterShape | None) -> Plan:
        """The plan for these resources. Raises PlanError."""
        return _any_plan(self.ablation, self.base, self.request.seeds, resources, len(self.data.train), shape)

    def resources(self, shape: ClusterShape) -> Resources:
        """What a cell occupies: as asked for, otherwise one GPU a worker where there are any, and one CPU."""
        asked = self.request.gpus_per_worker
        gpus = asked if asked is not None else float(any(gpus for _, gpus in shape.nodes))
        return Resources(self.request.workers, self.request.cpus_per_worker or 1, gpus)


def local_shape() -> ClusterShape:
    """This machine as a cluster of one node, without starting Ray."""
    return ClusterShape(((float(len(os.sched_getaffinity(0))), float(torch.cuda.device_count())),))


def check(request: Request) -> Checked:
    """Everything that can be known before Ray starts. Raises one PlanError with every problem.

    Whether the cells fit a cluster by address is checked once it is connected.
    """
    problems = Problems()
    settings = problems.attempt(lambda: read_settings(request.flags, os.environ, Path.cwd())) or Settings()
    storage = Storage(settings.storage)
    shape = local_shape() if settings.address is None else None
    if problem := storage.check_writable():
        problems.found.append(problem)
    if problem := _tracking_problem(settings, storage):
        problems.found.append(problem)
    if settings.address and (problem := address_problem(settings.address)):
        problems.found.append(problem)
    if request.max_concurrent is not None and request.max_concurrent < 1:
        problems.found.append(f"--max-concurrent {request.max_concurrent}: must be at least 1")
    if request.max_failures < 0:
        problems.found.append(f"--max-failures {request.max_failures}: must be at least 0")
    name = request.ablation
    ablation = problems.attempt(lambda: ablation_named(name)) if name else None
    base = problems.attempt(lambda: _base(request))
    data = problems.attempt(lambda: load(base.data, download=request.download)) if base else None
    checked = None
    if base is not None:
        # Without the data only the number of images is missing; the rest of the plan is checked anyway.
        images = len(data.train) if data else None
        asked = Resources(request.workers, request.cpus_per_worker or 1, request.gpus_per_worker or 0.0)
        problems.attempt(lambda: _any_plan(ablation, base, request.seeds, asked, images, shape))
        checked = Checked(request, settings, storage, ablation, _pinned(base, data), data) if data else None
    problems.refuse()
    assert checked is not None, "whatever is missing was refused"
    return checked


def ablation_named(name: str) -> Ablation:
    """The ablation of that name. Raises SpecError that lists the known ones."""
    if name not in ABLATIONS:
        raise SpecError([f"{name}: no such ablation; known are {', '.join(ABLATIONS)}"])
    return ABLATIONS[name]


def command_line(arguments: list[str]) -> str:
    """The command as one would type it again."""
    return shlex.join(["simclr-orch", *arguments])


def _any_plan(
    ablation: Ablation | None,
    base: RunSpec,
    seeds: int,
    resources: Resources,
    images: int | None,
    shape: ClusterShape | None,
) -> Plan:
    if ablation is None:
        return build_single(base, resources=resources, train_images=images, shape=shape)
    return build(ablation, base, seeds=seeds, resources=resources, train_images=images, shape=shape)


def _base(request: Request) -> RunSpec:
    """The base recipe with the assignments on it, and the root of its data absolute: workers run in folders of their own."""
    problems = Problems()
    values = problems.attempt(lambda: read_assignments(list(request.assignments)))
    recipe = problems.attempt(lambda: RunSpec.read(read_yaml(request.config)) if request.config else preset(request.preset))
    problems.refuse()
    assert recipe is not None, "whatever is missing was refused"
    base = recipe.with_values(values or {})
    if base.data.root is None:
        return base
    return base.with_values({"data.root": os.path.abspath(os.path.expanduser(base.data.root))})


def _pinned(base: RunSpec, data: DataSet) -> RunSpec:
    """The recipe with the digest of its images, so that its fingerprint stands for them and not for a path."""
    return base if base.data.name in EMBEDDED else base.with_values({"data.content": data.content})


def address_problem(address: str) -> str | None:
    """Whether something listens there; Ray itself would try for many minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return None  # "auto", which Ray looks up on this machine
    try:
        socket.create_connection((host, int(port)), ADDRESS_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        return f"--address {address}: no Ray answers there ({error})"
    return None


def _tracking_problem(settings: Settings, storage: Storage) -> str | None:
    if settings.tracking_uri is None:
        if storage.is_local:
            return None
        return f"--tracking-uri: is needed, for MLflow cannot keep its database in {storage.uri}"
    from orchestrator.tracking import Tracker

    try:
        return Tracker.open(settings.tracking_uri, storage).check()
    except TrackingError as error:
        return str(error)
