"""The texts that may say a comparison, those that a person would rather read first.

Nothing here is sure to be read as what was meant: whoever asks reads each text again, and takes the
first that says the same. The last ones name every cell with its weight.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from search_spaces.claim_language.sums import Part
from search_spaces.claims import HAPPENED, UNTRAINED, Comparison, Event, Term
from search_spaces.layout import Axis
from search_spaces.places import Place

__all__ = ["Cells", "after", "axis_text", "means", "number", "quoted", "rate_text", "texts_of"]

_WORDS = re.compile(r"[\w./%'-]+( [\w./%'-]+)*")
# a label with one of these words stands in quotes, so that a reader need not know the labels
_OF_THE_LANGUAGE = {
    *("is", "in", "at", "by", "as", "of", "than", "more", "less", "with", "mean", "average"),
    *("each", "every", "other", "others", "rate", "beats", "differs", "rises", "falls", "alike"),
    *("within", "from", "to", "above", "below", "zero", "untrained"),
}


def texts_of(comparison: Comparison, axes: Sequence[Axis]) -> Iterator[str]:
    """Yield texts without the label, from the usual to the longest."""
    margin = _margin(comparison)
    for cells in (Cells(axes), Cells(axes, in_quotes=True)):
        texts = _rates(comparison, cells) if comparison.event else _values(comparison, cells)
        for text in texts:
            yield text + margin


def after(comparison: Comparison) -> tuple[str, str]:
    """Return what follows the cells of "a > b": by how much, and its metric and margin."""
    metric = comparison.terms[0].metric
    told = f" in {_metric(metric)}" if metric is not None else ""
    return _added(comparison.bound), told + _margin(comparison)


def rate_text(term: Term, event: Event | None, cell: str) -> str:
    """Return the rate of an event at a cell, or at each of some."""
    metric = "value" if term.metric is None else _metric(term.metric)
    if event is None or (event == HAPPENED and term.metric is not None):
        return f"rate of {metric} at {cell}"
    side = ">" if event.side == "above" else "<"
    return f"rate of {metric} {side} {number(event.value)} at {cell}"


def axis_text(axes: Sequence[Axis], k: int, labels: Sequence[str]) -> str:
    """Return the name of an axis, and from which label to which if these are not all."""
    cells, name = Cells(axes), axes[k].name.partition(" (")[0]
    alone = [axis.name.partition(" (")[0] for axis in axes].count(name) == 1
    text = cells.label(name if alone else axes[k].name)
    if len(labels) == len(axes[k].labels):
        return text
    return f"{text} from {cells.label(labels[0])} to {cells.label(labels[-1])}"


def _added(bound: float) -> str:
    return f" {'+' if bound > 0 else '-'} {number(abs(bound))}" if bound else ""


def _margin(comparison: Comparison) -> str:
    return "" if comparison.margin is None else f", alike within {number(comparison.margin)}"


def quoted(text: str) -> str:
    """Return a text in double quotes, as it is read again."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Cells:
    """How cells are written."""

    axes: Sequence[Axis]
    in_quotes: bool = False

    def group(self, places: Sequence[Place]) -> str:
        """Return a place, or the mean of several."""
        if len(places) == 1:
            return self.place(places[0])
        columns = [tuple(dict.fromkeys(labels)) for labels in zip(*places, strict=False)]
        if len(self.axes) > 1 and tuple(itertools.product(*columns)) == tuple(places):
            return f"mean of {', '.join(map(self._column, columns, self.axes))}"
        between = "; " if len(self.axes) > 1 else ", "
        return f"mean of ({between.join(map(self.place, places))})"

    def each(self, groups: Sequence[Sequence[Place]]) -> str:
        """Return each of some cells; a group of several is none, and reads as what is wrong."""
        places = [at for group in groups for at in group]
        several = "each of " if len(places) > 1 else ""
        return several + self.group(places).removeprefix("mean of ")

    def place(self, at: Place) -> str:
        """Return a place."""
        if at == UNTRAINED and (len(self.axes) > 1 or at[0] not in self.axes[0].labels):
            return "untrained"
        return ", ".join(map(self.label, at))

    def label(self, label: str) -> str:
        """Return a label, in quotes where it could be read as something else."""
        words = label.casefold().split(" ")
        if not self.in_quotes and _WORDS.fullmatch(label) and _OF_THE_LANGUAGE.isdisjoint(words):
            return label
        return quoted(label)

    def _column(self, labels: tuple[str, ...], axis: Axis) -> str:
        if len(labels) == 1:
            return self.label(labels[0])
        if labels == axis.labels:
            return "*"
        return f"{{{', '.join(map(self.label, labels))}}}"


