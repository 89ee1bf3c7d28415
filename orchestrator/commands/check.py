"""From a request to what can be carried out: all that is wrong is found before anything starts."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from orchestrator.commands.overridden import overridden
from orchestrator.commands.places import places_problems
from orchestrator.commands.questions import on_one_recipe, questions_of, where_in_files
from orchestrator.commands.request import Problems, Request, base_recipe, workload_asked
from orchestrator.errors import PlanError
from orchestrator.plan import MAX_SEEDS, Ask, Plan, PlannedCell, build, build_single
from orchestrator.plan.asked import read_tuning, read_varied, varied_fields
from orchestrator.plan.cells import told_of_cells
from orchestrator.plan.part import asked_part, check_only
from orchestrator.plan.search import build_search, checked_space, with_study
from orchestrator.plan.study import Rules, Study
from orchestrator.questions.file import is_file
from orchestrator.resources import ClusterShape, Resources
from orchestrator.run_record import SCORE
from orchestrator.settings import Settings, read_settings
from orchestrator.stages import stage
from orchestrator.storage import Storage
from search_spaces import Ablation
from search_spaces.claims import Place
from workloads.cpus import usable_cpus
from workloads.inventory import DataRead, lines_of, told_of_reading
from workloads.spec import SpecError
from workloads.workload import (
    AnyWorkload,
    DataFacts,
    Specification,
    TrainedAlone,
)

__all__ = ["ADDRESS_TIMEOUT", "Checked", "address_problem", "check", "local_shape"]

ADDRESS_TIMEOUT = 5.0


@dataclass(frozen=True)
class Checked:
    """A request that can be carried out: its recipe with the data pinned, and its first plans.

    `plans` has a plan for each ablation, or that of the single run, as first asked: for what the
    first round gets, its resources are fitted to the cluster. `read` are all data sets that were
    read for it.
    """

    request: Request
    settings: Settings
    storage: Storage
    workload: AnyWorkload
    base: Specification
    data: DataFacts
    plans: tuple[Plan, ...]
    read: tuple[DataRead, ...] = ()

    @property
    def left_out(self) -> list[str]:
        """Return a sentence for each reason for which a data set's examples are left out."""
        return lines_of([one.tree() for one in self.read])

    @property
    def may_start(self) -> ClusterShape | None:
        """The nodes that the cluster by address starts when they are needed."""
        return ClusterShape.read(self.settings.nodes) if self.settings.nodes else None

    def resources(self, shape: ClusterShape) -> Resources:
        """Return what a cell occupies: as asked for, else one CPU, and one GPU if it uses one."""
        of_use = isinstance(self.workload, TrainedAlone) and any(gpus for _, gpus in shape.nodes)
        return _resources(self.request, gpus=float(of_use))

    def plan_again(self, plan: Plan, ask: Ask) -> Plan:
        """Return the plan of the same ablation for another ask. Raises one PlanError."""
        if plan.ablation is None or plan.ask == ask:
            return plan
        return _pinned(
            build(
                plan.ablation,
                self.base,
                ask=ask,
                resources=plan.resources,
                train_images=self.data.train,
            )
        )

    def search_again(self, plan: Plan, study: Study) -> Plan:
        """Return the plan of a search with what a study has asked. Raises one PlanError."""
        return _pinned(with_study(plan, study))


def local_shape() -> ClusterShape:
    """Return this machine as a cluster of one node, without starting Ray."""
    return ClusterShape(((float(usable_cpus()), float(torch.cuda.device_count())),))


def check(request: Request) -> Checked:
    """Check all that can be known before Ray starts. Raises one PlanError with every problem.

    Whether the cells fit a cluster by address is checked once it is connected.
    """
    request = on_one_recipe(request)
    problems = Problems()
    settings = (
        problems.attempt(lambda: read_settings(request.flags, os.environ, Path.cwd())) or Settings()
    )
    storage = Storage(settings.storage)
    shape = local_shape() if settings.address is None else None

    if problem := storage.check_writable():
        problems.found.append(problem)
    problems.found += places_problems(settings, storage, request.logs)
    if settings.address and (problem := address_problem(settings.address)):
        problems.found.append(problem)
    if request.max_concurrent is not None and request.max_concurrent < 1:
        problems.found.append(f"--max-concurrent {request.max_concurrent}: must be at least 1")
    if request.max_failures < 0:
        problems.found.append(f"--max-failures {request.max_failures}: must be at least 0")
    fewest = max(request.seeds, 2)  # one seed is never a verdict
    if request.max_seeds is not None and not fewest <= request.max_seeds <= MAX_SEEDS:
        problems.found.append(
            f"--max-seeds {request.max_seeds}: must lie between {fewest} and {MAX_SEEDS}"
        )

    problems.attempt(lambda: read_tuning(request.tuning))
    problems.attempt(lambda: read_varied(request.vary or "seed"))
    ablations = problems.attempt(lambda: questions_of(request))
    problems.attempt(lambda: check_only(ablations or (), request.only))
    workload = problems.attempt(lambda: workload_asked(request, ablations or ()))
    base = None
    if workload is not None:
        base = problems.attempt(
            lambda: base_recipe(
                workload, request.preset, request.config, request.assignments, storage
            )
        )
    prepared, read = None, list[DataRead]()
    if workload is not None and base is not None:
        with told_of_reading(read.append):
            stage("reading the data, and decoding images that are new here")
            prepared = problems.attempt(lambda: workload.prepare(base, download=request.download))

    plans = None
    if workload is not None and base is not None:
        # Without the data only the number of images is missing; the rest of the plan is checked
        # anyway.
        stage("planning")
        pinned, images = (prepared[0], prepared[1].train) if prepared else (base, None)
        resources = _resources(request, gpus=0.0)
        plans = problems.attempt(
            lambda: _plans(request, ablations or (), workload, pinned, resources, images, shape)
        )

    is_typed = not any(map(is_file, request.ablations))  # a file may set fields as --set does
    if plans is not None and base is not None and is_typed:
        problems.found += overridden(request.assignments, plans, base)
    problems.found += _not_given(request, ablations or (), prepared)
    problems.found = where_in_files(request, problems.found)
    problems.refuse()
    assert workload is not None, "whatever is missing was refused"
    assert prepared is not None, "whatever is missing was refused"
    assert plans is not None, "whatever is missing was refused"
    return Checked(request, settings, storage, workload, *prepared, plans, tuple(read))


