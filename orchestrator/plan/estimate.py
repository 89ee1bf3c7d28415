"""How long a plan will take, and what that number rests on. Pure."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.plan.cells import Plan, jobs_of
from orchestrator.resources import Resources
from orchestrator.run_record import RunRecord
from workloads.catalog import workload_named
from workloads.runs.packs import packed
from workloads.spec import SpecError
from workloads.workload import (
    AnyWorkload,
    Specification,
    TrainedAlone,
    TrainedTogether,
    WorkloadName,
)

__all__ = ["MEASURED", "Estimate", "Speed", "estimate", "measured_speed"]

# Only until a first cell has been measured. A CPU core in bf16 reached 100-300 GFLOP/s with small
# encoders.
ASSUMED_CPU_CORE = 60e9
ASSUMED_GPU = 40e12
OVERHEAD_SECONDS = {"trial": 3.0, "workers": 25.0}
MEASURED = 32  # runs that tell a speed, the newest ones: more change a median little
RECORDING_SECONDS = 0.1  # of a cell, in the driver and in its pack


@dataclass(frozen=True)
class Speed:
    """The floating-point operations a second of a cell, and where the number comes from."""

    operations_per_second: float
    basis: str


@dataclass(frozen=True)
class Estimate:
    """The expected times of each cell and of the whole plan, and the GPU-hours that it occupies.

    The whole plan is so many packs of cells, `concurrent` of them at once.
    """

    cell_seconds: dict[str, float]
    packs: int
    concurrent: int
    wall_seconds: float
    gpu_hours: float
    basis: str


def measured_speed(
    records: Iterable[RunRecord], resources: Resources, workload: WorkloadName
) -> Speed:
    """Return the median speed of a workload's finished cells, or an assumption that says so.

    Counted are the newest of those on as many workers of the same kind.
    """
    kind = (resources.workers, resources.gpus_per_worker > 0)
    rates = list[float]()
    for record in sorted(records, key=lambda record: str(record.ended or ""), reverse=True):
        if len(rates) == MEASURED:
            break
        if record.workload != workload or not record.has_finished or record.trained_by is not None:
            continue
        if record.machine is None or not record.total_seconds or not record.history:
            continue
        if (record.machine["workers"], record.machine["gpu"]) != kind:
            continue
        if done := _operations_done(record):
            rates.append(done / record.total_seconds)

    if rates:
        return Speed(
            statistics.median(rates),
            f"measured: median of {len(rates)} finished cells in this storage",
        )
    if resources.gpus_per_worker:
        speed = ASSUMED_GPU * resources.gpus_per_worker * resources.workers
        return Speed(
            speed,
            f"assumed: {ASSUMED_GPU / 1e12:g} TFLOP/s a GPU, nothing measured in this storage yet",
        )
    speed = ASSUMED_CPU_CORE * resources.cpus_per_worker * resources.workers
    return Speed(
        speed,
        f"assumed: {ASSUMED_CPU_CORE / 1e9:g} GFLOP/s a CPU core, nothing measured in this "
        "storage yet",
    )


def estimate(
    plans: Sequence[Plan],
    *,
    done: Collection[str],
    trained: Collection[str] = (),
    train_images: int,
    concurrent: int,
    speed: Speed,
) -> Estimate:
    """Estimate the cells that are not done, each distinct one once, over `concurrent` slots.

    `trained` names those that are only to be evaluated, because another run is trained alike.
    """
    workload, resources = plans[0].workload, plans[0].resources
    overhead = OVERHEAD_SECONDS["trial" if resources.workers == 1 else "workers"]
    specs = {name: cell.spec for name, cell in jobs_of(plans).items() if name not in done}
    packs = packed(workload, specs, concurrent)

    whole = {}
    for names in packs:
        of_pack = {name: specs[name] for name in names}
        operations = _operations(workload, of_pack, train_images, trained)
        recording = RECORDING_SECONDS * (len(names) - 1)
        whole[names] = operations / speed.operations_per_second + overhead + recording

    total = sum(whole.values())
    longest = max(whole.values(), default=0.0)
    gpus = resources.workers * resources.gpus_per_worker
    wall = max(total / max(concurrent, 1), longest)
    seconds = {name: whole[names] / len(names) for names in packs for name in names}
    return Estimate(seconds, len(packs), concurrent, wall, total * gpus / 3600, speed.basis)


def _operations(
    workload: AnyWorkload,
    specs: Mapping[str, Specification],
    train_images: int,
    trained: Collection[str],
) -> float:
    if isinstance(workload, TrainedTogether):
        return workload.cost(list(specs.values()))
    assert isinstance(workload, TrainedAlone), "the two kinds that there are"
    return sum(
        workload.operations(spec, train_images, trained=name in trained)
        for name, spec in specs.items()
    )


def _operations_done(record: RunRecord) -> float:
    """Return the operations of a record's run; 0 if they cannot be told.

    They cannot where this version no longer reads its specification, where no images were counted,
    and where an own encoder is no longer there.
    """
    workload = workload_named(record.workload)
    try:
        spec = workload.read(record.spec)
        if isinstance(workload, TrainedTogether):
            return workload.cost([spec])
        return workload.operations_done(spec, record.history)
    except SpecError:
        return 0.0
