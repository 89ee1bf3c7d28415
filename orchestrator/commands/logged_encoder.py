"""The encoder of a run as MLflow keeps it where `--log-model` asks for that."""

from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.tracking.encoder_model import LoggedEncoder
from workloads.catalog import workload_named
from workloads.workload import TrainedAlone

__all__ = ["logged_encoder"]


def logged_encoder(record: RunRecord, storage: Storage) -> LoggedEncoder | None:
    """Return the trained encoder; None of a workload without one, and where its state is gone."""
    workload = workload_named(record.workload)
    weights = workload.weights if isinstance(workload, TrainedAlone) else None
    kept = RunFolder(storage, record.state_of).own_checkpoint()
    if weights is None or kept is None:
        return None
    network, side = weights.network(kept.state, workload.read(record.spec))
    return LoggedEncoder(network, side)
