"""Runs that are asked for anew with more epochs than a finished one has: why they begin anew."""

from collections.abc import Iterable, Sequence

from orchestrator.plan.cells import PlannedCell
from orchestrator.run_record import RunRecord
from workloads.spec import SpecError
from workloads.workload import AnyWorkload, Specification, TrainedAlone

__all__ = ["why_anew"]

EPOCHS = "schedule.epochs"


def why_anew(
    workload: AnyWorkload, cells: Iterable[PlannedCell], records: Sequence[RunRecord]
) -> str | None:
    """Say of cells that are not done why a finished run with fewer epochs is not continued.

    None where none of them differs from a finished run in nothing but more epochs.
    """
    if not isinstance(workload, TrainedAlone):
        return None
    finished = [
        record
        for record in records
        if record.has_finished and record.workload == workload.name and record.weights is None
    ]
    for cell in cells:
        wanted = cell.spec.flat().get(EPOCHS)
        if not wanted:
            continue
        for record in finished:
            before = _epochs_of(record)
            if 0 < before < wanted and _is_alike(workload, cell.spec, record, wanted):
                short = record.fingerprint[:12]
                return (
                    f"{cell.name}: {wanted} epochs begin anew, though run {short} has {before}: "
                    "each step of the cosine schedule depends on the whole length; to begin with "
                    f"that run's weights instead: --set init.weights={short}"
                )
    return None


def _epochs_of(record: RunRecord) -> int:
    schedule = record.spec.get("schedule")
    epochs = schedule.get("epochs", 0) if isinstance(schedule, dict) else 0
    return epochs if isinstance(epochs, int) else 0


def _is_alike(
    workload: TrainedAlone[Specification], spec: Specification, record: RunRecord, epochs: int
) -> bool:
    """Tell whether a finished run would have been trained as `spec` is, with as many epochs."""
    if record.spec.get("seed") != spec.seed:
        return False
    try:
        longer = workload.read(record.spec).with_values({EPOCHS: epochs})
    except SpecError:
        return False  # of another version
    return workload.trained_as(longer) == workload.trained_as(spec)
