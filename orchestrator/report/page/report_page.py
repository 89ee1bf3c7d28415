"""The page of an ablation's report."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.report.collect import Report
from orchestrator.report.cost import Cost
from orchestrator.report.document import verdicts_json
from orchestrator.report.facts import facts
from orchestrator.report.page.charts import Chart
from orchestrator.report.page.curves import curve_charts
from orchestrator.report.page.figure import figure_charts
from orchestrator.report.page.payload import charts_text, plotly_text
from orchestrator.report.page.rendering import Picture, filled, section_of
from orchestrator.report.page.settings import parts_of
from orchestrator.report.page.verdict_rows import claims_of, tally
from orchestrator.report.tables import result_tables
from orchestrator.report.text import subtitle
from search_spaces.trees.question import OWN

__all__ = ["Views", "command_to_share", "origin_of", "report_page"]

# Said elsewhere on the page, or in tables of their own.
_ELSEWHERE = {"Question", "Source", "Differs from the paper's setting in"}


_OWN_PLACES = {"--storage", "--notify"}


@dataclass(frozen=True)
class Views:
    """Example views of each augmentation, or a sentence why there are none."""

    rows: Sequence[Picture]
    notes: Sequence[str]


def report_page(
    report: Report, pictures: Mapping[str, bytes], views: Views | None, *, index: str = ""
) -> str:
    """Return the page of a report: one file of HTML that asks for nothing from anywhere.

    `pictures` are its files (`report.png`, `curves.png`), which stand for the charts in print and
    where no script runs. `index` is the address of a page that lists others.
    """
    ablation, plan = report.ablation, report.plan
    with_charts = plotly_text() is not None
    charts: list[Chart] = [*figure_charts(report)] if with_charts else []
    known = facts(report)
    said = dict(known)
    figure = section_of(
        "figure", "Figure", charts, pictures.get("report.png"), notes=_under(report, said)
    )
    curved = curve_charts(ablation, report.layout, report.histories) if with_charts else []
    curves = section_of(
        *("curves", "Training curves", curved, pictures.get("curves.png"), charts),
        notes=_of_curves(report, curved),
    )
    charts += curved
    verdicts = verdicts_json(report)
    claims, is_own = claims_of(verdicts), ablation.source == OWN
    sections = [
        ("figure", "Figure"),
        *([("verdicts", "Verdicts")] if claims else []),
        ("facts", "What it rests on"),
        *([] if is_own else [("settings", "Settings")]),
        ("curves", "Curves"),
        *([("views", "Views")] if views else []),
        ("cost", "Cost"),
        ("reproduce", "Reproduce"),
    ]
    return filled(
        "report.html",
        title=ablation.title,
        question=ablation.question,
        under=f"{ablation.name} · {said.get('Source', '')} · {subtitle(report)}",
        index=index,
        tally=tally(verdicts),
        sections=sections,
        figure=figure,
        tables=result_tables(report),
        claims=claims,
        facts=[(name, text) for name, text in known if name not in _ELSEWHERE],
        parts_that_differ=None if is_own else parts_of(report.differences),
        curves=curves,
        views=views,
        cost=_cost(report.cost) if report.cost else [],
        command=command_to_share(plan["command"]),
        origin=origin_of(plan, report.machines),
        failed=report.problems,
        plotly=plotly_text(),
        charts=charts_text(charts) if charts else "",
    )


def command_to_share(command: str) -> str:
    """Return a command without what is its author's own: places of results, addresses of notes."""
    words = iter(shlex.split(command))
    kept = []
    for word in words:
        if word in _OWN_PLACES:
            next(words, None)
        elif word.partition("=")[0] not in _OWN_PLACES:
            kept.append(word)
    return shlex.join(kept)


def origin_of(plan: Mapping[str, object], machines: Sequence[str]) -> list[tuple[str, str]]:
    """Return where results come from: commit, versions, machines, data, the sweep's id."""
    versions, data = plan.get("versions"), plan.get("data")
    found = [("Sweep", str(plan["sweep"]))]
    if started := plan.get("started"):
        found.append(("Begun", _moment(str(started))))
    found.append(("Commit", str(plan.get("git_commit") or "not known: no checkout")))
    if isinstance(versions, Mapping):
        found.append(("Versions", ", ".join(f"{name} {v}" for name, v in versions.items())))
    found.append(("Machine", "; ".join(machines) or "nothing finished"))
    if isinstance(data, Mapping) and data.get("content"):
        found.append(("Digest of the data", str(data["content"])))
    return found


def _under(report: Report, said: Mapping[str, str]) -> list[str]:
    """What is to be known under the figure; `said` are the report's facts."""
    notes = []
    if report.reference is not None and report.reference.mean is not None:
        notes.append(f"Untrained: {said['Untrained']}.")
    if report.layout.note:
        notes.append(report.layout.note)
    return notes


def _of_curves(report: Report, drawn: Sequence[Chart]) -> list[str]:
    if drawn:
        return [
            "Lines are medians over seeds, bands go from the lowest to the highest. A click on a "
            "name in the legend shows or hides a cell."
        ]
    if report.not_kept is not None:
        return ["This page was made from a report.json, which keeps no numbers of curves."]
    return ["No run has logged more than one point in time."]


def _cost(cost: Cost) -> list[tuple[str, str]]:
    found = [
        ("Runs", f"{cost.runs} that have ended, those that earlier sweeps had run as well"),
        ("CPU", f"{_hours(cost.core_hours)} of a core"),
        ("GPU", f"{_hours(cost.gpu_hours)} of a GPU" if cost.gpu_hours else "none"),
        ("One after the other", _hours(cost.hours)),
    ]
    if cost.began and cost.ended:
        took = datetime.fromisoformat(cost.ended) - datetime.fromisoformat(cost.began)
        wall = f"{_hours(took.total_seconds() / 3600)} from the first run's beginning to the last "
        wall += f"run's end, pauses included ({_moment(cost.began)} to {_moment(cost.ended)})"
        found.append(("Wall time", wall))
    if cost.unknown:
        found.append(("Not counted", f"{cost.unknown} runs that have not kept their time"))
    return found


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1 else f"{hours:.3g} h"


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
