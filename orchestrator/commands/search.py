"""The report of a search: its table, its files and its page."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.commands.consoles import print_line
from orchestrator.commands.page import page_at, say_page, write_page
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.plan import Plan
from orchestrator.plan.space import assignments_of, setting_name
from orchestrator.report.figures.ablation import picture_files
from orchestrator.report.figures.searched import pictures_of
from orchestrator.report.page.search_page import search_page
from orchestrator.report.searched import (
    Searched,
    as_tree,
    markdown_of,
    options_of,
    order_of,
    searched,
)
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.sweeps import kept_search, latest_sweep
from orchestrator.tracking.shown import ANSWER
from workloads.catalog import workload_named

__all__ = [
    "SEARCH",
    "kept_search_report",
    "print_search",
    "search_report",
    "write_search_page",
]

SEARCH = "tune"  # the name of searches among sweeps
FILES = ("report.md", "report.json")


def search_report(
    storage: Storage,
    console: Console,
    *,
    sweep: str | None,
    output: Path | None = None,
    html: Path | None = None,
) -> Finished:
    """Print what a search has found, the latest unless named, and write its files.

    `html` is the file or folder of its page, if one is wanted. Raises PlanError when the storage
    has no such search, or it asked nothing yet.
    """
    found = _kept_search(storage, sweep)
    print_search(found, console)

    folder = f"sweeps/{SEARCH}/{found.plan['sweep']}"
    where = storage.shown(folder) if output is None else str(output)
    files = _files(found)
    for name, content in files.items():
        if output is None:
            storage.write_bytes(f"{folder}/{name}", content)
        else:
            output.mkdir(parents=True, exist_ok=True)
            (output / name).write_bytes(content)
    console.print(f"report: {where}/report.md", highlight=False, soft_wrap=True)
    more = {}
    if html is not None:
        page = _write_page(found, files, html)
        say_page(page, console)
        more = {"page": str(page)}
    return Finished(0, as_tree(found) | {"files": where} | more)


def write_search_page(storage: Storage, html: Path, *, index: str) -> Path:
    """Write the page of the latest search, which names the index of pages; returns its place."""
    found = _kept_search(storage, None)
    return _write_page(found, _files(found), html, index=index)


def _write_page(
    found: Searched, files: Mapping[str, bytes], html: Path, *, index: str = ""
) -> Path:
    file = page_at(html, SEARCH)
    write_page(file, search_page(found, files, index=index))
    return file


def _kept_search(storage: Storage, sweep: str | None) -> Searched:
    """What a search has left, the latest unless named."""
    plan = latest_sweep(storage, SEARCH, sweep)
    search = kept_search(storage, SEARCH, plan["sweep"])
    if search is None:
        raise PlanError(
            [
                f"{SEARCH}: {storage.shown()} has no history of the search {plan['sweep']}; the "
                "same `simclr-orch tune` makes one, and takes over its runs"
            ]
        )
    best = search.study.best
    records = {
        cell["fingerprint"]: RunFolder(storage, cell["fingerprint"]).record()
        for cell in plan["cells"]
        if best is not None and cell["at"][0] == setting_name(best.setting)
    }
    return searched(plan, search, records)


def kept_search_report(plan: Plan, storage: Storage) -> dict[str, bytes]:
    """Read the files that `search_report` has left of a search, by name."""
    folder = f"sweeps/{SEARCH}/{plan.sweep_id}"
    names = [
        name for name in storage.list(folder) if name in FILES or name.endswith((".png", ".svg"))
    ]
    found = {name: storage.read_bytes(f"{folder}/{name}") for name in names}
    files = {name: content for name, content in found.items() if content is not None}
    best = json.loads(files.get("report.json", b"{}")).get("best")
    if best is not None:
        score = f"{best['validation_score']:.1f}"
        files[ANSWER] = f"- **best**: {best['setting']}, {score} on validation images".encode()
    return files


def print_search(found: Searched, console: Console) -> None:
    """Print a table of all settings, what mattered, and the options of the best."""
    table = Table("setting", "epochs", "validation, %", "status", box=None)
    for trial in order_of(found):
        table.add_row(
            Text("\n".join(assignments_of(trial.setting))),
            str(found.epochs(trial)),
            f"{trial.scores[-1]:.1f}" if trial.scores else "",
            found.status(trial),
        )
    console.print(table)
    for field, share in found.importance.items():
        console.print(f"importance {field}: {100 * share:.0f} %", highlight=False, markup=False)
    if (best := found.best) is not None:
        print_line(console, f"best: {options_of(best)}")
        headline = workload_named(found.plan.get("workload", "simclr")).headline[0]
        if (test := found.test.get(headline)) is not None:
            console.print(f"its {headline.replace('_', ' ')} on the test images: {test:.1f} %")


def _files(found: Searched) -> dict[str, bytes]:
    figures = pictures_of(found)
    pictures = {stem: f"{stem}.png" for stem in figures}
    return {
        "report.md": markdown_of(found, pictures).encode(),
        "report.json": (json.dumps(as_tree(found), indent=2) + "\n").encode(),
        **picture_files(figures),
    }
