"""A report in words and tables: the same for a terminal and for Markdown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.figures import Summary, metric_name
from orchestrator.report import Report
from orchestrator.similarity import Similarity
from workloads.workload import workload_named

__all__ = ["STYLES", "markdown", "print_report", "subtitle"]

STYLES = {"reproduced": "green", "contradicted": "red", "undecided": "yellow", "not asked": "dim"}
SHOWN_COMPARISONS = 12


def _cell_text(cell: Summary | None) -> str:
    """A cell in the table: mean, sample standard deviation where there are seeds for it, and what is not there."""
    if cell is None:
        return ""
    parts = []
    if cell.n:
        parts.append(f"{cell.mean:.1f}" + (f" ± {cell.spread:.1f}" if cell.spread is not None else ""))
    if cell.failed:
        parts.append(f"{cell.failed} failed" if cell.n else "failed")
    if cell.missing:
        parts.append(f"{cell.missing} missing" if cell.n else "missing")
    return ", ".join(parts) or "missing"


def subtitle(report: Report) -> str:
    """Data and setting in one line for the figure, whose caption says n and spread."""
    return f"{report.plan['data']['title']} · {_setting(report)}"


def _setting(report: Report) -> str:
    return workload_named(report.plan.get("workload", "simclr")).setting(report.plan["base"])


@dataclass(frozen=True)
class _Block:
    """One table: a title, a header and rows of text, the same for the terminal and for Markdown."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _blocks(report: Report) -> list[_Block]:
    axes = report.layout.axes
    match len(axes):
        case 1:
            return [_list_block(report)]
        case 2:
            panels: tuple[tuple[str, ...], ...] = ((),)
        case _:
            panels = tuple((label,) for label in axes[2].labels)
    ours = {cell.at: _cell_text(cell) for cell in report.cells}
    paper = {cell.at: f"{cell.paper:.1f}" for cell in report.cells if cell.paper is not None}
    what = metric_name(report.ablation)
    return [
        _matrix(report, f"{title}{' · ' + panel[0] if panel else ''}", values, panel)
        for panel in panels
        for title, values in ((f"this run, {what}", ours), (f"the paper, {what}", paper))
    ]


def _matrix(report: Report, title: str, values: Mapping[tuple[str, ...], str], panel: tuple[str, ...]) -> _Block:
    rows, columns = report.layout.axes[:2]
    body = tuple((row, *(values.get((row, column, *panel), "") for column in columns.labels)) for row in rows.labels)
    return _Block(f"{title} (rows: {rows.name}; columns: {columns.name})", ("", *columns.labels), body)


def _list_block(report: Report) -> _Block:
    names = list(dict.fromkeys(name for cell in report.layout.cells for name in cell.paper_more))
    header = [report.layout.axes[0].name, "this run, %", "paper", "n"]
    for name in names:
        header += [name.replace("_", " "), "paper"]
    rows = []
    for cell, place in zip(report.cells, report.layout.cells, strict=True):
        row = [" · ".join(cell.at), _cell_text(cell), "" if cell.paper is None else f"{cell.paper:.1f}", str(cell.n)]
        for name in names:
            mean = report.more.get(cell.at, {}).get(name)
            row += ["" if mean is None else f"{mean:.1f}", f"{place.paper_more[name]:.1f}"]
        rows.append(tuple(row))
    return _Block(f"this run and the paper: {metric_name(report.ablation)}", tuple(header), tuple(rows))


def _facts(report: Report) -> list[tuple[str, str]]:
    data = report.plan["data"]
    facts = [
        ("Question", report.ablation.question),
        ("Source", f"SimCLR paper, {report.ablation.source}"),
        ("Data", f"{data['title']}: {data['train']:,} training, {data['validation']:,} validation, {data['test']:,} test"),
        ("Setting", f"preset {report.plan['preset']}, {_setting(report)}"),
        ("Measured on", "; ".join(report.machines) or "nothing finished"),
        ("Seeds", f"{', '.join(map(str, report.plan['seeds']))}; ± is the sample standard deviation over them"),
    ]
    if report.reference is not None:
        facts.append(("Untrained", f"the same encoder without pre-training: {_cell_text(report.reference)} % top-1"))
    for tuned in report.tuned:
        chosen = ", ".join(f"{path}={_plain(value)}" for path, value in tuned.chosen.items())
        lost = f", {tuned.diverged} diverged" if tuned.diverged else ""
        facts.append(
            (f"Tuned {' · '.join(tuned.at)}", f"{chosen} ({tuned.score:.1f} % validation, best of {tuned.candidates}{lost})")
        )
    if report.ablation.extension:
        facts.append(("Extension", "the paper does not ask this question and has no numbers for it"))
    if report.layout.note:
        facts.append(("Beside the paper", report.layout.note))
    if report.similarity is not None:
        facts.append(("Rank correlation with the paper", _likeness(report.similarity)))
    if report.differences:
        listed = "; ".join(f"{one.field}={one.ours} (paper: {one.paper})" for one in report.differences)
        facts.append(("Differs from the paper's setting in", listed))
    return facts


