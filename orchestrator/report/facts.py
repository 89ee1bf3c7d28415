"""What to know of a report besides its numbers: question, data, setting, seeds, what lacks."""

from collections.abc import Sequence

from orchestrator.plan.kept import KeptData, KeptPlan, workload_of_plan
from orchestrator.report.collapsed import collapsed_lines
from orchestrator.report.collect import Report
from orchestrator.report.likeness import likeness_by_seed
from orchestrator.report.quantities import quantity
from orchestrator.report.summary import Summary, listed
from orchestrator.report.tables import cell_text, interval_text
from orchestrator.report.tuned import tuned_facts
from orchestrator.verdicts.rank_correlation import Similarity
from search_spaces import Ablation
from search_spaces.trees.question import OWN
from workloads.catalog import workload_named
from workloads.inventory import left_out_lines, remark_lines

__all__ = ["facts", "subtitle"]

SHOWN_CELLS = 12
COLLAPSED = (
    "no better than the untrained encoder, as these cells otherwise are; the values count in means "
    "and claims as they are"
)

Fact = tuple[str, str]


def subtitle(report: Report) -> str:
    """Return data and setting in one line for the figure, whose caption says n and spread."""
    return f"{report.plan['data']['title']} · {_setting(report)}"


def facts(report: Report) -> list[Fact]:
    """Return name and text of each fact, in the order in which they are read."""
    ablation, plan = report.ablation, report.plan
    paper, data = workload_named(ablation.workload).paper, plan["data"]
    seeds, is_own = ", ".join(map(str, plan["seeds"])), ablation.source == OWN
    found = [
        ("Question", ablation.question),
        ("Source", OWN if is_own else f"{paper.name}, {ablation.source}"),
        ("Data", f"{data['title']}: {_inputs(data)}"),
        *_left_out(report),
        ("Setting", f"preset {plan['preset']}, {_setting(report)}"),
        ("Measured on", "; ".join(report.machines) or "nothing finished"),
        ("Seeds", f"{seeds}{_drawn_anew(plan)}; ± is the sample standard deviation over them"),
    ]
    if report.not_kept is not None:
        found.append(_judged_again(report.not_kept))
    if looks := _looked_at(report):
        found.append(_looks(plan, looks))
    if report.reference is not None:
        found.append(_untrained(ablation, report.reference))
    found += tuned_facts(ablation, plan, report.tuned)
    found += _uncounted(report)
    if fallen := collapsed_lines(report):
        found.append(("Collapsed", f"{'; '.join(fallen)}: {COLLAPSED}"))
    if ablation.extension and not is_own:
        found.append(("Extension", _beyond(report)))
    if report.layout.note:
        found.append(("Beside the paper", report.layout.note))
    if report.similarity is not None:
        found.append(("Rank correlation with the paper", _likeness(report, report.similarity)))
    if report.differences and not is_own:
        fields = [f"{one.field}={one.ours} (paper: {one.paper})" for one in report.differences]
        found.append(("Differs from the paper's setting in", "; ".join(fields)))
    return found


def _beyond(report: Report) -> str:
    """What the paper has of a question that it does not ask, which may be a part of one it asks."""
    if any(cell.paper is not None for cell in report.layout.cells):
        source = report.ablation.source
        return f"the paper does not ask this question by itself; its numbers are those of {source}"
    return "the paper does not ask this question and has no numbers for it"


def _drawn_anew(plan: KeptPlan) -> str:
    """What varies with the seed, beside what the seed of a run itself draws."""
    words = {"subset": "labelled images", "split": "validation and training images"}
    varied = [words[name] for name in plan.get("vary", [])]
    return f", each with {' and '.join(varied)} of its own" if varied else ""


def _setting(report: Report) -> str:
    return workload_of_plan(report.plan).setting(report.plan["base"])


def _inputs(data: KeptData) -> str:
    sizes = {"training": data["train"], "validation": data["validation"], "test": data["test"]}
    return ", ".join(f"{size:,} {name}" for name, size in sizes.items() if size)


def _left_out(report: Report) -> list[Fact]:
    """What is left out of all data that the plan or a run has read, and remarks on these."""
    reads = [*report.plan["data"].get("read", []), *report.data_read]
    facts = []
    if lines := left_out_lines(reads):
        facts.append(("Left out of the data", "; ".join(lines).replace("left out: ", "")))
    if remarks := remark_lines(reads):
        facts.append(("How the data were read", "; ".join(remarks)))
    return facts


def _judged_again(not_kept: Sequence[str]) -> Fact:
    again = "from the values that the report had kept"
    if not_kept:
        again += f"; it has not kept {'; '.join(not_kept)}"
    return "Judged again", again


def _looked_at(report: Report) -> Sequence[int]:
    """The numbers of seeds at which was or will be looked; none where it was once, by no plan."""
    taken = {look.seeds for one in report.verdicts for each in one.judged for look in each.looks}
    found = sorted({*report.plan.get("looks", []), *taken})
    return found if len(found) > 1 else report.plan.get("looks", [])


def _looks(plan: KeptPlan, looks: Sequence[int]) -> Fact:
    after = f"{', '.join(map(str, looks))} seeds, the error spent over the looks."
    if plan.get("looks_changed", False):
        after += " The schedule was another one before: verdicts may exceed their level."
    return "Looked at after", after


def _untrained(ablation: Ablation, reference: Summary) -> Fact:
    metric = quantity(ablation.metric)
    name = "top-1" if metric.name.endswith("top-1") else metric.name
    what = f"{metric.unit} {name}".strip()
    text = cell_text(reference, metric)
    return "Untrained", f"the same encoder without pre-training: {text} {what}"


def _uncounted(report: Report) -> list[Fact]:
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
        f"cells ({listed(names, SHOWN_CELLS)})"
    )
    why = f"{report.ablation.counts_if} is not 1, so that means leave them out; "
    why += "in claims on rates they count as runs that did not do it, in others they say nothing"
    return [("Uncounted", f"{where}: {why}")]


def _likeness(report: Report, similarity: Similarity) -> str:
    if similarity.rho is None:
        return f"none: {similarity.reason}"
    interval = interval_text(similarity.low, similarity.high)
    text = (
        f"{similarity.rho:.2f}, 95 % interval {interval}, over {similarity.cells} cells "
        f"({similarity.method})"
    )
    by_seed = likeness_by_seed(report)
    if len(by_seed) > 1:
        alone = [f"{rho:.2f}" for rho in sorted(by_seed.values())]
        text += f"; of each seed alone {', '.join(alone)}"
    return text
