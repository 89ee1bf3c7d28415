"""A question that the command line asks by itself: fields and their values make the grid. Pure."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from orchestrator.errors import PlanError
from orchestrator.plan.asked import SAME_SEEDS
from search_spaces import Ablation
from search_spaces.trees.question import QuestionError, ablation_of
from workloads.catalog.results import OWN_METRICS, unknown_result
from workloads.field_types import annotation_at, kinds_of
from workloads.spec import unknown_field
from workloads.workload import AnyWorkload
from workloads.written import read_choices
from workloads.yaml_nodes import number_in

__all__ = ["Over", "over_question"]

MOST_AXES = 3  # a table, a heat map, a heat map for each label of the third
WIDE = 8  # the largest value over the smallest, from which on an axis is drawn by logarithms
_RANGE = re.compile(r"([^,]+?)\.\.([^,]+?):(\d+)(?::(log|linear))?")


@dataclass(frozen=True)
class Over:
    """What `ablate --over` was given: fields with their values, and what is asked of the cells.

    Without a name it has that of its fields, without a metric the workload's first. With
    `own_metrics` the recipe asks for some, and `metric` may be any.
    """

    axes: tuple[str, ...]
    claims: tuple[str, ...] = ()
    metric: str | None = None
    name: str | None = None
    own_metrics: bool = False


def over_question(over: Over, workload: AnyWorkload) -> Ablation:
    """Return the question: a cell for every combination of the values.

    `loss.temperature=0.05,0.1,0.5` is an axis, and so is `optim.base_learning_rate=0.1..1:4`: four
    values that are spread evenly by their logarithm (`:4:linear`: by themselves). Values are read
    by the type of their field, and are the labels that claims name. Raises one PlanError with every
    problem.
    """
    problems, axes = list[str](), dict[str, list[object]]()
    for text in over.axes:
        field = text.partition("=")[0].strip()
        try:
            values = _values(text, field, workload)
        except ValueError as error:
            problems.append(f"--over {text}: {error}")
            continue
        if field in axes:
            problems.append(f"--over {text}: {field} is there twice; give its values together")
        axes.setdefault(field, values)
    if len(over.axes) > MOST_AXES:
        problems.append(
            f"--over: {len(over.axes)} axes cannot be drawn, at most {MOST_AXES}; fix the others "
            "with --set, or ask once for each of their values"
        )
    metric = over.metric or workload.headline[0]
    problem = unknown_result(metric, workload)
    if problem is not None and not (over.own_metrics or OWN_METRICS in axes):
        problems.append(f"--metric {problem}")
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    return _ablation(over, axes, metric, workload.name)


def _ablation(over: Over, axes: dict[str, list[object]], metric: str, workload: str) -> Ablation:
    """The question as a file would ask it. Raises PlanError."""
    tree: dict[str, Any] = {
        "name": over.name or f"over-{'-'.join(map(_word, axes))}",
        "title": " by ".join(axes),
        "question": f"How does {metric} depend on {' and '.join(axes)}?",
        "workload": workload,
        "axes": axes,
        "metric": metric,
    }
    if len(axes) == 1 and _rises(*axes.values()):
        ((field, values),) = axes.items()
        log = values[0] > 0 and values[-1] >= WIDE * values[0]  # type: ignore[operator]
        tree["axes"] = {field: {"values": values, "log": log}}
        tree["figure"] = "lines"
    if over.claims:
        tree["claims"] = list(over.claims)
    try:
        return ablation_of(tree)
    except QuestionError as error:
        raise PlanError([_problem(over, keys, text) for keys, text in error.problems]) from None


def _rises(values: Sequence[object]) -> bool:
    """Whether values are numbers of which each is larger than the one before."""
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    return len(numbers) == len(values) and all(a < b for a, b in pairwise(numbers))


def _problem(over: Over, keys: Sequence[str | int], text: str) -> str:
    """What is wrong with the question, in terms of the options that it was made of."""
    match [*keys]:
        case ["claims", int(number), *_]:
            return f"--claim {over.claims[number]}: {text}"
        case ["axes", field, *_]:
            return f"--over {field}: {text}"
        case ["name"] | [] if over.name:
            return f"--name {over.name}: {text}"
        case _:
            return f"--over: {text}"


def _word(field: str) -> str:
    return re.sub("[^a-z0-9]+", "-", field.lower()).strip("-")


def _values(text: str, field: str, workload: AnyWorkload) -> list[object]:
    """The values of one axis. Raises ValueError."""
    base = next(iter(workload.presets.values()))()
    written = text.partition("=")[2].strip()
    if not field or not written:
        raise ValueError("is not of the form FIELD=VALUE,VALUE or FIELD=LOW..HIGH:NUMBER")
    if unknown := unknown_field(type(base), field):
        raise ValueError(unknown)
    if field == "seed":
        raise ValueError(SAME_SEEDS)
    is_text = kinds_of(annotation_at(type(base), field)).text
    if (found := _RANGE.fullmatch(written)) and not is_text:
        return _spread(found, whole=isinstance(base.flat().get(field), int))
    values = [_plain(value) for value in read_choices(written, type(base), field)]
    if len(values) < 2 and ".." in written and not is_text:
        raise ValueError("is not of the form FIELD=LOW..HIGH:NUMBER, as in 0.1..1:4")
    if len(values) < 2:
        raise ValueError("needs two values or more; --set fixes a field")
    return values


def _spread(found: re.Match[str], *, whole: bool) -> list[object]:
    """The values of a range, its ends among them. Raises ValueError."""
    low, high, count = (number_in(found[i].strip()) for i in (1, 2, 3))
    if low is None or high is None or not low < high < math.inf:
        raise ValueError(f"{found[1]}..{found[2]} is no range: two numbers, the smaller first")
    if not isinstance(count, int) or count < 2:
        raise ValueError(f"{found[3]} values are no range: two or more")
    if found[4] != "linear" and low <= 0:
        raise ValueError(
            f"{found[1]} has no logarithm; {found[0]}:linear spreads the values by themselves"
        )
    shares = [index / (count - 1) for index in range(count)]
    values: list[float] = [
        low + share * (high - low) if found[4] == "linear" else low * (high / low) ** share
        for share in shares
    ]
    between = [round(value) if whole else float(f"{value:.4g}") for value in values[1:-1]]
    spread = [_plain(value) for value in (low, *between, high)]
    if len({repr(value) for value in spread}) < count:
        raise ValueError(f"there are no {count} different whole numbers to take")
    return spread


def _plain(value: Any) -> Any:
    """The value as one writes it: 1 and not 1.0, so that equal ones have one label."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value
