"""Claims in a person's words: from a text to comparisons, and from a comparison to its text.

    a > b                                   one cell beats another, in the metric of the cells
    a > b + 3, a - b > 3                    by more than 3 points
    a > b by more than 3                    the same: here a number cannot be taken for a label
    a > 90, a is above 90, a is below 90    a cell against a number
    mean of (a, b) > mean of (c, d)         groups
    (a - b) > (c - d)                       one gap is wider than another
    0.5 * a + 0.5 * b - c > 0               any weighted sum
    a differs from b by less than 2         near each other; or: a - b is within 2 of zero
    rate of converged at a >= 0.9           in nine of ten runs or more
    rate of test_error < 1 at a > rate of test_error < 1 at b

    a > each of (b, c)                      several comparisons at once
    SimCLR > supervised at every labels     the same at every label of an axis
    a > every other                         cell; `every other AXIS`: along one axis only
    a is the highest, a is the lowest       among all cells; `is the best` is `is the highest`
    rises with AXIS, falls with AXIS        each label's cell against the one before
    SimCLR rises with AXIS from 1/8 to 1    with a fixed place on the other axes, between two labels

A cell is its label, or a label for each axis: `SimCLR, 1/8`. After a comparison may follow
`in METRIC`, `alike within NUMBER` and `as "LABEL"`; `a[METRIC]` is one cell's metric. Whatever the
text, the answer is comparisons or a LanguageError.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from search_spaces.claim_language.scanner import LanguageError, Scanner
from search_spaces.claim_language.statements import StatementReader
from search_spaces.claim_language.writer import quoted, texts_of
from search_spaces.claims import Comparison
from search_spaces.layout import Axis
from search_spaces.places import Place

__all__ = [
    "LanguageError",
    "comparison_text",
    "plain_text",
    "read_comparison",
    "read_comparisons",
]


def read_comparisons(
    text: str,
    axes: Sequence[Axis],
    cells: Collection[Place] | None = None,
    metric: str | None = None,
) -> tuple[Comparison, ...]:
    """Return the comparisons that a text asks for: one, or several of "rises with" and the like.

    `cells` are the places that have a cell, None if all of the axes do; `metric` is the one that
    cells are compared by, so that nobody calls the highest error the best. Raises LanguageError.
    """
    return StatementReader(Scanner(text, axes), cells, metric, {}).comparisons()


def read_comparison(text: str, axes: Sequence[Axis]) -> Comparison:
    """Return the one comparison that a text asks for. Raises LanguageError."""
    found = read_comparisons(text, axes)
    if len(found) != 1:
        raise LanguageError(f"these are {len(found)} comparisons, and one is wanted", 1)
    return found[0]


def comparison_text(comparison: Comparison, axes: Sequence[Axis]) -> str:
    """Return the shortest usual text that reads as exactly this comparison, its label included.

    Raises ValueError if a cell is not on the axes.
    """
    text = plain_text(comparison, axes)
    usual = read_comparison(text, axes).label == comparison.label
    return text if usual else f"{text} as {quoted(comparison.label)}"


def plain_text(comparison: Comparison, axes: Sequence[Axis]) -> str:
    """Return the text of a comparison without its label.

    Raises ValueError if a cell is not on the axes.
    """
    for text, found in _readings(comparison, axes):
        if replace(found, label=comparison.label) == comparison:
            return text
    raise ValueError(f"comparison {comparison.label!r}: has cells that are not on the axes")


def _readings(comparison: Comparison, axes: Sequence[Axis]) -> Iterator[tuple[str, Comparison]]:
    """The texts that may say it, those that read best first, and what each says."""
    for text in texts_of(comparison, axes):
        try:
            yield text, read_comparison(text, axes)
        except LanguageError:
            continue
