"""A page: where it is written, and what is said of it."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.example_views import views_of
from orchestrator.errors import PlanError
from orchestrator.report.collect import Report
from orchestrator.report.page.payload import plotly_text
from orchestrator.report.page.report_page import report_page

__all__ = ["WITHOUT_PLOTLY", "page_at", "say_page", "write_page", "write_report_page"]

WITHOUT_PLOTLY = (
    "the page has pictures in place of charts that answer to the pointer, for plotly is not "
    "installed; it comes with: pip install -e '.[html]'"
)


def page_at(html: Path, name: str) -> Path:
    """Return the file of a page: as given where that ends in .html, else in that folder."""
    if html.suffix.lower() in (".html", ".htm") and not html.is_dir():
        return html
    return html / f"{name}.html"


def write_report_page(
    report: Report, files: Mapping[str, bytes], html: Path, *, index: str = ""
) -> Path:
    """Write the page of a report, whose other files are given; returns where it lies.

    Raises PlanError where it cannot be written.
    """
    file = page_at(html, report.ablation.name)
    write_page(file, report_page(report, files, views_of(report), index=index))
    return file


def write_page(file: Path, text: str) -> None:
    """Write a page, and the folder that it lies in. Raises PlanError where that cannot be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlanError([f"--html {file}: cannot be written: {error.strerror}"]) from None


def say_page(file: Path, console: Console) -> None:
    """Say where a page lies, and what it lacks."""
    print_line(console, f"page: {file}")
    if plotly_text() is None:
        print_line(console, WITHOUT_PLOTLY, style="yellow")
