"""A report in words and tables: the same for a terminal and for Markdown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.plan.kept import workload_of_plan
from orchestrator.report.collect import Report
from orchestrator.report.quantities import Quantity, metric_quantity, quantity
from orchestrator.report.summary import Summary, listed
from orchestrator.verdicts.rank_correlation import Similarity
from search_spaces import Ablation, Comparison
from workloads.catalog import workload_named

__all__ = ["STYLES", "markdown", "print_report", "subtitle"]

STYLES = {"reproduced": "green", "contradicted": "red", "undecided": "yellow", "not asked": "dim"}
SHOWN_COMPARISONS = 12
SHOWN_CELLS = 12


def _cell_text(cell: Summary | None, metric: Quantity) -> str:
    """A cell in the table: mean, sample standard deviation where there are seeds for it, and what
    is not there.
    """
    if cell is None:
        return ""
    parts = []
    if cell.mean is not None:
        parts.append(
            metric.text(cell.mean)
            + (f" ± {metric.text(cell.spread)}" if cell.spread is not None else "")
        )
    for word, runs in (
        ("uncounted", cell.uncounted),
        ("failed", cell.failed),
        ("missing", cell.missing),
    ):
        if runs:
            parts.append(f"{runs} {word}" if cell.n else word)
    return ", ".join(parts) or "missing"


def subtitle(report: Report) -> str:
    """Data and setting in one line for the figure, whose caption says n and spread."""
    return f"{report.plan['data']['title']} · {_setting(report)}"


def _setting(report: Report) -> str:
    return workload_of_plan(report.plan).setting(report.plan["base"])


@dataclass(frozen=True)
class _Block:
    """One table: a title, a header and rows of text, the same for the terminal and for Markdown."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _blocks(report: Report) -> list[_Block]:
    axes = report.layout.axes
    if len(axes) == 1 or report.ablation.against:
        return [_list_block(report)]
    panels = [(label,) for label in axes[2].labels] if len(axes) == 3 else [()]
    metric = metric_quantity(report.ablation)
    tables = [("this run", {cell.at: _cell_text(cell, metric) for cell in report.cells})]
    if report.has_paper:
        numbers = {
            cell.at: metric.text(cell.paper) for cell in report.cells if cell.paper is not None
        }
        tables.append(("the paper", numbers))
    return [
        _matrix(
            report, f"{whose}, {metric.label}{' · ' + panel[0] if panel else ''}", values, panel
        )
        for panel in panels
        for whose, values in tables
    ]


def _matrix(
    report: Report, title: str, values: Mapping[tuple[str, ...], str], panel: tuple[str, ...]
) -> _Block:
    rows, columns = report.layout.axes[:2]
    body = tuple(
        (row, *(values.get((row, column, *panel), "") for column in columns.labels))
        for row in rows.labels
    )
    return _Block(
        f"{title} (rows: {rows.name}; columns: {columns.name})", ("", *columns.labels), body
    )


def _list_block(report: Report) -> _Block:
    """A row for each cell, with the paper's columns if the paper has numbers."""
    ablation, metric = report.ablation, metric_quantity(report.ablation)
    names = list(dict.fromkeys(name for cell in report.layout.cells for name in cell.paper_more))
    header = [
        " · ".join(axis.name for axis in report.layout.axes),
        f"this run, {metric.unit or metric.name}",
    ]
    header += [*(["paper"] if report.has_paper else []), "n"]
    if ablation.against:
        header.insert(1, quantity(ablation.against).label)
    for name in names:
        header += [quantity(name).name, "paper"]
    rows = []
    for cell, place in zip(report.cells, report.layout.cells, strict=True):
        row = [" · ".join(cell.at), _cell_text(cell, metric)]
        if report.has_paper:
            row.append("" if cell.paper is None else metric.text(cell.paper))
        row.append(str(cell.n))
        if ablation.against:
            row.insert(
                1, quantity(ablation.against).text(fmean(cell.against)) if cell.against else ""
            )
        for name in names:
            mean = report.more.get(cell.at, {}).get(name)
            row += [
                "" if mean is None else quantity(name).text(mean),
                quantity(name).text(place.paper_more[name]),
            ]
        rows.append(tuple(row))
    whose = "this run and the paper" if report.has_paper else "this run"
    return _Block(f"{whose}: {metric.label}", tuple(header), tuple(rows))


