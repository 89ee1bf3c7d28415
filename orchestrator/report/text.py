"""A report in words and tables: the same for a terminal and for Markdown."""

import textwrap
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.report.brief import brief, comparison_text, spread_text
from orchestrator.report.collect import Report
from orchestrator.report.document import VerdictDocument, verdicts_json
from orchestrator.report.facts import facts, subtitle
from orchestrator.report.tables import ORDER, TextTable, result_tables, verdict_tables

__all__ = ["STYLES", "markdown", "print_report", "print_verdicts", "shortened", "subtitle"]

SHOWN_OF_FACTS = 240  # characters: three lines of a narrow terminal

STYLES = {
    "reproduced": "green",
    "contradicted": "red",
    "alike": "cyan",
    "undecided": "yellow",
    "not asked": "dim",
}


def print_report(report: Report, console: Console, *, details: bool = False) -> None:
    """Print the report on a terminal: a line a claim; with `details` every comparison, too.

    Facts that are long are cut without `details`.
    """
    console.print(Text(f"{report.ablation.title} ({report.ablation.source})", style="bold"))
    for name, fact in facts(report):
        text = fact if details else shortened(fact, SHOWN_OF_FACTS)
        console.print(Text.assemble((f"{name}: ", "dim"), text), soft_wrap=True)
    for table in result_tables(report):
        console.print(_terminal_table(table))
    print_verdicts(verdicts_json(report), console, details=details)
    for problem in report.problems:
        console.print(Text(f"failed: {problem}"), soft_wrap=True)


def print_verdicts(
    documents: Iterable[VerdictDocument], console: Console, *, details: bool = False
) -> None:
    """Print claims with their verdicts, one below the other: verdict, claim, and why in short.

    With `details` each comparison follows, those that hold last.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for one in documents:
        style = STYLES[one["verdict"]]
        table.add_row(Text(one["verdict"], style=style), Text(one["claim"]))
        table.add_row("", Text(brief(one), style=style))
        if details:
            table.add_row("", Text(one["sentence"]))
            if spread := spread_text(one):
                table.add_row("", Text(spread))
            for each in sorted(one["comparisons"], key=lambda each: ORDER[each["verdict"]]):
                text = Text(comparison_text(each), style=STYLES[each["verdict"]])
                table.add_row("", Padding(Text(each["comparison"]), (0, 0, 0, 2)))
                table.add_row("", Padding(text, (0, 0, 0, 4)))
    console.print(table)


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


def shortened(text: str, most: int) -> str:
    """Return a text of that many characters at most, cut between words."""
    return textwrap.shorten(text, most, placeholder=" ... (--long)") if len(text) > most else text


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