def _verdict_blocks(report: Report) -> list[_Block]:
    """Each claim with its verdict, and the comparisons behind it, those that decided or are open first."""
    found = tuple((str(one.verdict), one.claim.statement, one.claim.source, one.sentence) for one in report.verdicts)
    blocks = [_Block("verdicts on the paper's claims", ("verdict", "claim", "source", "why"), found)]
    for one in report.verdicts:
        order = {"contradicted": 0, "undecided": 1, "reproduced": 2, "not asked": 3}
        judged = sorted(one.judged, key=lambda judged: order[judged.verdict])
        rows = tuple(
            (
                judged.comparison.label,
                judged.verdict,
                "" if judged.estimate is None else f"{judged.estimate:+.2f}",
                _interval(judged.low, judged.high),
                str(len(judged.seeds)),
                "" if judged.more_seeds is None else f"about {judged.more_seeds}",
            )
            for judged in judged[:SHOWN_COMPARISONS]
        )
        more = f" (the first {SHOWN_COMPARISONS} of {len(judged)})" if len(judged) > SHOWN_COMPARISONS else ""
        header = ("comparison", "verdict", "difference", "interval", "paired seeds", "more seeds")
        blocks.append(_Block(f"{one.claim.statement}{more}", header, rows))
    return blocks


def _likeness(similarity: Similarity) -> str:
    if similarity.rho is None:
        return f"none: {similarity.reason}"
    interval = _interval(similarity.low, similarity.high)
    return f"{similarity.rho:.2f}, 95 % interval {interval}, over {similarity.cells} cells ({similarity.method})"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"


def print_report(report: Report, console: Console) -> None:
    """The report on a terminal."""
    console.print(Text(f"{report.ablation.title} ({report.ablation.source})", style="bold"))
    for name, fact in _facts(report):
        console.print(Text.assemble((f"{name}: ", "dim"), fact), soft_wrap=True)
    for block in _blocks(report):
        table = Table(title=block.title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=0)
        for index, column in enumerate(block.header):
            table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
        for row in block.rows:
            table.add_row(*(text.replace(" ± ", "±") for text in row))
        console.print(table)
    for one in report.verdicts:
        console.print(Text.assemble(f"{one.claim.statement} ", (one.sentence, STYLES[one.verdict])), soft_wrap=True)
    for problem in report.problems:
        console.print(Text(f"failed: {problem}"), soft_wrap=True)


def markdown(report: Report, picture: str) -> str:
    """The report as Markdown, with `picture` as the figure's file name."""
    lines = [f"# {report.ablation.title}", ""]
    lines += [f"- **{name}:** {fact}" for name, fact in _facts(report)]
    lines += [f"- **Command:** `{report.plan['command']}`", "", f"![{report.ablation.title}]({picture})", ""]
    for block in _blocks(report):
        lines += [f"## {block.title[0].upper()}{block.title[1:]}", "", _row(block.header)]
        lines.append(_row(["---", *["---:"] * (len(block.header) - 1)]))
        lines += [_row(row) for row in block.rows]
        lines.append("")
    for index, block in enumerate(_verdict_blocks(report) if report.verdicts else []):
        lines += [f"{'##' if index == 0 else '###'} {block.title[0].upper()}{block.title[1:]}", "", _row(block.header)]
        lines += [_row(["---"] * len(block.header)), *[_row(row) for row in block.rows], ""]
    if report.problems:
        lines += ["## Failed cells", "", *[f"- {problem}" for problem in report.problems], ""]
    return "\n".join(lines)


def _row(values: Iterable[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"