def _facts(report: Report) -> list[tuple[str, str]]:
    data = report.plan["data"]
    facts = [
        ("Question", report.ablation.question),
        (
            "Source",
            f"{workload_named(report.ablation.workload).paper.name}, {report.ablation.source}",
        ),
        ("Data", f"{data['title']}: {_inputs(data)}"),
        ("Setting", f"preset {report.plan['preset']}, {_setting(report)}"),
        ("Measured on", "; ".join(report.machines) or "nothing finished"),
        (
            "Seeds",
            f"{', '.join(map(str, report.plan['seeds']))}; ± is the sample standard deviation "
            "over them",
        ),
    ]
    if looks := report.plan.get("looks"):
        changed = (
            " The schedule was another one before: verdicts may exceed their level."
        ) * report.plan.get("looks_changed", False)
        facts.append(
            (
                "Looked at after",
                f"{', '.join(map(str, looks))} seeds, the error spent over the looks.{changed}",
            )
        )
    if report.reference is not None:
        metric = quantity(report.ablation.metric)
        what = (
            f"{metric.unit} top-1"
            if metric.name.endswith("top-1")
            else (f"{metric.unit} {metric.name}").strip()
        )
        facts.append(
            (
                "Untrained",
                f"the same encoder without pre-training: {_cell_text(report.reference, metric)} "
                f"{what}",
            )
        )
    for tuned in report.tuned:
        chosen = ", ".join(f"{path}={_plain(value)}" for path, value in tuned.chosen.items())
        lost = f", {tuned.diverged} diverged" if tuned.diverged else ""
        score = quantity(report.ablation.tuned_by).told(tuned.score, None)
        facts.append(
            (
                f"Tuned {' · '.join(tuned.at)}",
                f"{chosen} ({score} validation, best of {tuned.candidates}{lost})",
            )
        )
    facts += _uncounted(report)
    if report.ablation.extension:
        facts.append(
            ("Extension", "the paper does not ask this question and has no numbers for it")
        )
    if report.layout.note:
        facts.append(("Beside the paper", report.layout.note))
    if report.similarity is not None:
        facts.append(("Rank correlation with the paper", _likeness(report.similarity)))
    if report.differences:
        listed = "; ".join(
            f"{one.field}={one.ours} (paper: {one.paper})" for one in report.differences
        )
        facts.append(("Differs from the paper's setting in", listed))
    return facts


def _inputs(data: Mapping[str, Any]) -> str:
    sizes = [
        (data[part], name)
        for part, name in (("train", "training"), ("validation", "validation"), ("test", "test"))
    ]
    return ", ".join(f"{size:,} {name}" for size, name in sizes if size)


def _uncounted(report: Report) -> list[tuple[str, str]]:
    """Runs that say nothing, by the ablation's `counts_if`, cell by cell."""
    left_out = [cell for cell in report.cells if cell.uncounted]
    if not left_out:
        return []
    runs = sum(cell.uncounted for cell in left_out)
    names = [
        f"{' · '.join(cell.at)}: {cell.uncounted} of {cell.uncounted + cell.n}" for cell in left_out
    ]
    where = (
        f"{runs} of {report.finished} finished runs, in {len(left_out)} of {len(report.cells)} "
        "cells"
    )
    why = f"{report.ablation.counts_if} is not 1, so that they are left out of means and verdicts"
    return [("Uncounted", f"{where} ({listed(names, SHOWN_CELLS)}): {why}")]


