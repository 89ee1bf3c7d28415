"""The texts that may say a comparison, those that a person would rather read first.

Nothing here is sure to be read as what was meant: whoever asks reads each text again, and takes the
first that says the same. The last ones name every cell with its weight.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from search_spaces.claim_sums import Part
from search_spaces.claims import HAPPENED, UNTRAINED, Comparison, Term
from search_spaces.layout import Axis
from search_spaces.places import Place

__all__ = ["quoted", "texts_of"]

_WORDS = re.compile(r"[\w./%'-]+( [\w./%'-]+)*")
# a label with one of these words stands in quotes, so that a reader need not know the labels
_OF_THE_LANGUAGE = {
    *("is", "in", "at", "by", "as", "of", "than", "more", "less", "with", "mean", "average"),
    *("each", "every", "other", "others", "rate", "beats", "differs", "rises", "falls", "alike"),
    *("within", "from", "to", "above", "below", "zero", "untrained"),
}


def texts_of(comparison: Comparison, axes: Sequence[Axis]) -> Iterator[str]:
    """Yield texts without the label, from the usual to the longest."""
    margin = "" if comparison.margin is None else f", alike within {_number(comparison.margin)}"
    for cells in (_Cells(axes), _Cells(axes, in_quotes=True)):
        texts = _rates(comparison, cells) if comparison.event else _values(comparison, cells)
        for text in texts:
            yield text + margin


def quoted(text: str) -> str:
    """Return a text in double quotes, as it is read again."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class _Cells:
    """How cells are written."""

    axes: Sequence[Axis]
    in_quotes: bool = False

    def group(self, places: Sequence[Place]) -> str:
        if len(places) == 1:
            return self.place(places[0])
        columns = [tuple(dict.fromkeys(labels)) for labels in zip(*places, strict=False)]
        if len(self.axes) > 1 and tuple(itertools.product(*columns)) == tuple(places):
            return f"mean of {', '.join(map(self._column, columns, self.axes))}"
        between = "; " if len(self.axes) > 1 else ", "
        return f"mean of ({between.join(map(self.place, places))})"

    def place(self, at: Place) -> str:
        if at == UNTRAINED and (len(self.axes) > 1 or at[0] not in self.axes[0].labels):
            return "untrained"
        return ", ".join(map(self.label, at))

    def label(self, label: str) -> str:
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


def _rates(comparison: Comparison, cells: _Cells) -> Iterator[str]:
    event = comparison.event
    assert event is not None

    def rate(term: Term) -> str:
        metric = "value" if term.metric is None else _metric(term.metric)
        said = f" {'>' if event.side == 'above' else '<'} {_number(event.value)}"
        if event == HAPPENED and term.metric is not None:
            said = ""
        return f"rate of {metric}{said} at {cells.place(term.at)}"

    if len(comparison.terms) == 1:
        yield f"{rate(comparison.terms[0])} >= {_number(comparison.bound)}"
    else:
        yield " > ".join(map(rate, comparison.terms))


def _values(comparison: Comparison, cells: _Cells) -> Iterator[str]:
    metrics = {term.metric for term in comparison.terms}
    only = next(iter(metrics)) if len(metrics) == 1 else None
    told = f" in {_metric(only)}" if only is not None else ""
    terms = [replace(term, metric=None) for term in comparison.terms] if told else comparison.terms
    alone = [_part([term], term.weight) for term in terms]
    for parts in (_means(terms), alone):
        if comparison.relation == "within":
            texts = _near(parts, comparison.bound, cells)
        else:
            texts = _above(parts, comparison.bound, cells)
        for text in texts:
            yield text + told


def _above(parts: list[Part], bound: float, cells: _Cells) -> Iterator[str]:
    """What says that a sum is above a bound: as cells against cells, or against a number."""
    signs = [part.weight for part in parts]
    added = f" {'+' if bound > 0 else '-'} {_number(abs(bound))}" if bound else ""
    by = f" by more than {_number(bound)}" if bound else ""
    if signs in ([1.0, -1.0], [1.0, -1.0, -1.0, 1.0]):
        sides = len(signs) // 2
        left, right = parts[:sides], [_turned(part) for part in parts[sides:]]
        text = f"{_side(left, cells)} > {_side(right, cells)}"
        yield from (text + added, text + by)
    if signs[0] < 0:
        turned = _sum([_turned(part) for part in parts], cells)
        yield from (f"{turned} < {_number(-bound)}", f"{turned} is below {_number(-bound)}")
    whole = _sum(parts, cells)
    yield from (f"{whole} > {_number(bound)}", f"{whole} is above {_number(bound)}")


def _near(parts: list[Part], bound: float, cells: _Cells) -> Iterator[str]:
    if [part.weight for part in parts] == [1, -1]:
        one, other = (cells.group(part.places) for part in parts)
        yield f"{one} differs from {other} by less than {_number(bound)}"
    yield f"{_sum(parts, cells)} is within {_number(bound)} of zero"


def _means(terms: Sequence[Term]) -> list[Part]:
    """The terms, where so many of equal weight follow each other that they are a mean, as one."""
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


def _side(parts: list[Part], cells: _Cells) -> str:
    text = _sum(parts, cells)
    return text if len(parts) == 1 else f"({text})"


def _sum(parts: Sequence[Part], cells: _Cells) -> str:
    text = ""
    for part in parts:
        sign = "-" if part.weight < 0 else "+"
        factor = "" if abs(part.weight) == 1 else f"{_number(abs(part.weight))} * "
        metric = "" if part.metric is None else f"[{_metric(part.metric)}]"
        said = f"{factor}{cells.group(part.places)}{metric}"
        if text:
            text += f" {sign} {said}"
        else:
            text = f"-{said}" if sign == "-" else said
    return text


def _number(value: float) -> str:
    """A number with all digits that tell it from its neighbours."""
    value = 0.0 + value
    return repr(value).removesuffix(".0")


def _metric(name: str) -> str:
    bare = re.fullmatch(r"[^\W\d][\w.:/-]*", name) and name != "value"
    return name if bare else quoted(name)
