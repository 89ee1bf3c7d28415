"""Rows of runs for other programs: CSV, Parquet and plain values, under names that stay.

Fields have their own names, without units; times are texts as ISO 8601 has them, in UTC.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import PlanError
from orchestrator.storage.query import fields_of
from orchestrator.storage.rows import RunRow
from workloads.local_files import replaced

__all__ = ["csv_text", "trees", "write_parquet"]


def csv_text(rows: Sequence[RunRow], columns: Sequence[str] | None) -> str:
    """Return rows as CSV, all fields unless some are named.

    What is missing is empty; the elements of a list have commas between them.
    """
    columns = columns or fields_of(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row.value(name)) for name in columns])
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    match value:
        case bool():
            return str(value).lower()
        case list() | tuple() if all(isinstance(one, str | int | float) for one in value):
            return ", ".join(map(str, value))
        case list() | tuple() | dict():
            return json.dumps(value)
    return value


def write_parquet(rows: Sequence[RunRow], columns: Sequence[str] | None, path: Path) -> None:
    """Write rows as Parquet, all fields unless some are named; texts where kinds are mixed.

    Raises PlanError where the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    def column(name: str) -> pa.Array:
        values = [row.value(name) for row in rows]
        try:
            found = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            found = pa.array([None if one is None else str(_csv_cell(one)) for one in values])
        return found.cast(pa.string()) if pa.types.is_null(found.type) else found

    table = pa.table({name: column(name) for name in columns or fields_of(rows)})
    try:
        with replaced(path) as partial:
            parquet.write_table(table, partial)
    except OSError as error:
        raise PlanError([f"--parquet {path}: cannot be written: {error.strerror}"]) from None


def trees(rows: Sequence[RunRow], columns: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return rows as JSON has them: the named fields, else all that is known of each."""
    if columns:
        return [{name: row.value(name) for name in columns} for row in rows]
    return [_tree(row) for row in rows]


def _tree(row: RunRow) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "fingerprint": row.fingerprint,
        "name": row.name,
        "workload": row.workload,
        "status": row.status,
        "ablations": list(row.ablations),
        "sweeps": list(row.sweeps),
        "preset": row.preset,
        "seed": row.seed,
    }
    if row.status == "failed":
        tree["error"] = row.error
    else:
        tree["results"] = dict(row.results)
    tree |= {"started": row.started, "ended": row.ended, "duration": row.duration}
    if row.status != "finished":
        tree |= {"epoch": row.epoch, "epochs": row.epochs}
    if row.machine is not None:
        tree["machine"] = dict(row.machine)
    return {
        **{name: value for name, value in tree.items() if value is not None},
        "logged": dict(row.logged),
        "spec": dict(row.spec),
    }
