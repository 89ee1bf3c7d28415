"""Claims of the paper as ordered comparisons between cells, which results can support or not.

A comparison is a weighted sum of cells' values, in the metric's unit: points of percent, or nats.
Everything that the paper orders is one: a beats b (a - b), a beats the mean of others, a gain that
shrinks ((a - b) at few epochs minus the same at many), a value above a bound. One with an `event`
is about rates instead: in which share of the runs it happens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from search_spaces.places import Group, Place, named, places_of
from search_spaces.scope import Where, unmet

__all__ = [
    "POINTS_OF_IMAGENET",
    "UNTRAINED",
    "Claim",
    "Comparison",
    "Event",
    "Group",
    "Place",
    "Term",
    "above",
    "beats",
    "contrast",
    "more_often",
    "rate_above",
    "similar",
    "wider_gap",
]

UNTRAINED: Place = ("untrained",)  # the encoder before any training, evaluated in every sweep

# of `silent`
POINTS_OF_IMAGENET = (
    "The size is in points of ImageNet accuracy; other data are asked for the order only."
)


@dataclass(frozen=True, kw_only=True)
class Term:
    """A cell's value with a weight; `metric` None is the one that the cell is compared by."""

    at: Place
    weight: float
    metric: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight):
            raise ValueError(
                f"term {self.at!r}: weight {self.weight!r} must be finite and not zero"
            )


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a run does or does not: its value lies above a number, or below it.

    By default: a metric that is 1 for yes and 0 for no.
    """

    side: Literal["above", "below"] = "above"
    value: float = 0.5

    def happened(self, value: float) -> bool:
        """Whether a run with such a value did it."""
        return value > self.value if self.side == "above" else value < self.value


HAPPENED = Event()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A weighted sum of cells that is above a bound, or near zero.

    If `relation` is "within", the sum is no farther than `bound` from zero. With an `event` the
    values are rates: one cell's is `bound` or more, or of two cells the first has the higher rate.
    `margin` says of "a beats b" how far apart both may be and still be called alike; None leaves
    that to the metric.
    """

    label: str
    terms: tuple[Term, ...]
    bound: float = 0.0
    relation: Literal["above", "within"] = "above"
    event: Event | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if not self.label.strip() or not self.terms:
            raise ValueError(f"comparison {self.label!r}: needs a label and terms")
        if len({(term.at, term.metric) for term in self.terms}) != len(self.terms):
            raise ValueError(f"comparison {self.label!r}: names a cell twice")
        if not math.isfinite(self.bound) or (self.relation == "within" and self.bound <= 0):
            raise ValueError(
                f"comparison {self.label!r}: bound {self.bound!r} is none for {self.relation!r}"
            )
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise ValueError(f"comparison {self.label!r}: margin {self.margin!r} must be above 0")
        weights = [term.weight for term in self.terms]
        if self.event is not None and not (
            self.relation == "above"
            and ((weights == [1] and 0 < self.bound < 1) or (weights == [1, -1] and not self.bound))
        ):
            raise ValueError(
                f"comparison {self.label!r}: is about rates, and so needs one cell and a bound "
                "between 0 and 1, or two cells and none"
            )


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement of the paper, and the comparisons that must all hold at each scale.

    `source` is where the paper makes it. At a scale without comparisons the claim cannot be asked,
    and `silent` says why. It is asked of recipes that meet `asked_where`. `not_here` is why it is
    not asked of the recipe at hand, as `asked_of` has found.
    """

    statement: str
    source: str
    paper: tuple[Comparison, ...]
    small: tuple[Comparison, ...]
    silent: str = ""
    asked_where: tuple[Where, ...] = ()
    not_here: str = ""

    def __post_init__(self) -> None:
        if not self.statement.strip() or not self.source.strip():
            raise ValueError(f"claim {self.statement!r} from {self.source!r}: needs both")
        if not self.paper and not self.small:
            raise ValueError(f"claim {self.statement!r}: has no comparison")
        if (not self.paper or not self.small) != bool(self.silent.strip()):
            raise ValueError(
                f"claim {self.statement!r}: says why it is silent if and only if a scale has no "
                "comparison"
            )
        for comparisons in (self.paper, self.small):
            labels = [comparison.label for comparison in comparisons]
            if len(set(labels)) != len(labels):
                raise ValueError(f"claim {self.statement!r}: labels {labels!r} have duplicates")

    @classmethod
    def alike(
        cls, statement: str, source: str, *comparisons: Comparison, where: tuple[Where, ...] = ()
    ) -> "Claim":
        """Make a claim that is asked by the same comparisons at both scales."""
        return cls(
            statement=statement,
            source=source,
            paper=comparisons,
            small=comparisons,
            asked_where=where,
        )

    @classmethod
    def paper_only(
        cls,
        statement: str,
        source: str,
        *comparisons: Comparison,
        silent: str,
        where: tuple[Where, ...] = (),
    ) -> "Claim":
        """Make a claim that only the paper's cells can be asked; `silent` says why."""
        return cls(
            statement=statement,
            source=source,
            paper=comparisons,
            small=(),
            silent=silent,
            asked_where=where,
        )

    def comparisons(self, scale: Literal["paper", "small"]) -> tuple[Comparison, ...]:
        """Return what must hold at one scale, and nothing of a claim that is not asked."""
        if self.not_here:
            return ()
        return self.paper if scale == "paper" else self.small

    def why_not_asked(self, scale: Literal["paper", "small"]) -> str:
        """Return the sentence that stands for the verdict where there is no comparison."""
        if self.not_here:
            return f"not asked here: {self.not_here}"
        return f"not asked at the {scale} scale: {self.silent}"

    def asked_of(self, recipe: Mapping[str, object], without: Mapping[Place, str]) -> "Claim":
        """Return the claim as far as it has a meaning on a recipe, by its dotted fields.

        Comparisons with cells of `without`, which maps them to the reason, are left out.
        """
        if reason := unmet(self.asked_where, recipe):
            return replace(self, not_here=reason)

        lost = {one: _lost(one, without) for one in (*self.paper, *self.small)}
        paper = tuple(one for one in self.paper if not lost[one])
        small = tuple(one for one in self.small if not lost[one])
        reason = next(filter(None, lost.values()), "")
        if not paper and not small:
            return replace(self, not_here=reason)
        silent = self.silent or ("" if paper and small else reason)
        return replace(self, paper=paper, small=small, silent=silent)


