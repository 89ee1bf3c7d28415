"""Where the values of a search lie on their axes, and how they are written there."""

import math

from orchestrator.plan.space import Choices, Range
from orchestrator.report.figures.letters import cut
from workloads.written import as_assigned

__all__ = ["height", "marks", "place", "value_text"]

LONGEST = 22  # letters of a choice at an axis


def height(values: Choices | Range, value: object) -> float:
    """Return where a value lies between the ends of its axis, which are 0 and 1."""
    at = place(values, value)
    if isinstance(values, Choices):
        return at / (len(values.values) - 1)
    if values.linear:
        return (at - values.low) / (values.high - values.low)
    return math.log(at / values.low) / math.log(values.high / values.low)


def marks(values: Choices | Range) -> tuple[object, ...]:
    """Return the values that an axis names: all choices, or the ends of a range."""
    return values.values if isinstance(values, Choices) else (values.low, values.high)


def place(values: Choices | Range, value: object) -> float:
    """Return where a value lies on its axis: a choice by its position."""
    if isinstance(values, Choices):
        return float(values.values.index(value))
    assert isinstance(value, int | float), "of a range"
    return float(value)


def value_text(value: object) -> str:
    """Return a value as it stands at an axis, cut where it is long."""
    return f"{value:g}" if isinstance(value, float) else cut(as_assigned(value), LONGEST)
