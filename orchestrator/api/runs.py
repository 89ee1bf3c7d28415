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
    storage: str | Path | None = None,
    *,
    where: str | None = None,
    sort: str | None = None,
    columns: Sequence[str] | None = None,
    top: int | None = None,
) -> "DataFrame":
    """Return a row for each run of a storage that has begun, by its fingerprint.

    Columns: `name`, `status`, `ablation` (all that asked for it, with commas between), `workload`,
    `preset`, `seed`, `started`, `ended`, `duration` in seconds, `error` and `trained_by`; each
    field of the specification by its dotted path, such as `loss.temperature`; and each metric, such
    as `linear_top1`; or else those that `columns` names. What a run does not have is missing.
    `where`, `sort` and `top` are those of `simclr-orch runs`: "loss.temperature < 0.5 and status ==
    finished", "linear_top1,seed:desc".

    Raises QueryError for an expression that cannot be read or names what no run has, and
    StorageError where the storage cannot be read.
    """
    from orchestrator.commands.runs import RunsQuestion, asked_rows
    from orchestrator.storage.query import check_fields
    from orchestrator.storage.rows import run_rows

    with refusing():
        everything = run_rows(storage_of(storage))
        if columns is not None:
            check_fields(columns, everything, "columns")
        rows, _ = asked_rows(RunsQuestion(where=where, sort=sort, top=top), everything)
    return table_of(rows, columns)


def table_of(rows: "Sequence[RunRow]", columns: Sequence[str] | None = None) -> "DataFrame":
    """Return a row for each run, as `runs` has them, with all fields unless some are named."""
    from pandas import DataFrame, Index

    from orchestrator.storage.query import fields_of

    names = [name for name in fields_of(rows) if name != "fingerprint"]
    table = {
        name: [_plain(row.value(name)) for row in rows]
        for name in (names if columns is None else columns)
    }
    index = Index([row.fingerprint for row in rows], name="fingerprint", dtype="object")
    return DataFrame(table, index=index)


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