def _verdict_blocks(report: Report) -> list[_Block]:
    """Each claim with its verdict, and the comparisons behind it, those that decided or are open
    first.
    """
    found = tuple(
        (str(one.verdict), one.claim.statement, one.claim.source, one.sentence)
        for one in report.verdicts
    )
    blocks = [
        _Block("verdicts on the paper's claims", ("verdict", "claim", "source", "why"), found)
    ]
    for one in report.verdicts:
        order = {"contradicted": 0, "undecided": 1, "reproduced": 2, "not asked": 3}
        judged = sorted(one.judged, key=lambda judged: order[judged.verdict])
        rows = tuple(
            (
                judged.comparison.label,
                judged.verdict,
                ""
                if judged.estimate is None
                else f"{judged.estimate:+.{_digits(report.ablation, judged.comparison)}f}",
                _interval(judged.low, judged.high, _digits(report.ablation, judged.comparison)),
                str(len(judged.seeds)),
                "" if judged.more_seeds is None else f"about {judged.more_seeds}",
            )
            for judged in judged[:SHOWN_COMPARISONS]
        )
        more = (
            (f" (the first {SHOWN_COMPARISONS} of {len(judged)})")
            if len(judged) > SHOWN_COMPARISONS
            else ""
        )
        header = ("comparison", "verdict", "difference", "interval", "paired seeds", "more seeds")
        blocks.append(_Block(f"{one.claim.statement}{more}", header, rows))
    return blocks


def _likeness(similarity: Similarity) -> str:
    if similarity.rho is None:
        return f"none: {similarity.reason}"
    interval = _interval(similarity.low, similarity.high)
    return (
        f"{similarity.rho:.2f}, 95 % interval {interval}, over {similarity.cells} cells "
        f"({similarity.method})"
    )


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _interval(low: float | None, high: float | None, digits: int = 2) -> str:
    return "" if low is None or high is None else f"[{low:.{digits}f}, {high:.{digits}f}]"


def _digits(ablation: Ablation, comparison: Comparison) -> int:
    """Differences are shown to the last digit of values, and to two digits at least."""
    found = [quantity(term.metric or ablation.metric).digits for term in comparison.terms]
    return max([2, *(digits for digits in found if digits is not None)])


def print_report(report: Report, console: Console) -> None:
    """The report on a terminal."""
    console.print(Text(f"{report.ablation.title} ({report.ablation.source})", style="bold"))
    for name, fact in _facts(report):
        console.print(Text.assemble((f"{name}: ", "dim"), fact), soft_wrap=True)
    for block in _blocks(report):
        table = Table(
            title=block.title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=0
        )
        for index, column in enumerate(block.header):
            table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
        for row in block.rows:
            table.add_row(*(text.replace(" ± ", "±") for text in row))
        console.print(table)
    for one in report.verdicts:
        console.print(
            Text.assemble(f"{one.claim.statement} ", (one.sentence, STYLES[one.verdict])),
            soft_wrap=True,
        )
    for problem in report.problems:
        console.print(Text(f"failed: {problem}"), soft_wrap=True)


def markdown(report: Report, picture: str, curves: str | None = None) -> str:
    """The report as Markdown, with the file names of the figure and of the picture of training
    curves, if there is one.
    """
    lines = [f"# {report.ablation.title}", ""]
    lines += [f"- **{name}:** {fact}" for name, fact in _facts(report)]
    lines += [
        f"- **Command:** `{report.plan['command']}`",
        "",
        f"![{report.ablation.title}]({picture})",
        "",
    ]
    if curves:
        lines += [f"![Training curves]({curves})", ""]
    for block in _blocks(report):
        lines += [f"## {block.title[0].upper()}{block.title[1:]}", "", _row(block.header)]
        lines.append(_row(["---", *["---:"] * (len(block.header) - 1)]))
        lines += [_row(row) for row in block.rows]
        lines.append("")
    for index, block in enumerate(_verdict_blocks(report) if report.verdicts else []):
        lines += [
            f"{'##' if index == 0 else '###'} {block.title[0].upper()}{block.title[1:]}",
            "",
            _row(block.header),
        ]
        lines += [_row(["---"] * len(block.header)), *[_row(row) for row in block.rows], ""]
    if report.problems:
        lines += ["## Failed cells", "", *[f"- {problem}" for problem in report.problems], ""]
    return "\n".join(lines)


def _row(values: Iterable[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"
