"""Runs that are in the storage: list them, and show MLflow's pages on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.result import Finished
from orchestrator.commands.run_files import csv_text, trees, write_parquet
from orchestrator.commands.run_quantities import Quantities
from orchestrator.commands.run_table import print_table
from orchestrator.ending import noted_endings
from orchestrator.errors import PlanError
from orchestrator.settings import Settings
from orchestrator.storage.files import Storage
from orchestrator.storage.query import check_fields, newest_first, rows_where, sorted_rows
from orchestrator.storage.rows import RunRow, run_rows
from workloads.plural import counted

if TYPE_CHECKING:
    from orchestrator.tracking import Dashboard

__all__ = ["RunsQuestion", "asked_rows", "list_runs", "serve_dashboard"]


@dataclass(frozen=True)
class RunsQuestion:
    """Which runs are listed, in which order, with which columns, and in which form.

    None for what is not asked: all runs, the newest first, columns that tell them apart, a table.
    """

    where: str | None = None
    sort: str | None = None
    columns: str | None = None
    top: int | None = None
    as_csv: bool = False
    as_json: bool = False
    parquet: Path | None = None


def list_runs(question: RunsQuestion, storage: Storage, console: Console) -> Finished:
    """List the runs of the storage that have begun, as a table, CSV or Parquet.

    Raises PlanError, or QueryError for fields and expressions that are not known.
    """
    if question.as_csv + question.as_json + (question.parquet is not None) > 1:
        raise PlanError(["--csv, --parquet and --json: one of them at a time"])
    everything = run_rows(storage)
    columns = None
    if question.columns is not None:
        columns = [name.strip() for name in question.columns.split(",")]
        check_fields(columns, everything, "--columns")
    rows, quantities = asked_rows(question, everything)

    if question.as_csv:
        console.file.write(csv_text(rows, columns))
    elif question.parquet is not None:
        write_parquet(rows, columns, question.parquet)
        console.print(
            f"{counted(len(rows), 'run')}: {question.parquet}", highlight=False, soft_wrap=True
        )
    elif rows and not question.as_json:
        print_table(rows, console, columns, quantities)
    elif not rows:
        none = f"none of {counted(len(everything), 'run')} fits" if everything else "no runs"
        console.print(f"{none} in {storage.shown()}", highlight=False, soft_wrap=True)
    return Finished(0, {"runs": trees(rows, columns)} if question.as_json else {})


def asked_rows(
    question: RunsQuestion, rows: Sequence[RunRow]
) -> tuple[Sequence[RunRow], Quantities]:
    """Return the runs that are asked for, in their order, and what their results are called.

    Raises QueryError for fields and expressions that are not known.
    """
    if question.where is not None:
        rows = rows_where(rows, question.where)
    quantities = Quantities.of(rows)
    if question.sort is not None:
        rows = sorted_rows(rows, question.sort, lower_is_better=quantities.lower_is_better)
    else:
        rows = newest_first(rows)
    return rows[: question.top], quantities


def serve_dashboard(
    settings: Settings,
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    console: Console,
    name: str | None = None,
) -> Finished:
    """Start MLflow's pages, print their addresses, and serve until interrupted.

    With the name of an experiment, the addresses of its answer are printed. Raises PlanError for
    one that is not recorded, before anything is started.
    """
    from orchestrator.tracking import start_dashboard
    from orchestrator.tracking.answers import pages_of

    storage = Storage(settings.storage)
    pages = pages_of(settings.tracking_uri, storage, name)
    with noted_endings() as ending:
        board = start_dashboard(
            settings.tracking_uri,
            storage,
            host=host,
            port=port,
            allowed_hosts=allowed_hosts,
            ending=ending,
        )
        try:
            _print_addresses(console, board, pages)
            code = board.wait(ending)
        except KeyboardInterrupt:
            code = 0
        finally:
            board.stop()
    return Finished(1 if code else 0, {"address": board.address})


def _print_addresses(console: Console, board: "Dashboard", pages: Mapping[str, str]) -> None:
    console.print(f"MLflow: {board.address}  (Ctrl-C ends it)", highlight=False, soft_wrap=True)
    for what, path in pages.items():
        print_line(console, f"{what}: {board.address}{path}")
    if others := board.addresses[1:]:
        shown = ", ".join(others)
        text = f"from other machines: {shown}; any other name needs --allowed-host NAME"
        console.print(text, highlight=False, soft_wrap=True)
