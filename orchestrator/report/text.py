"""A report in words and tables: the same for a terminal and for Markdown."""

import textwrap
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.report.brief import (
    brief,
    claim_lines,
    comparison_text,
    short_answer,
    spread_text,
)
from orchestrator.report.collect import Report
from orchestrator.report.document import VerdictDocument, as_json
from orchestrator.report.facts import facts, subtitle
from orchestrator.report.tables import ORDER, TextTable, result_tables, verdict_tables

__all__ = ["STYLES", "markdown", "print_report", "print_verdicts", "shortened", "subtitle"]

SHOWN_OF_FACTS = 240  # characters: three lines of a narrow terminal
# Facts without which numbers are read as what they are not; the others are in the short answer.
NEVER_LEFT_OUT = ("Left out of the data", "How the data were read", "Judged again", "Uncounted")

STYLES = {
    "reproduced": "green",
    "contradicted": "red",
    "alike": "cyan",
    "undecided": "yellow",
    "not asked": "dim",
}


def print_report(report: Report, console: Console, *, details: bool = False) -> None:
    """Print the report on a terminal: the table and a short answer, a line a claim.

    With `details` every fact and every comparison, too.
    """
    document = as_json(report)
    console.print(Text(f"{report.ablation.title} ({report.ablation.source})", style="bold"))
    if not details:
        _print_lines([report.ablation.question], console)
    for name, fact in facts(report):
        if details:
            console.print(Text.assemble((f"{name}: ", "dim"), fact), soft_wrap=True)
        elif name in NEVER_LEFT_OUT:
            _print_lines([f"{name}: {shortened(fact, SHOWN_OF_FACTS)}"], console)
    for table in result_tables(report):
        _print_lines([table.title], console)
        console.print(_terminal_table(table))
    if details:
        _print_details(document["verdicts"], console)
    else:
        _print_lines(short_answer(document), console)
    for problem in report.problems:
        console.print(Text(f"failed: {problem}"), soft_wrap=True)


def print_verdicts(
    documents: Sequence[VerdictDocument], console: Console, *, details: bool = False
) -> None:
    """Print claims with their verdicts, one below the other: verdict, claim, and why in short.

    With `details` each comparison follows, those that hold last.
    """
    if details:
        _print_details(documents, console)
    else:
        _print_lines(claim_lines(documents), console)


def _print_lines(lines: Iterable[str], console: Console) -> None:
    """Print each line in as many as it needs, broken between words, its first word in colour."""
    for line in lines:
        head, colon, _rest = line.partition(":")
        wrapped = textwrap.wrap(
            line,
            max(console.width, 20),
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = Text("\n".join(wrapped))
        text.stylize(STYLES.get(head, "dim" if colon else ""), 0, len(head) + 1)
        console.print(text, soft_wrap=True)


def _print_details(documents: Iterable[VerdictDocument], console: Console) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for one in documents:
        style = STYLES[one["verdict"]]
        table.add_row(Text(one["verdict"], style=style), Text(one["claim"]))
        table.add_row("", Text(brief(one), style=style))
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
    shown = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
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
