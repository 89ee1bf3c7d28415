"""A space to search in: fields with choices or ranges, and settings drawn from it. Pure."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import PlanError
from workloads.field_types import annotation_at, kinds_of
from workloads.spec import unknown_field
from workloads.written import as_assigned, read_choices
from workloads.yaml_nodes import number_in

__all__ = [
    "Choices",
    "Range",
    "Setting",
    "Space",
    "assignments_of",
    "draws",
    "read_space",
    "read_values",
    "setting_name",
    "shown",
]

Setting = dict[str, object]
LINEAR = "linear:"
MISSES = 1000  # draws of known settings, one after the other, after which no new one is expected


@dataclass(frozen=True)
class Choices:
    """A field that takes one of these values."""

    values: tuple[object, ...]

    def draw(self, generator: random.Random) -> object:
        """Draw a value."""
        return generator.choice(self.values)

    def tree(self) -> dict[str, object]:
        """Return plain values."""
        return {"choices": list(self.values)}


@dataclass(frozen=True)
class Range:
    """A number between two, uniform in its logarithm or `linear`; whole when both ends are."""

    low: float
    high: float
    linear: bool = False

    @property
    def whole(self) -> bool:
        """True for a range of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, generator: random.Random) -> object:
        """Draw a value."""
        if self.linear:
            return self.near(generator.uniform(self.low, self.high))
        return self.near(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))

    def near(self, value: float) -> int | float:
        """Return the value of the range next to a number: whole, or of four digits."""
        nearest = round(value) if self.whole else float(f"{value:.4g}")
        return min(max(nearest, self.low), self.high)

    def tree(self) -> dict[str, object]:
        """Return plain values."""
        return {"low": self.low, "high": self.high, "linear": self.linear}


Space = Mapping[str, Choices | Range]


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
                space[field] = _values(values, of, field)
            except ValueError as error:
                problems.append(f"--search {text}: {error}")

    if problems:
        raise PlanError(problems)
    return space


def read_values(tree: Mapping[str, Any]) -> Choices | Range:
    """Read the values of a field as `tree` gives them. Raises KeyError for what is neither."""
    if "choices" in tree:
        return Choices(tuple(tree["choices"]))
    return Range(tree["low"], tree["high"], tree["linear"])


def draws(space: Space, seed: int) -> Iterator[Setting]:
    """Draw different settings, the same for the same seed; in the end all of a space of choices."""
    generator, seen, misses = random.Random(seed), set[str](), 0
    while misses < MISSES:
        setting = {name: field.draw(generator) for name, field in space.items()}
        misses += 1
        if repr(setting) not in seen:
            seen.add(repr(setting))
            misses = 0
            yield setting
    choices = [field.values for field in space.values() if isinstance(field, Choices)]
    if len(choices) == len(space):
        for values in itertools.product(*choices):
            setting = dict(zip(space, values, strict=True))
            if repr(setting) not in seen:
                yield setting


def setting_name(setting: Setting) -> str:
    """Return the name of a setting for people."""
    return ", ".join(assignments_of(setting))


def assignments_of(setting: Setting) -> list[str]:
    """Return what `--set` takes for each field."""
    return [f"{field}={as_assigned(value)}" for field, value in setting.items()]


def shown(space: Space) -> list[str]:
    """Describe each field of a space in a line."""
    lines = []
    for name, field in space.items():
        if isinstance(field, Choices):
            values = ", ".join(map(as_assigned, field.values))
            lines.append(f"{name}: one of {values}")
        else:
            how = "linear" if field.linear else "uniform in the logarithm"
            whole = "whole numbers, " if field.whole else ""
            lines.append(f"{name}: {field.low:g} to {field.high:g}, {whole}{how}")
    return lines


def _values(text: str, of: type[Any], field: str) -> Choices | Range:
    if unknown := unknown_field(of, field):
        raise ValueError(unknown)
    linear = text.strip().startswith(LINEAR)
    low, dots, high = text.strip().removeprefix(LINEAR).partition("..")
    if linear and not dots:
        raise ValueError(f"{LINEAR} is of a range, {LINEAR}low..high")
    kinds = kinds_of(annotation_at(of, field))
    if dots and not kinds.text:
        first, last = _number(low), _number(high)
        if kinds.fraction:
            first, last = float(first), float(last)
        if linear and not -math.inf < first < last < math.inf:
            raise ValueError("a range needs two numbers, the smaller first")
        if not linear and not 0 < first < last < math.inf:
            raise ValueError(
                f"a range needs two positive numbers, the smaller first; {LINEAR}low..high takes "
                "others"
            )
        return Range(first, last, linear)
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