def _not_given(
    request: Request,
    ablations: Sequence[Ablation],
    prepared: tuple[Specification, DataFacts] | None,
) -> list[str]:
    """Say which questions are answered by results that the data cannot give."""
    lacking = prepared[1].lacking if prepared else ()
    metrics = {ablation.name: ablation.metric for ablation in ablations}
    if request.search:
        metrics["tune"] = SCORE
    return [
        f"{name}: compares by {metric}, which the data do not give, for they have no labels"
        for name, metric in metrics.items()
        if metric.startswith(lacking)
    ]


def _resources(request: Request, *, gpus: float) -> Resources:
    """Return what a cell occupies as asked for, else `gpus` for each worker.

    Who asks for a type of GPU asks for one of it.
    """
    default = max(gpus, float(request.gpu_type is not None))
    return Resources(
        workers=request.workers,
        cpus_per_worker=request.cpus_per_worker or 1,
        gpus_per_worker=request.gpus_per_worker if request.gpus_per_worker is not None else default,
        gpu_type=request.gpu_type,
        placement=request.placement,
    )


def _plans(
    request: Request,
    ablations: Sequence[Ablation],
    workload: AnyWorkload,
    base: Specification,
    resources: Resources,
    images: int | None,
    shape: ClusterShape | None,
) -> tuple[Plan, ...]:
    """Plan what is asked at first. Raises one PlanError with the problems of all ablations."""
    if request.search:
        rules = Rules(request.sampler, request.pruner, request.generation)
        space = checked_space(request.search, type(base), rules, request.samples)
        searched = build_search(
            space,
            rules,
            request.samples,
            base,
            workload,
            resources=resources,
            train_images=images,
            shape=shape,
        )
        return (_pinned(searched),)
    if not ablations:
        single = build_single(base, workload, resources=resources, train_images=images, shape=shape)
        return (_pinned(single),)

    plans, problems = list[Plan](), list[str]()
    for ablation in ablations:
        try:
            scale = workload.scale(base, ablation.setting)
            plan = build(
                asked_part(ablation, scale, request.only if len(ablations) == 1 else ()),
                base,
                ask=_first_ask(request, ablation, base),
                resources=resources,
                train_images=images,
                shape=shape,
            )
            plans.append(_pinned(plan))
        except PlanError as error:
            whose = f"{ablation.name}: " if len(ablations) > 1 else ""
            for problem in error.problems:
                # What is wrong with the resources is wrong for all of them.
                problems.append(whose + problem if problem.startswith("cell ") else problem)
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    return tuple(plans)


def _first_ask(request: Request, ablation: Ablation, base: Specification) -> Ask:
    """Return what a request wants of an ablation at first. Raises PlanError."""
    wanted = ablation.vary if request.vary is None else read_varied(request.vary)
    vary = tuple(name for name in wanted if varied_fields(base.flat(), [name]))
    if request.vary is not None and vary != wanted:
        idle = ", no ".join(name for name in wanted if name not in vary)
        raise PlanError([f"--vary {request.vary}: the recipe draws no {idle}"])
    return Ask(request.seeds, tuning=read_tuning(request.tuning), vary=vary)


def _pinned(plan: Plan) -> Plan:
    """Return the plan with the content of all data in its cells' fingerprints.

    Raises one PlanError where there are none.
    """
    workload, cells = plan.workload, list[PlannedCell]()
    found: list[tuple[Place, list[str]]] = []
    if not isinstance(workload, TrainedAlone):
        return plan

    for cell in plan.cells:
        try:
            spec = workload.pinned(cell.spec)
        except SpecError as error:
            found.append((cell.at, error.problems))
            continue
        if cell.role != "reference":  # which has neither loss nor optimizer
            found.append((cell.at, []))
        cells.append(replace(cell, spec=spec, fingerprint=spec.fingerprint()))

    if problems := told_of_cells(found):
        raise PlanError(problems)
    return replace(plan, cells=tuple(cells))


def address_problem(address: str) -> str | None:
    """Return a line that says so if nothing listens there; Ray would try for many minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return None  # "auto", which Ray finds on this machine
    try:
        socket.create_connection((host, int(port)), ADDRESS_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        return f"--address {address}: no Ray answers there ({error})"
    return None
