"""Runs that have ended, as a table and one by one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.asked import refusing, storage_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from orchestrator.api.encoder import Encoder
    from orchestrator.run_record import RunRecord
    from orchestrator.storage import Storage

__all__ = ["Run", "run_in", "runs", "table_of"]


@dataclass(frozen=True)
class Run:
    """One run that has finished: results by name, and every field of `spec` by its dotted path."""

    fingerprint: str
    name: str
    results: Mapping[str, float]
    spec: Mapping[str, Any] = field(repr=False)
    seconds: float | None
    _history: "tuple[Mapping[str, float], ...]" = field(repr=False)
    _storage: "Storage" = field(repr=False)

    @property
    def history(self) -> "DataFrame":
        """A row for each epoch, with what was logged of it."""
        from pandas import DataFrame

        return DataFrame(list(self._history))

    def encoder(self, *, device: str | None = None) -> "Encoder":
        """Return its trained encoder, as `orchestrator.api.encoder` does."""
        from orchestrator.api.encoder import encoder

        return encoder(self.fingerprint, self._storage.uri, device=device)


def runs(storage: str | Path | None = None) -> "DataFrame":
    """Return a row for each run of a storage that has ended, by its fingerprint.

    Columns: `name`, `status`, `workload`, `ended`, `seconds`; each field of the specification by
    its dotted path, such as `loss.temperature`; and each result, such as `linear_top1`. What a run
    does not have is missing. Raises StorageError where the storage cannot be read.
    """
    from orchestrator.storage.runs import all_records

    with refusing():
        return table_of(all_records(storage_of(storage)))


def table_of(records: "Iterable[RunRecord]") -> "DataFrame":
    """Return a row for each record, as `runs` has them."""
    from pandas import DataFrame, Index

    from workloads.spec import flatten

    records = list(records)
    rows = [
        {
            "name": record.name,
            "status": record.status,
            "workload": record.workload,
            "ended": record.ended,
            "seconds": record.total_seconds,
            **flatten(dict(record.spec)),
            **record.results,
        }
        for record in records
    ]
    index = Index([record.fingerprint for record in records], name="fingerprint", dtype="object")
    return DataFrame(rows, index=index)


def run_in(fingerprint: str, storage: "Storage") -> Run:
    """Read a finished run. Raises PlanError when it has not finished."""
    from orchestrator.storage.runs import finished_record
    from workloads.spec import flatten

    record = finished_record(fingerprint, storage)
    return Run(
        fingerprint=record.fingerprint,
        name=record.name,
        results=dict(record.results),
        spec=flatten(dict(record.spec)),
        seconds=record.total_seconds,
        _history=tuple(record.history),
        _storage=storage,
    )
