"""A report in words and tables: the same for a terminal and for Markdown."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.report.collect import Report
from orchestrator.report.facts import facts, subtitle
from orchestrator.report.tables import TextTable, result_tables, verdict_tables

__all__ = ["STYLES", "markdown", "print_report", "subtitle"]

STYLES = {"reproduced": "green", "contradicted": "red", "undecided": "yellow", "not asked": "dim"}


def print_report(report: Report, console: Console) -> None:
    """Print the report on a terminal."""
    console.print(Text(f"{report.ablation.title} ({report.ablation.source})", style="bold"))
    for name, fact in facts(report):
        console.print(Text.assemble((f"{name}: ", "dim"), fact), soft_wrap=True)
    for table in result_tables(report):
        console.print(_terminal_table(table))
    for one in report.verdicts:
        sentence = (one.sentence, STYLES[one.verdict])
        console.print(Text.assemble(f"{one.claim.statement} ", sentence), soft_wrap=True)
    for problem in report.problems:
        console.print(Text(f"failed: {problem}"), soft_wrap=True)


def markdown(report: Report, picture: str, curves: str | None = None) -> str:
    """Return the report as Markdown.

    `picture` and `curves` are the file names of the figure and of the picture of training curves,
    if there is one.
    """
    title = report.ablation.title
    lines = [f"# {title}", ""]
    lines += [f"- **{name}:** {fact}" for name, fact in facts(report)]
    lines += [f"- **Command:** `{report.plan['command']}`", ""]
    lines += [f"![{title}]({picture})", ""]
    if curves:
        lines += [f"![Training curves]({curves})", ""]

    for table in result_tables(report):
        lines += _markdown_table("##", table, numbers=True)
    if report.verdicts:
        claims, *comparisons = verdict_tables(report)
        lines += _markdown_table("##", claims, numbers=False)
        for table in comparisons:
            lines += _markdown_table("###", table, numbers=False)
    if report.problems:
        lines += ["## Failed cells", "", *[f"- {problem}" for problem in report.problems], ""]
    return "\n".join(lines)


def _terminal_table(table: TextTable) -> Table:
    shown = Table(
        title=table.title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=0
    )
    for index, column in enumerate(table.header):
        shown.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*(text.replace(" ± ", "±") for text in row))
    return shown


def _markdown_table(heading: str, table: TextTable, *, numbers: bool) -> list[str]:
    """The lines of a table with its heading; columns of numbers stand to the right."""
    title = f"{table.title[0].upper()}{table.title[1:]}"
    rule = ["---", *["---:" if numbers else "---"] * (len(table.header) - 1)]
    rows = [_row(row) for row in table.rows]
    return [f"{heading} {title}", "", _row(table.header), _row(rule), *rows, ""]


def _row(values: Iterable[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"
