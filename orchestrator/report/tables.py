"""A report's tables: what was measured beside the paper's numbers, and the verdicts on claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from orchestrator.report.brief import brief, lost_text, spread_text
from orchestrator.report.collect import Report
from orchestrator.report.document import ComparisonDocument, VerdictDocument, verdicts_json
from orchestrator.report.quantities import metric_quantity, quantity
from orchestrator.report.summary import Summary
from orchestrator.verdicts import Judged
from search_spaces import Ablation, Comparison
from search_spaces.claims import Place
from search_spaces.trees.question import OWN
from workloads.quantity import Quantity

__all__ = ["ORDER", "TextTable", "cell_text", "interval_text", "result_tables", "verdict_tables"]

SHOWN_COMPARISONS = 12
_COMPARISON = (
    "comparison",
    "verdict",
    "difference",
    "interval",
    "of the paper's",
    "test",
    "p",
    "p, own seeds alone",
    "paired seeds",
    "more seeds",
    "lost",
)
ORDER = {"contradicted": 0, "alike": 1, "undecided": 2, "reproduced": 3, "not asked": 4}


@dataclass(frozen=True)
class TextTable:
    """A title, a header and rows of text, the same for a terminal and for Markdown."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def result_tables(report: Report) -> list[TextTable]:
    """Return the cells as matrices of the first two axes, ours and the paper's; or as one list."""
    axes = report.layout.axes
    if len(axes) == 1 or report.ablation.against:
        return [_list(report)]

    metric = metric_quantity(report.ablation)
    ours = {cell.at: cell_text(cell, metric) for cell in report.cells}
    sides = [("this run", ours)]
    if report.has_paper:
        paper = {
            cell.at: metric.text(cell.paper) for cell in report.cells if cell.paper is not None
        }
        sides.append(("the paper", paper))

    panels: list[Place] = [(label,) for label in axes[2].labels] if len(axes) == 3 else [()]
    tables: list[TextTable] = []
    most = max((cell.n for cell in report.cells), default=0)
    for panel in panels:
        for whose, values in sides:
            seeds = f", n = {most}" if values is ours and most else ""
            title = " · ".join([f"{whose}, {metric.label}{seeds}", *panel])
            tables.append(_matrix(report, title, values, panel))
    return tables


def verdict_tables(report: Report) -> list[TextTable]:
    """Return a table of the claims, and one of the comparisons behind each.

    Comparisons that have decided against a claim or are open come first.
    """
    documents = verdicts_json(report)
    found = tuple(
        (one["verdict"], one["claim"], one["source"], brief(one), _why(one)) for one in documents
    )
    header = ("verdict", "claim", "source", "in short", "why")
    whose = "the" if report.ablation.source == OWN else "the paper's"
    tables = [TextTable(f"verdicts on {whose} claims", header, found)]
    for one, document in zip(report.verdicts, documents, strict=True):
        judged = sorted(
            zip(one.judged, document["comparisons"], strict=True),
            key=lambda pair: ORDER[pair[0].verdict],
        )
        rows = [_comparison_row(report.ablation, *pair) for pair in judged[:SHOWN_COMPARISONS]]
        title = one.claim.statement
        if len(judged) > SHOWN_COMPARISONS:
            title += f" (the first {SHOWN_COMPARISONS} of {len(judged)})"
        tables.append(TextTable(title, _COMPARISON, tuple(rows)))
    return tables


def _why(one: VerdictDocument) -> str:
    """The whole sentence, and what was known of the spread."""
    return "; ".join(text for text in (one["sentence"], spread_text(one)) if text)


def cell_text(cell: Summary, metric: Quantity) -> str:
    """Return mean and sample standard deviation, where there are seeds for them, and what lacks.

    Where runs lack, also how many there are.
    """
    parts = []
    if cell.mean is not None:
        spread = f" ± {metric.text(cell.spread)}" if cell.spread is not None else ""
        parts.append(metric.text(cell.mean) + spread)
    lacking = cell.lacking
    if lacking and cell.n:
        parts.append(f"n = {cell.n}")
    parts += [f"{runs} {word}" if cell.n else word for word, runs in lacking.items()]
    return ", ".join(parts) or "missing"


def interval_text(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return an interval with so many digits after the point; nothing where there is none."""
    return "" if low is None or high is None else f"[{low:.{digits}f}, {high:.{digits}f}]"


def _matrix(report: Report, title: str, values: Mapping[Place, str], panel: Place) -> TextTable:
    rows, columns = report.layout.axes[:2]
    body = tuple(
        (row, *(values.get((row, column, *panel), "") for column in columns.labels))
        for row in rows.labels
    )
    return TextTable(
        f"{title} (rows: {rows.name}; columns: {columns.name})", ("", *columns.labels), body
    )


def _list(report: Report) -> TextTable:
    """A row for each cell, with the paper's columns if the paper has numbers."""
    ablation, metric = report.ablation, metric_quantity(report.ablation)
    against = quantity(ablation.against) if ablation.against else None
    more = list(dict.fromkeys(name for cell in report.layout.cells for name in cell.paper_more))

    header = [" · ".join(axis.name for axis in report.layout.axes)]
    header += [against.label] if against else []
    header += [f"this run, {metric.unit or metric.name}"]
    header += ["paper"] if report.has_paper else []
    header += ["n"]
    for name in more:
        header += [quantity(name).name, "paper"]

    rows = []
    for cell, planned in zip(report.cells, report.layout.cells, strict=True):
        row = [" · ".join(cell.at)]
        if against:
            row.append(against.text(fmean(cell.against)) if cell.against else "")
        row.append(cell_text(cell, metric))
        if report.has_paper:
            row.append("" if cell.paper is None else metric.text(cell.paper))
        row.append(str(cell.n))
        for name in more:
            mean = report.more.get(cell.at, {}).get(name)
            row.append("" if mean is None else quantity(name).text(mean))
            row.append(quantity(name).text(planned.paper_more[name]))
        rows.append(tuple(row))

    whose = "this run and the paper" if report.has_paper else "this run"
    return TextTable(f"{whose}: {metric.label}", tuple(header), tuple(rows))


def _comparison_row(
    ablation: Ablation, judged: Judged, document: ComparisonDocument
) -> tuple[str, ...]:
    digits = _digits(ablation, judged.comparison)
    lost = [(" · ".join(one["at"]), one["why"], one["seeds"]) for one in document["lost"]]
    return (
        judged.comparison.label,
        judged.verdict,
        "" if judged.estimate is None else f"{judged.estimate:+.{digits}f}",
        interval_text(judged.low, judged.high, digits),
        "" if judged.of_paper is None else f"{judged.of_paper:z.2f}",
        judged.test if judged.df is None else f"{judged.test}, {judged.df:.3g} df",
        "" if judged.p is None else f"{judged.p:.2g}",
        "" if document["own_p"] is None else f"{document['own_p']:.2g}",
        str(len(judged.seeds)),
        "" if judged.more_seeds is None else f"about {judged.more_seeds}",
        lost_text(lost),
    )


def _digits(ablation: Ablation, comparison: Comparison) -> int:
    """Differences are shown to the last digit of values, and to two digits at least."""
    found = [quantity(term.metric or ablation.metric).digits for term in comparison.terms]
    return max([2, *(digits for digits in found if digits is not None)])