def beats(
    better: Group,
    worse: Group,
    *,
    by: float = 0.0,
    metric: str | None = None,
    margin: float | None = None,
) -> Comparison:
    """Require that the mean of the better cells be more than `by` above that of the worse ones.

    A negative `by` asks for no more than "not worse by as much". `margin` is how far apart both may
    be and still be called alike.
    """
    label = f"{named(better)} > {named(worse)}{_added(by)}"
    return Comparison(
        label=_told(label, metric),
        terms=_difference((better, 1), (worse, -1), metric=metric),
        bound=by,
        margin=margin,
    )


def similar(one: Group, other: Group, *, within: float, metric: str | None = None) -> Comparison:
    """Require that the means of two groups of cells lie no farther than `within` apart."""
    return Comparison(
        label=_told(f"{named(one)} = {named(other)} ± {within:g}", metric),
        terms=_difference((one, 1), (other, -1), metric=metric),
        bound=within,
        relation="within",
    )


def above(at: Place, bound: float, *, metric: str | None = None) -> Comparison:
    """Require that a cell's value be above a bound."""
    label = _told(f"{named(at)} > {bound:g}", metric)
    return Comparison(label=label, terms=(Term(at=at, weight=1.0, metric=metric),), bound=bound)


def rate_above(
    at: Place, bound: float, *, metric: str | None = None, event: Event = HAPPENED
) -> Comparison:
    """Require that in a share of `bound` or more of a cell's runs the event happen."""
    label = f"{named(at)}: {_event(metric, event)} in {100 * bound:g} % of runs or more"
    return Comparison(
        label=label, terms=(Term(at=at, weight=1.0, metric=metric),), bound=bound, event=event
    )


def more_often(
    one: Place, other: Place, *, metric: str | None = None, event: Event = HAPPENED
) -> Comparison:
    """Require that the event happen in a larger share of one cell's runs than of the other's."""
    label = f"{_event(metric, event)} more often: {named(one)} than {named(other)}"
    return Comparison(
        label=label, terms=_difference((one, 1), (other, -1), metric=metric), event=event
    )


def contrast(
    label: str, weights: Mapping[Place, float], *, bound: float = 0.0, metric: str | None = None
) -> Comparison:
    """Require that a weighted sum of cells be above `bound`: for gains of gains."""
    terms = tuple(Term(at=at, weight=weight, metric=metric) for at, weight in weights.items())
    return Comparison(label=label, terms=terms, bound=bound)


def wider_gap(
    wide: tuple[Group, Group],
    narrow: tuple[Group, Group],
    *,
    by: float = 0.0,
    metric: str | None = None,
) -> Comparison:
    """Require that one gap between groups exceed another: (a - b) - (c - d) > `by`."""
    (a, b), (c, d) = wide, narrow
    label = f"({named(a)} - {named(b)}) > ({named(c)} - {named(d)}){_added(by)}"
    terms = _difference((a, 1), (b, -1), (c, -1), (d, 1), metric=metric)
    return Comparison(label=_told(label, metric), terms=terms, bound=by)


def _lost(comparison: Comparison, without: Mapping[Place, str]) -> str:
    """Why one of the comparison's cells is not there; empty if all are."""
    return next((without[term.at] for term in comparison.terms if term.at in without), "")


def _difference(*groups: tuple[Group, int], metric: str | None) -> tuple[Term, ...]:
    """The signed means of groups as one sum; the weights of a cell in several groups add up."""
    weights: dict[Place, float] = {}
    for group, sign in groups:
        places = places_of(group)
        for at in places:
            weights[at] = weights.get(at, 0.0) + sign / len(places)
    return tuple(
        Term(at=at, weight=weight, metric=metric) for at, weight in weights.items() if weight
    )


def _added(by: float) -> str:
    return f" {'+' if by > 0 else '-'} {abs(by):g}" if by else ""


def _event(metric: str | None, event: Event) -> str:
    """The event in words; the metric of a cell's own is its value."""
    if event == HAPPENED and metric:
        return metric.replace("_", " ")
    return f"{metric or 'value'} {event.side} {event.value:g}"


def _told(label: str, metric: str | None) -> str:
    return f"{label} in {metric}" if metric else label
