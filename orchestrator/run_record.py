"""What a run leaves: the record of one cell that has ended, and how its results are read."""

from collections.abc import Mapping
from typing import Any

from search_spaces import Ablation

__all__ = ["SCORE", "Record", "Records", "counts", "result_of"]

Record = Mapping[str, Any]
Records = Mapping[str, Record | None]

SCORE = "validation_score"


def counts(record: Record, ablation: Ablation) -> bool:
    """Whether a finished run says anything on claims: it has converged, where that is asked."""
    return ablation.counts_if is None or result_of(record, ablation.counts_if) == 1


def result_of(record: Record, metric: str) -> float | None:
    """A run's result by name, or what it logged under that name in its last epoch; None when there
    is none.
    """
    last = record["history"][-1] if record["history"] else {}
    value = record["results"].get(metric, last.get(metric))
    return None if value is None else float(value)
