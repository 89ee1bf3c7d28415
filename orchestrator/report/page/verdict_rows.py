"""Verdicts as a page shows them: each claim, and the comparisons behind it with their intervals."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.report.brief import brief, comparison_text, spread_text
from orchestrator.report.document import ComparisonDocument, VerdictDocument
from orchestrator.report.tables import ORDER

__all__ = ["MARKS", "Claim", "Forest", "Line", "claims_of", "tally"]

# Colour is never alone: each verdict has a sign as well.
MARKS = {
    "reproduced": "✓",
    "contradicted": "✗",
    "alike": "≈",
    "undecided": "?",
    "not asked": "·",
}
_WIDTH = 100.0  # of the drawing of an interval
_BESIDE = 0.08  # of its range, left free at both ends


@dataclass(frozen=True)
class Forest:
    """An interval drawn on a scale of 0 to 100: its ends, the estimate, and the bound."""

    low: float
    high: float
    estimate: float
    bound: float
    words: str


@dataclass(frozen=True)
class Line:
    """One comparison."""

    label: str
    verdict: str
    text: str
    forest: Forest | None


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict, in short and in whole, and its comparisons."""

    statement: str
    source: str
    verdict: str
    short: str
    sentence: str
    spread: str
    lines: Sequence[Line]


def claims_of(documents: Iterable[VerdictDocument]) -> list[Claim]:
    """Return claims in the order in which they are asked, their comparisons as in reports."""
    return [
        Claim(
            statement=one["claim"],
            source=one["source"],
            verdict=one["verdict"],
            short=brief(one),
            sentence=one["sentence"],
            spread=spread_text(one),
            lines=_lines(one["comparisons"]),
        )
        for one in documents
    ]


def tally(documents: Iterable[VerdictDocument]) -> Mapping[str, int]:
    """Count claims by verdict, in the order of `MARKS`; those that are not there are left out."""
    found = Counter(one["verdict"] for one in documents)
    return {verdict: found[verdict] for verdict in MARKS if found[verdict]}


def _lines(comparisons: Sequence[ComparisonDocument]) -> list[Line]:
    """Comparisons that have decided against the claim or are open come first."""
    ordered = sorted(comparisons, key=lambda one: ORDER[one["verdict"]])
    numbers = [number for one in ordered for number in _numbers(one)]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    beside = _BESIDE * (high - low) or 1.0
    return [
        Line(
            label=one["comparison"],
            verdict=one["verdict"],
            text=comparison_text(one),
            forest=_forest(one, low - beside, high + beside),
        )
        for one in ordered
    ]


def _numbers(one: ComparisonDocument) -> list[float]:
    """What is to be seen of a comparison; nothing where there is no interval."""
    if one["estimate"] is None or one["low"] is None or one["high"] is None:
        return []
    return [one["estimate"], one["low"], one["high"], one["bound"]]


def _forest(one: ComparisonDocument, low: float, high: float) -> Forest | None:
    if not (numbers := _numbers(one)):
        return None
    estimate, lower, upper, bound = (_WIDTH * (each - low) / (high - low) for each in numbers)
    words = f"{one['estimate']:.3g}, interval {one['low']:.3g} to {one['high']:.3g}"
    words += f", to be seen against {one['bound']:g}"
    return Forest(low=lower, high=upper, estimate=estimate, bound=bound, words=words)
