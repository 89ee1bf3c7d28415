"""Pages of several sweeps in a folder, with the scorecard as their index."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.page import say_page, write_page, write_report_page
from orchestrator.commands.report import judged, report_files, report_in_file
from orchestrator.commands.result import Finished
from orchestrator.commands.search import SEARCH, write_search_page
from orchestrator.errors import PlanError
from orchestrator.report.collect import Report
from orchestrator.report.page.scorecard import Entry, scorecard_page
from orchestrator.stages import stage
from orchestrator.storage import Storage
from orchestrator.storage.sweeps import kept_sweeps
from orchestrator.verdicts import with_q_values

__all__ = ["pages_again", "pages_on"]

INDEX = "index.html"


def pages_on(storage: Storage, console: Console, folder: Path) -> Finished:
    """Write the page of the latest sweep of each ablation, of the latest search, and the index.

    q-values are over all claims, as `verdicts` has them. Raises PlanError when the storage has no
    sweep.
    """
    _check(folder)
    reports = judged([], storage, partial(print_line, console, style="yellow"))
    named = [(report.ablation.name, report, report_files(report)) for report in reports]
    searches = []
    if kept_sweeps(storage, SEARCH):
        searches.append(write_search_page(storage, folder, index=INDEX))
    return _written(named, folder, console, searches)


def pages_again(below: Path, console: Console, folder: Path) -> Finished:
    """Write the pages of all `report.json` in the folders of a folder, judged anew, and the index.

    Pictures beside them are taken as they are. Raises PlanError where there is none.
    """
    _check(folder)
    files = [file for file in sorted(below.glob("*/report.json")) if _is_report(file)]
    if not files:
        raise PlanError([f"{below}: has no report of an ablation, NAME/report.json"])
    found = [report_in_file(file) for file in files]
    adjusted = iter(with_q_values([one for report in found for one in report.verdicts]))
    named = [
        (
            file.parent.name,
            replace(report, verdicts=tuple(islice(adjusted, len(report.verdicts)))),
            {picture.name: picture.read_bytes() for picture in file.parent.glob("*.png")},
        )
        for file, report in zip(files, found, strict=True)
    ]
    return _written(named, folder, console, ())


def _written(
    named: Sequence[tuple[str, Report, dict[str, bytes]]],
    folder: Path,
    console: Console,
    others: Sequence[Path],
) -> Finished:
    entries = []
    stage("writing the pages")
    for name, report, files in named:
        file = write_report_page(report, files, folder / f"{name}.html", index=INDEX)
        print_line(console, f"{name}: {file}")
        entries.append(Entry(report, file.name, files.get("report.png")))
    index = folder / INDEX
    write_page(index, scorecard_page(entries, [file.name for file in others]))
    say_page(index, console)
    pages = [str(folder / entry.page) for entry in entries] + [str(file) for file in others]
    return Finished(0, {"index": str(index), "pages": pages})


def _check(folder: Path) -> None:
    if folder.suffix.lower() in (".html", ".htm") or folder.is_file():
        raise PlanError([f"--html {folder}: several pages are written, and this is no folder"])


def _is_report(file: Path) -> bool:
    """Tell a report of an ablation from one of a search or an inspection."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "ablation" in document and "plan" in document
