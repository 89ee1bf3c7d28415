"""Claims that something rises or falls along an axis, from their text.

trend = [ group without AXIS ] ( "rises with" | "falls with" ) AXIS [ "from" LABEL "to" LABEL ]
"""

import itertools
import re
from collections.abc import Collection, Mapping

from search_spaces.claim_language.comparing import Said
from search_spaces.claim_language.scanner import Scanner
from search_spaces.claim_language.sums import Part, Sum, SumReader
from search_spaces.claims import UNTRAINED
from search_spaces.places import Place

__all__ = ["stretch", "trend", "unquoted"]

_LONGEST = 1_000_000  # characters that are read again for every label
_TREND = re.compile(r"\b(rises|falls)\s+with(?!\w)", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|(?<!\w)\'(?:[^\'\\]|\\.)*\'', re.DOTALL)


def trend(
    scanner: Scanner, cells: Collection[Place] | None, fixed: Mapping[int, str]
) -> list[Said]:
    """Read "rises with" and "falls with"; return nothing if the text has neither."""
    if (found := _TREND.search(unquoted(scanner.text))) is None:
        return []
    scanner.go(found.end())
    here = scanner.at
    k = scanner.axis()
    if k in fixed:
        raise scanner.error("that axis is said at its end, too", here)
    labels = stretch(scanner, k)
    groups = _beside(scanner, k, found.start(), labels, cells, fixed)
    rising = found[1].lower() == "rises"
    pairs = itertools.pairwise(groups if rising else groups[::-1])
    said = [Said(Sum((Part(after),)), Sum((Part(before),))) for before, after in pairs]
    return said if rising else said[::-1]


def stretch(scanner: Scanner, k: int) -> tuple[str, ...]:
    """Read the labels of an axis, or those between two."""
    labels = scanner.axes[k].labels
    if scanner.take("from"):
        start = scanner.at
        first = labels.index(scanner.label(k))
        scanner.must("to")
        last = labels.index(scanner.label(k))
        if last <= first:
            raise scanner.error(f"{labels[last]!r} comes before {labels[first]!r}", start)
        return labels[first : last + 1]
    return labels


def _beside(
    scanner: Scanner,
    k: int,
    end: int,
    labels: tuple[str, ...],
    cells: Collection[Place] | None,
    fixed: Mapping[int, str],
) -> list[tuple[Place, ...]]:
    """The group at each label of an axis; its place on the others stands before `end`."""
    if len(labels) * end > _LONGEST:
        raise scanner.error("the text is too long to be read for every label", end)
    groups: list[tuple[Place, ...]] = []
    for label in labels:
        head = Scanner(scanner.text[:end], scanner.axes)
        at = {**fixed, k: label}
        if len(at) == len(scanner.axes):
            head.take("it")
            groups.append((tuple(at[one] for one in range(len(at))),))
        else:
            groups.append(SumReader(head, None, at).group())
            if UNTRAINED in groups[-1]:
                raise head.error("the untrained encoder is on no axis", 0)
        if not head.ended:
            raise head.expected("'rises with' or 'falls with'")
    if cells is not None:
        groups = [group for group in groups if all(at in cells for at in group)]
    if len(groups) < 2:
        raise scanner.error("there are fewer than two cells along the axis", end)
    return groups


def unquoted(text: str) -> str:
    """Return the text with something else in place of what stands in quotes."""
    return _QUOTED.sub(lambda found: '"' * len(found[0]), text)
