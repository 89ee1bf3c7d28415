"""Several comparisons in as few lines of text as read as exactly them.

Lines such as "SimCLR > supervised at every labels" stand for many comparisons. As with a single
one, what may be said is tried, and read again: it is taken if it says the same.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from search_spaces.claim_language.texts import (
    LanguageError,
    comparison_text,
    plain_text,
    read_comparisons,
)
from search_spaces.claim_language.writer import Cells, after, axis_text, means, number, rate_text
from search_spaces.claims import UNTRAINED, Comparison
from search_spaces.layout import Axis
from search_spaces.places import Place

__all__ = ["claim_texts"]

Comparisons = tuple[Comparison, ...]
_Line = tuple[str, int]  # a text, and how many comparisons it says


def claim_texts(comparisons: Sequence[Comparison], axes: Sequence[Axis]) -> list[str]:
    """Return lines that say these comparisons in their order, each as many as one line can."""
    lines: list[str] = []
    rest = tuple(comparisons)
    while rest:
        text, count = _longest(rest, axes)
        lines.append(text)
        rest = rest[count:]
    return lines


def _longest(rest: Comparisons, axes: Sequence[Axis]) -> _Line:
    """The line that says most of the first comparisons."""
    tried = [*_at_every(rest, axes), *_of_pairs(rest, axes), *_of_ones(rest, axes)]
    for text, count in sorted(tried, key=lambda line: -line[1]):
        try:
            if count > 1 and read_comparisons(text, axes) == rest[:count]:
                return text, count
        except LanguageError:
            continue
    return comparison_text(rest[0], axes), 1


# the same at every label of axes


def _at_every(rest: Comparisons, axes: Sequence[Axis]) -> Iterator[_Line]:
    for size in range(1, len(axes)):
        for along in itertools.permutations(range(len(axes)), size):
            yield from _along(rest, axes, along)


def _along(rest: Comparisons, axes: Sequence[Axis], along: tuple[int, ...]) -> Iterator[_Line]:
    first = rest[0]
    labels = [{at[k] for at in _places(first) if at != UNTRAINED} for k in along]
    if any(len(found) != 1 for found in labels):
        return
    every = [axes[k].labels for k in along]
    if len(along) == 1:  # from any label on
        every = [every[0][every[0].index(min(labels[0])) :]]
    count = 0
    for count, found in enumerate(itertools.product(*every), 1):
        at_label = dict(zip(along, found, strict=True))
        if count > len(rest) or not _alike(rest[count - 1], _set(first, at_label)):
            count -= 1
            break
    kept = [k for k in range(len(axes)) if k not in along]
    text = plain_text(_kept(first, kept), [axes[k] for k in kept])
    ends = [every[0][:count], *every[1:]] if len(along) == 1 else every
    names = " and ".join(axis_text(axes, k, found) for k, found in zip(along, ends, strict=True))
    yield f"{text} at every {names}", count


def _set(comparison: Comparison, labels: Mapping[int, str]) -> Comparison:
    """The comparison with these labels on these axes."""
    return _moved(comparison, lambda at: tuple(labels.get(k, one) for k, one in enumerate(at)))


def _kept(comparison: Comparison, axes: Sequence[int]) -> Comparison:
    """The comparison with the labels of these axes only."""
    return _moved(comparison, lambda at: tuple(at[k] for k in axes))


def _moved(comparison: Comparison, move: Callable[[Place], Place]) -> Comparison:
    terms = tuple(
        term if term.at == UNTRAINED else replace(term, at=move(term.at))
        for term in comparison.terms
    )
    return replace(comparison, terms=terms)


def _places(comparison: Comparison) -> list[Place]:
    return [term.at for term in comparison.terms]


def _alike(one: Comparison, other: Comparison) -> bool:
    return replace(one, label=other.label) == other


# one group above another


@dataclass(frozen=True)
class _Pair:
    """The two groups of "a > b", or of "a differs from b"."""

    better: tuple[Place, ...]
    worse: tuple[Place, ...]


def _of_pairs(rest: Comparisons, axes: Sequence[Axis]) -> Iterator[_Line]:
    pairs: list[_Pair] = []
    for one in rest:
        pair = _pair(one)
        alike = after(one) == after(rest[0]) and one.relation == rest[0].relation
        if pair is None or not alike:
            break
        pairs.append(pair)
    if len(pairs) < 2:
        return
    added, told = after(rest[0])
    if rest[0].relation == "within":
        yield from _each(
            pairs, axes, " differs from ", f" by less than {number(rest[0].bound)}{told}"
        )
        return
    better = Cells(axes).group(pairs[0].better)
    count = next((k for k, one in enumerate(pairs) if one.better != pairs[0].better), len(pairs))
    yield f"{better} > every other{added}{told}", count
    yield from _each(pairs, axes, " > ", added + told)
    by = f" by more than {number(rest[0].bound)}" if added else ""
    yield from _chains(pairs, axes, by + told)


def _each(pairs: Sequence[_Pair], axes: Sequence[Axis], sign: str, told: str) -> Iterator[_Line]:
    """One group against each of some cells, each of some against one, and each against each."""
    cells = Cells(axes)
    first, last = cells.group(pairs[0].better), cells.group(pairs[0].worse)
    count = next((k for k, one in enumerate(pairs) if one.better != pairs[0].better), len(pairs))
    others = [one.worse for one in pairs[:count]]
    yield f"{first}{sign}{cells.each(others)}{told}", count
    blocks = [pairs[k : k + count] for k in range(0, len(pairs) - count + 1, count)]
    same = [block for block in blocks if [one.worse for one in block] == others]
    if len(same) > 1 and same == blocks[: len(same)]:
        firsts = [block[0].better for block in same]
        yield f"{cells.each(firsts)}{sign}{cells.each(others)}{told}", count * len(same)
    count = next((k for k, one in enumerate(pairs) if one.worse != pairs[0].worse), len(pairs))
    yield f"{cells.each([one.better for one in pairs[:count]])}{sign}{last}{told}", count


def _pair(comparison: Comparison) -> _Pair | None:
    metrics = {term.metric for term in comparison.terms}
    if comparison.event or len(metrics) > 1:
        return None
    parts = means(comparison.terms)
    if [part.weight for part in parts] != [1, -1]:
        return None
    return _Pair(parts[0].places, parts[1].places)


def _chains(pairs: Sequence[_Pair], axes: Sequence[Axis], told: str) -> Iterator[_Line]:
    """What falls or rises from group to group."""
    cells = Cells(axes)
    for sign, word in ((">", "falls"), ("<", "rises")):
        steps = [(one.better, one.worse) for one in pairs]
        if sign == "<":
            steps = [(worse, better) for better, worse in steps]
        links = itertools.pairwise(steps)
        count = next((k for k, (one, two) in enumerate(links, 1) if one[1] != two[0]), len(steps))
        chain = [steps[0][0], *(step[1] for step in steps[:count])]
        yield from _trends(chain, axes, f"{word} with", told)
        yield f" {sign} ".join(map(cells.group, chain)) + told, count


def _trends(
    chain: Sequence[tuple[Place, ...]], axes: Sequence[Axis], words: str, told: str
) -> Iterator[_Line]:
    """A chain of groups as a trend along each axis on which they differ."""
    for k in range(len(axes)):
        if any(len({at[k] for at in group}) != 1 or UNTRAINED in group for group in chain):
            continue
        labels = [group[0][k] for group in chain]
        beside = [tuple(at[:k] + at[k + 1 :] for at in group) for group in chain]
        kept = [axis for j, axis in enumerate(axes) if j != k]
        if any(one != beside[0] for one in beside):
            continue
        head = f"{Cells(kept).group(beside[0])} " if kept else ""
        yield f"{head}{words} {axis_text(axes, k, labels)}{told}", len(chain) - 1


# single cells, and rates


def _of_ones(rest: Comparisons, axes: Sequence[Axis]) -> Iterator[_Line]:
    first = rest[0]
    term, bound = first.terms[0], first.bound
    if len(first.terms) != 1:
        return
    count = next((k for k, one in enumerate(rest) if not _differs_in_place(one, first)), len(rest))
    each = Cells(axes).each([_places(one) for one in rest[:count]])
    if first.event:
        _, margin = after(replace(first, terms=(replace(term, metric=None),)))
        yield f"{rate_text(term, first.event, each)} >= {number(bound)}{margin}", count
    else:
        side = "is above" if term.weight > 0 else "is below"
        yield f"{each} {side} {number(term.weight * bound)}{after(first)[1]}", count


def _differs_in_place(one: Comparison, other: Comparison) -> bool:
    """Whether two comparisons of one cell are alike but for that cell."""
    (term,) = other.terms
    return len(one.terms) == 1 and _alike(_moved(one, lambda _: term.at), other)
