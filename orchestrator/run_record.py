"""The records of runs, as all rooms know them; what writes them is `workloads.run_record`."""

from collections.abc import Mapping

from workloads.run_record import (
    DEFAULT_WORKLOAD,
    SCORE,
    EvaluationRecord,
    Machine,
    Metrics,
    RunRecord,
    Status,
)

__all__ = [
    "DEFAULT_WORKLOAD",
    "SCORE",
    "EvaluationRecord",
    "Machine",
    "Metrics",
    "Records",
    "RunRecord",
    "Status",
]

Records = Mapping[str, RunRecord | None]  # by fingerprint; None for a run that has not ended
