"""The answer to an ablation: the cells' results in the paper's layout, beside the paper's own, as table, picture and JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.figures import Summary
from search_spaces import Ablation, Layout

__all__ = ["Report", "as_json", "collect", "markdown", "print_report", "subtitle"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """A sweep's results, cell by cell; `more` are the other quantities that the paper reports for the cell."""

    ablation: Ablation
    layout: Layout
    plan: Mapping[str, Any]
    cells: tuple[Summary, ...]
    more: Mapping[tuple[str, ...], Mapping[str, float]]
    reference: Summary | None
    machines: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def finished(self) -> int:
        """Runs that finished, the references not counted."""
        return sum(cell.n for cell in self.cells)


def collect(ablation: Ablation, plan: Mapping[str, Any], records: Mapping[str, Record | None]) -> Report:
    """The report of a sweep from its plan (as `plan_tree` keeps it) and the records of its cells by fingerprint."""
    layout = ablation.layout(plan["scale"])
    runs: dict[tuple[str, ...], list[str]] = {}
    references: list[str] = []
    for cell in plan["cells"]:
        (references if cell["role"] == "reference" else runs.setdefault(tuple(cell["at"]), [])).append(cell["fingerprint"])
    cells = tuple(_summary(cell.at, runs.get(cell.at, []), records, ablation.metric, cell.paper) for cell in layout.cells)
    more = {
        cell.at: _means([records[name] for name in runs.get(cell.at, [])], cell.paper_more)
        for cell in layout.cells
        if cell.paper_more
    }
    reference = _summary(("untrained",), references, records, ablation.metric, None) if references else None
    done = [record for record in records.values() if record and record["status"] == "finished"]
    problems = [
        f"{record['name']}: {record['error'].splitlines()[-1] if record['error'] else 'failed'} (log: {record['log']})"
        for record in records.values()
        if record and record["status"] == "failed"
    ]
    machines = tuple(sorted({_machine_line(record["machine"]) for record in done}))
    return Report(ablation, layout, plan, cells, more, reference, machines, tuple(problems))


def _summary(
    at: tuple[str, ...], names: Sequence[str], records: Mapping[str, Record | None], metric: str, paper: float | None
) -> Summary:
    found = [records.get(name) for name in names]
    values = tuple(float(record["results"][metric]) for record in found if record and record["status"] == "finished")
    failed = sum(1 for record in found if record and record["status"] == "failed")
    return Summary(at=at, values=values, failed=failed, missing=len(found) - len(values) - failed, paper=paper)


def _means(records: Iterable[Record | None], names: Iterable[str]) -> dict[str, float]:
    """Means over seeds of what was logged in the last epoch."""
    last = [record["history"][-1] for record in records if record and record["status"] == "finished" and record["history"]]
    return {name: sum(epoch[name] for epoch in last) / len(last) for name in names} if last else {}


def _machine_line(machine: Mapping[str, Any]) -> str:
    place = "" if machine["gpu"] else f", {machine['threads']} thread{'s' * (machine['threads'] != 1)} a worker"
    workers = f", {machine['workers']} workers" if machine["workers"] > 1 else ""
    return f"{machine['device']}{place}{workers}, {machine['precision']}, torch {machine['torch']}"


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
    base = report.plan["base"]
    return (
        f"{base['encoder']['architecture']} width {base['encoder']['width']:g}, "
        f"{base['schedule']['epochs']} epochs, batch {base['schedule']['batch_size']}"
    )


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
    return [
        _matrix(report, f"{title}{' · ' + panel[0] if panel else ''}", values, panel)
        for panel in panels
        for title, values in (("this run, % top-1", ours), ("the paper, % top-1", paper))
    ]


def _matrix(report: Report, title: str, values: Mapping[tuple[str, ...], str], panel: tuple[str, ...]) -> _Block:
    rows, columns = report.layout.axes[:2]
    body = tuple((row, *(values.get((row, column, *panel), "") for column in columns.labels)) for row in rows.labels)
    return _Block(f"{title} (rows: {rows.name}; columns: {columns.name})", ("", *columns.labels), body)


def _list_block(report: Report) -> _Block:
    names = list(dict.fromkeys(name for cell in report.layout.cells for name in cell.paper_more))
    header = [report.layout.axes[0].name, "top-1, %", "paper", "n"]
    for name in names:
        header += [name.replace("_", " "), "paper"]
    rows = []
    for cell, place in zip(report.cells, report.layout.cells, strict=True):
        row = [" · ".join(cell.at), _cell_text(cell), "" if cell.paper is None else f"{cell.paper:.1f}", str(cell.n)]
        for name in names:
            mean = report.more.get(cell.at, {}).get(name)
            row += ["" if mean is None else f"{mean:.1f}", f"{place.paper_more[name]:.1f}"]
        rows.append(tuple(row))
    return _Block("this run and the paper", tuple(header), tuple(rows))


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
    if report.layout.note:
        facts.append(("Beside the paper", report.layout.note))
    return facts


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
    lines += ["## What the paper says", ""]
    lines += [f"- {claim.statement} ({claim.source})" for claim in report.ablation.claims]
    lines += ["", "Whether these numbers support the statements is not judged here.", ""]
    if report.problems:
        lines += ["## Failed cells", "", *[f"- {problem}" for problem in report.problems], ""]
    return "\n".join(lines)


def _row(values: Iterable[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data, fit to be shown to others: without the path of the images, which their digest pins."""
    base = dict(report.plan["base"])
    base["data"] = {name: value for name, value in base["data"].items() if name != "root"}
    return {
        "ablation": report.ablation.name,
        "source": report.ablation.source,
        "metric": report.ablation.metric,
        "axes": [{"name": axis.name, "labels": list(axis.labels)} for axis in report.layout.axes],
        "cells": [_cell_json(cell) | {"more": dict(report.more.get(cell.at, {}))} for cell in report.cells],
        "untrained": _cell_json(report.reference) if report.reference else None,
        "note": report.layout.note,
        "machines": list(report.machines),
        "failed": list(report.problems),
        "plan": {name: value for name, value in report.plan.items() if name not in ("cells", "base")} | {"base": base},
    }


def _cell_json(cell: Summary) -> dict[str, Any]:
    return {
        "at": list(cell.at),
        "values": list(cell.values),
        "mean": cell.mean if cell.n else None,
        "spread": cell.spread,
        "n": cell.n,
        "failed": cell.failed,
        "missing": cell.missing,
        "paper": cell.paper,
    }
