"""The runs of a storage, as a table and one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.asked import refusing, storage_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from orchestrator.api.encoder import Encoder
    from orchestrator.storage import Storage
    from orchestrator.storage.rows import RunRow

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


def runs(
    storage: str | Path | None = None, *, where: str | None = None, sort: str | None = None
) -> "DataFrame":
    """Return a row for each run of a storage, by its fingerprint; one that goes on is unfinished.

    Columns: `name`, `status`, `ablation` (the names of all that asked for it, with commas),
    `workload`, `preset`, `seed`, `started`, `ended`, `duration` in seconds, `error` and
    `trained_by`; then each field of the specification by its dotted path, such as
    `loss.temperature`; then each metric, such as `linear_top1`. What a run does not have is
    missing. `where` and `sort` are those of `simclr-orch runs`: "loss.temperature < 0.5 and status
    == finished", "linear_top1,seed:desc".

    Raises QueryError for an expression that cannot be read or names what no run has, and
    StorageError where the storage cannot be read.
    """
    from orchestrator.storage.query import rows_where, sorted_rows
    from orchestrator.storage.rows import run_rows

    with refusing():
        rows = run_rows(storage_of(storage))
        if where is not None:
            rows = rows_where(rows, where)
        if sort is not None:
            rows = sorted_rows(rows, sort)
    return table_of(rows)


def table_of(rows: "Sequence[RunRow]") -> "DataFrame":
    """Return a row for each run, as `runs` has them."""
    from pandas import DataFrame, Index

    from orchestrator.storage.query import fields_of

    names = [name for name in fields_of(rows) if name != "fingerprint"]
    columns = {name: [_plain(row.value(name)) for row in rows] for name in names}
    index = Index([row.fingerprint for row in rows], name="fingerprint", dtype="object")
    return DataFrame(columns, index=index)


def _plain(value: Any) -> Any:
    """Return a list as text, which tables can be filtered and grouped by."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


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