def _rates(comparison: Comparison, cells: Cells) -> Iterator[str]:
    rates = [rate_text(term, comparison.event, cells.place(term.at)) for term in comparison.terms]
    yield f"{rates[0]} >= {number(comparison.bound)}" if len(rates) == 1 else " > ".join(rates)


def _values(comparison: Comparison, cells: Cells) -> Iterator[str]:
    metrics = {term.metric for term in comparison.terms}
    only = next(iter(metrics)) if len(metrics) == 1 else None
    told = f" in {_metric(only)}" if only is not None else ""
    terms = [replace(term, metric=None) for term in comparison.terms] if told else comparison.terms
    alone = [_part([term], term.weight) for term in terms]
    for parts in (means(terms), alone):
        if comparison.relation == "within":
            texts = _near(parts, comparison.bound, cells)
        else:
            texts = _above(parts, comparison.bound, cells)
        for text in texts:
            yield text + told


def _above(parts: list[Part], bound: float, cells: Cells) -> Iterator[str]:
    """What says that a sum is above a bound: as cells against cells, or against a number."""
    signs = [part.weight for part in parts]
    added = _added(bound)
    by = f" by more than {number(bound)}" if bound else ""
    if signs in ([1.0, -1.0], [1.0, -1.0, -1.0, 1.0]):
        sides = len(signs) // 2
        left, right = parts[:sides], [_turned(part) for part in parts[sides:]]
        text = f"{_side(left, cells)} > {_side(right, cells)}"
        yield from (text + added, text + by)
    if signs[0] < 0:
        turned = _sum([_turned(part) for part in parts], cells)
        yield from (f"{turned} < {number(-bound)}", f"{turned} is below {number(-bound)}")
    whole = _sum(parts, cells)
    yield from (f"{whole} > {number(bound)}", f"{whole} is above {number(bound)}")


def _near(parts: list[Part], bound: float, cells: Cells) -> Iterator[str]:
    if [part.weight for part in parts] == [1, -1]:
        one, other = (cells.group(part.places) for part in parts)
        yield f"{one} differs from {other} by less than {number(bound)}"
    yield f"{_sum(parts, cells)} is within {number(bound)} of zero"


def means(terms: Sequence[Term]) -> list[Part]:
    """Return the terms as parts: a mean where as many of equal weight follow each other."""
    parts: list[Part] = []
    while terms:
        first = terms[0]
        count = max(1, round(min(len(terms), 1 / abs(first.weight))))
        taken = terms[:count]
        mean = abs(first.weight) == 1 / count and all(
            (term.weight, term.metric) == (first.weight, first.metric) for term in taken
        )
        count = count if mean else 1
        weight = (1.0 if first.weight > 0 else -1.0) if mean else first.weight
        parts.append(_part(terms[:count], weight))
        terms = terms[count:]
    return parts


def _part(terms: Sequence[Term], weight: float) -> Part:
    return Part(tuple(term.at for term in terms), weight, terms[0].metric)


def _turned(part: Part) -> Part:
    return replace(part, weight=-part.weight)


def _side(parts: list[Part], cells: Cells) -> str:
    text = _sum(parts, cells)
    return text if len(parts) == 1 else f"({text})"


def _sum(parts: Sequence[Part], cells: Cells) -> str:
    text = ""
    for part in parts:
        sign = "-" if part.weight < 0 else "+"
        factor = "" if abs(part.weight) == 1 else f"{number(abs(part.weight))} * "
        metric = "" if part.metric is None else f"[{_metric(part.metric)}]"
        said = f"{factor}{cells.group(part.places)}{metric}"
        if text:
            text += f" {sign} {said}"
        else:
            text = f"-{said}" if sign == "-" else said
    return text


def number(value: float) -> str:
    """Return a number with all digits that tell it from its neighbours."""
    value = 0.0 + value
    return repr(value).removesuffix(".0")


def _metric(name: str) -> str:
    bare = re.fullmatch(r"[^\W\d][\w.:/-]*", name) and name != "value"
    return name if bare else quoted(name)
