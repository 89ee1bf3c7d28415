"""A space to search in: fields with choices or ranges, and settings drawn from it. Pure."""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import PlanError
from orchestrator.plan.cells import Ask, Plan, PlannedCell
from orchestrator.resources import ClusterShape, Resources, resource_problems
from workloads.field_types import annotation_at, kinds_of
from workloads.spec import SpecError
from workloads.workload import (
    AnyWorkload,
    Specification,
    TrainedAlone,
)
from workloads.written import read_choices
from workloads.yaml_nodes import number_in

__all__ = ["Choices", "Range", "build_search", "drawn", "read_space"]

Setting = dict[str, object]
MOST_SAMPLES = 10_000


@dataclass(frozen=True)
class Choices:
    """A field that takes one of these values."""

    values: tuple[object, ...]


@dataclass(frozen=True)
class Range:
    """A number between two positive ones, uniform in its logarithm; whole when both ends are."""

    low: float
    high: float

    def draw(self, generator: random.Random) -> object:
        """Draw a value."""
        value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return round(value) if whole else float(f"{value:.4g}")


def read_space(texts: Sequence[str], of: type[Any]) -> dict[str, Choices | Range]:
    """Read the fields of `of` to search in and their values. Raises PlanError with every problem.

    For example `["loss.temperature=0.1,0.5", "optim.base_learning_rate=0.01..1"]`.
    """
    space: dict[str, Choices | Range] = {}
    problems = []
    for text in texts:
        field, equals, values = text.partition("=")
        field = field.strip()
        if not equals or not field or not values.strip():
            problems.append(f"--search {text}: is not of the form field=choices or field=low..high")
        elif field in space:
            problems.append(f"--search {text}: {field} is searched twice")
        else:
            try:
                space[field] = _space(values, of, field)
            except ValueError as error:
                problems.append(f"--search {text}: {error}")

    if problems:
        raise PlanError(problems)
    return space


def drawn(space: dict[str, Choices | Range], samples: int, seed: int) -> list[Setting]:
    """Draw different settings, the same for the same seed.

    They are all of a space of choices when there are no more than asked for. A larger number begins
    with the settings of a smaller one, unless the space is taken whole.
    """
    choices = [field.values for field in space.values() if isinstance(field, Choices)]
    if len(choices) == len(space) and math.prod(map(len, choices)) <= samples:
        return [dict(zip(space, values, strict=True)) for values in itertools.product(*choices)]

    generator = random.Random(seed)
    found: dict[str, Setting] = {}
    for _ in range(100 * samples):
        setting: Setting = {}
        for name, field in space.items():
            if isinstance(field, Choices):
                setting[name] = generator.choice(field.values)
            else:
                setting[name] = field.draw(generator)
        found.setdefault(repr(setting), setting)
        if len(found) == samples:
            break
    return list(found.values())


def build_search(
    space: dict[str, Choices | Range],
    samples: int,
    base: Specification,
    workload: AnyWorkload,
    *,
    resources: Resources,
    train_images: int | None,
    shape: ClusterShape | None,
) -> Plan:
    """Plan a search on a base recipe. Raises one PlanError that lists every violation."""
    problems = resource_problems(resources, shape)
    if not isinstance(workload, TrainedAlone):
        problems.append(
            f"tune: {workload.name} has no validation split to search by; `ablate` compares its "
            "settings"
        )
    if not 2 <= samples <= MOST_SAMPLES:
        problems.append(f"--samples {samples}: must lie between 2 and {MOST_SAMPLES}")

    cells: dict[str, PlannedCell] = {}
    for setting in drawn(space, samples, base.seed) if not problems else []:
        name = ", ".join(f"{field}={value}" for field, value in setting.items())
        try:
            spec = base.with_values(setting)
        except SpecError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
            continue
        problems += [
            f"{name}: {problem}"
            for problem in workload.problems(spec, train_images, resources.workers)
        ]
        cells.setdefault(
            spec.fingerprint(),
            PlannedCell((name,), spec.seed, spec, spec.fingerprint(), role="sample"),
        )

    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    return Plan(None, workload, "small", base, Ask(), tuple(cells.values()), resources)


def _space(text: str, of: type[Any], field: str) -> Choices | Range:
    low, dots, high = text.partition("..")
    if dots and not kinds_of(annotation_at(of, field)).text:
        first, last = _number(low), _number(high)
        if not 0 < first < last < math.inf:
            raise ValueError("a range needs two positive numbers, the smaller first")
        return Range(first, last)
    values = tuple(read_choices(text, of, field))
    if len(values) < 2 or len({repr(value) for value in values}) != len(values):
        raise ValueError("needs at least two choices, none twice")
    return Choices(values)


def _number(text: str) -> int | float:
    """Read a number, a whole one where it is written as one. Raises ValueError."""
    value = number_in(text.strip())
    if value is None:
        raise ValueError(f"{text.strip()!r} is no number")
    return value
