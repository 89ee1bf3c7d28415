"""The tables of docs/results/README.md, from the reports beside it: every report and every claim.

Prints them; --write puts them between the page's markers, and --again first judges every report
again by the claims and rules at hand, from the values that it has kept.

    python benchmarks/results_table.py [--again] [--write]
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from orchestrator.commands.report import report_again
from orchestrator.report.brief import NOT_KEPT, brief
from orchestrator.report.document import ReportDocument
from orchestrator.report.quantities import quantity

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
MARKED = re.compile(r"(<!-- tables of (\S+):[^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)
VERDICTS = ("reproduced", "contradicted", "alike", "undecided", "not asked")


def tables(workload: str, reports: Mapping[str, ReportDocument]) -> str:
    """The reports of a workload in one table, and each claim with its verdict in another."""
    mine = {name: one for name, one in reports.items() if workload_of(one) == workload}
    header = ["report", "source", "data", "runs", "seeds", "untrained", *VERDICTS]
    overview = [_overview(name, one) for name, one in mine.items()]
    claims = [row for name, one in mine.items() for row in _claims(name, one)]
    return "\n".join(
        [
            *_table(header, overview),
            "",
            *_table(["report", "claim", "verdict", "in short", "rules"], claims),
            "",
        ]
    )


def written(page: str, reports: Mapping[str, ReportDocument]) -> str:
    """The page with its tables made anew."""
    return MARKED.sub(lambda found: f"{found[1]}\n{tables(found[2], reports)}\n{found[3]}", page)


def every_report(folder: Path = RESULTS) -> dict[str, ReportDocument]:
    """All reports that lie in a folder's folders, by name."""
    return {
        file.parent.name: cast(ReportDocument, json.loads(file.read_text()))
        for file in sorted(folder.glob("*/report.json"))
    }


def workload_of(report: ReportDocument) -> str:
    """The workload of a report; the first ones did not say it."""
    return str(report["plan"].get("workload", "simclr"))


def _overview(name: str, report: ReportDocument) -> list[str]:
    plan = cast(dict[str, Any], report["plan"])
    cells = report["cells"]
    lost = Counter[str]()
    for cell in cells:
        known = Counter(cell.get("lost", {}).values())
        lost += known or Counter(
            {"not counted": cell.get("uncounted", 0), "failed": cell["failed"]}
        )
    runs = str(sum(cell["n"] for cell in cells) + sum(lost.values()))
    if lost:
        runs += " (" + ", ".join(f"{count} {word}" for word, count in lost.items()) + ")"
    untrained = report["untrained"]
    metric = quantity(report["metric"])
    told = ""
    if untrained is not None and untrained["mean"] is not None:
        told = metric.told(untrained["mean"], untrained["spread"])
    found = Counter(one["verdict"] for one in report.get("verdicts", []))
    counts = sorted({cell["n"] for cell in cells})
    return [
        f"[{name}]({name}/report.md)",
        report["source"],
        str(plan["data"]["title"]),
        runs,
        str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}",
        told,
        *(str(found[word] or "") for word in VERDICTS),
    ]


def _claims(name: str, report: ReportDocument) -> Iterable[list[str]]:
    for one in report.get("verdicts", []):
        unjudged = one["verdict"] == "not asked" or (
            one["verdict"] == "undecided" and one["sentence"].startswith(NOT_KEPT)
        )
        rules = "" if unjudged else str(one.get("rules", 1))
        yield [name, one["claim"], one["verdict"], brief(one), rules]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="judge every report again")
    parser.add_argument("--write", action="store_true", help="write the page")
    options = parser.parse_args()
    if options.again:
        for name in every_report():
            folder = RESULTS / name
            report_again(folder / "report.json", Console(quiet=True), output=folder)
    page = RESULTS / "README.md"
    text = written(page.read_text(), every_report())
    if options.write:
        page.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
