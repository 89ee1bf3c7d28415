"""What a report says in a few lines, beside its claims: what was found, and in which setting."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from orchestrator.report.cell_document import CellDocument
from orchestrator.report.document import ReportDocument
from orchestrator.report.quantities import quantity
from orchestrator.report.summary import listed
from orchestrator.run_record import DEFAULT_WORKLOAD
from search_spaces.trees.question import OWN
from workloads.catalog import workload_named
from workloads.quantity import Quantity

__all__ = ["headlines", "setting_lines"]

ORDER = ("reproduced", "contradicted", "alike", "undecided", "not asked")
SHOWN_DIFFERENCES = 4
SHOWN_RUNS = 4
# What changes a result most, first; fields of a recipe that are not here come after these.
WEIGHTY = (
    "encoder.architecture",
    "encoder.width",
    "schedule.epochs",
    "schedule.batch_size",
    "data.image_size",
    "optim.name",
    "augment.crop.min_area",
    "eval.protocol",
)
SAID_ELSEWHERE = ("data.name",)  # the line on the data


def headlines(document: ReportDocument) -> list[str]:
    """Return how much has ended, the best cell beside the untrained encoder, and claims in sum."""
    claims = _tally(document)
    return [
        line for line in (_ended(document), _best(document), claims, _collapsed(document)) if line
    ]


def setting_lines(document: ReportDocument) -> list[str]:
    """Return a line on the data, one on the recipe and seeds, one on what is not the paper's."""
    plan, data = document["plan"], document["plan"]["data"]
    assert isinstance(data, dict), "as every version has kept it"
    sizes = {"training": data["train"], "validation": data["validation"], "test": data["test"]}
    inputs = ", ".join(f"{size:,} {name}" for name, size in sizes.items() if size)
    seeds = plan["seeds"]
    assert isinstance(seeds, list), "as every version has kept them"
    recipe = str(plan["preset"])
    recipe = recipe if recipe.startswith("the ") else f"preset {recipe}"
    lines = [
        f"data: {data['title']}: {inputs}",
        f"setting: {recipe}, {_setting(document)}; "
        f"{len(seeds)} seed{'s' * (len(seeds) != 1)} a cell",
    ]
    return [*lines, *_not_the_papers(document)]


def _collapsed(document: ReportDocument) -> str:
    """The runs that have collapsed, which means and claims have in them."""
    runs = document.get("collapsed", [])
    return f"collapsed to the untrained encoder's level: {listed(runs, SHOWN_RUNS)}" if runs else ""


def _ended(document: ReportDocument) -> str:
    """What lacks of a sweep that has not finished, and runs that do not count."""
    cells = document["cells"]
    counts = {
        "not run yet": sum(cell["missing"] for cell in cells),
        "failed": sum(cell["failed"] for cell in cells),
        "left out, which do not count": sum(cell["uncounted"] for cell in cells),
    }
    lacking = [f"{number} {word}" for word, number in counts.items() if number]
    if not lacking:
        return ""
    runs = sum(cell["n"] for cell in cells) + sum(counts.values())
    return f"so far: of {runs} runs {', '.join(lacking)}"


def _best(document: ReportDocument) -> str:
    """The cell with the best mean, the untrained encoder, and the best cell of the paper."""
    metric = quantity(document["metric"])
    with_mean = [cell for cell in document["cells"] if cell["mean"] is not None]
    if not with_mean:
        return ""
    word = "highest" if metric.better == "higher" else "lowest"
    best = _first(with_mean, "mean", metric)
    line = f"{word}: {_place(best)}, {_told(best, metric, document['unit'])}"
    if (untrained := document["untrained"]) is not None:
        line += f"; untrained {_told(untrained, metric, document['unit'])}"
    of_paper = [cell for cell in with_mean if cell["paper"] is not None]
    if len(of_paper) > 1:
        there = _first(of_paper, "paper", metric)
        line += f"; the paper's {word}: "
        line += "this one, too" if there["at"] == best["at"] else _place(there)
    return line


def _first(
    cells: Sequence[CellDocument], key: Literal["mean", "paper"], metric: Quantity
) -> CellDocument:
    sign = 1 if metric.better == "higher" else -1
    return max(cells, key=lambda cell: sign * (cell[key] or 0.0))


def _place(cell: CellDocument) -> str:
    return " · ".join(cell["at"])


def _told(cell: CellDocument, metric: Quantity, unit: str) -> str:
    assert cell["mean"] is not None, "of the measured"
    spread = f" ± {metric.text(cell['spread'])}" if cell["spread"] is not None else ""
    return f"{metric.text(cell['mean'])}{spread} {unit}".rstrip()


def _tally(document: ReportDocument) -> str:
    """How many claims have which verdict, and how far all cells are ordered as in the paper."""
    counts = Counter(one["verdict"] for one in document["verdicts"])
    parts = []
    if counts:
        first, *others = [word for word in ORDER if counts[word]]
        words = [f"{counts[first]} of {counts.total()} {first}"]
        parts.append("claims: " + ", ".join([*words, *(f"{counts[one]} {one}" for one in others)]))
    found = document["rank_correlation"] or {}
    rho, low, high = (found.get(name) for name in ("rho", "low", "high"))
    if isinstance(rho, float):
        sure = isinstance(low, float) and isinstance(high, float)
        interval = f" [{low:.2f}, {high:.2f}]" if sure else ""
        parts.append(f"rank correlation with the paper {rho:.2f}{interval}")
    return "; ".join(parts)


def _setting(document: ReportDocument) -> str:
    """The recipe in a few words, and how many steps it trains."""
    plan = document["plan"]
    base, data = plan["base"], plan["data"]
    assert isinstance(base, dict), "as every version has kept it"
    assert isinstance(data, dict), "as every version has kept them"
    text = workload_named(str(plan.get("workload", DEFAULT_WORKLOAD))).setting(base)
    schedule = base.get("schedule")
    if not isinstance(schedule, dict) or not schedule.get("batch_size"):
        return text
    steps = schedule["epochs"] * (data["train"] // schedule["batch_size"])
    return f"{text} ({steps:,} steps)" if steps else text


def _not_the_papers(document: ReportDocument) -> list[str]:
    """The differences that weigh most, and how many more there are."""
    found = {str(one["field"]): one for one in document["differences"]}
    if not found or document["source"] == OWN:
        return []
    weight = {field: place for place, field in enumerate(WEIGHTY)}
    fields = sorted(
        (field for field in found if field not in SAID_ELSEWHERE),
        key=lambda field: weight.get(field, len(weight)),
    )
    shown = [
        f"{field} {_value(found[field]['ours'])} (paper: {_value(found[field]['paper'])})"
        for field in fields[:SHOWN_DIFFERENCES]
    ]
    more = len(found) - len(shown)
    rest = f"; and {more} more field{'s' * (more != 1)}, report.md has them" if more else ""
    return [f"differs from the paper: {'; '.join(shown)}{rest}"] if shown else []


def _value(value: object) -> str:
    return "none" if value is None else str(value)
