"""From two sums, or two rates, to the comparison of them and its label."""

from dataclasses import dataclass, replace

from search_spaces.claim_language.sums import Sum
from search_spaces.claims import (
    Comparison,
    Event,
    Term,
    beats,
    more_often,
    rate_above,
    similar,
    wider_gap,
)
from search_spaces.places import Place, named

__all__ = ["Rate", "Said"]


@dataclass(frozen=True)
class Said:
    """That one sum is above another by more than a bound, or within it of the other."""

    left: Sum
    right: Sum
    within: bool = False
    bound: float = 0.0

    def measured(self, metric: str | None) -> "Said":
        """Return the same of another metric."""
        return replace(self, left=self.left.measured(metric), right=self.right.measured(metric))

    @property
    def says_metric(self) -> bool:
        """Tell whether a cell has a metric of its own."""
        return any(part.metric for part in (*self.left.parts, *self.right.parts))

    def comparison(self) -> Comparison:
        """Return the comparison, with the label that its kind usually has.

        Raises ValueError if there is nothing to compare, or the bound is none.
        """
        if not self.left.parts and not self.right.parts:
            raise ValueError("there is no cell on either side, only numbers")
        metrics = {part.metric for part in (*self.left.parts, *self.right.parts)}
        if len(metrics) > 1:
            return self._labelled(self._any_label())
        return self.measured(None)._of_one_metric(next(iter(metrics), None))

    def _of_one_metric(self, metric: str | None) -> Comparison:
        left, right, bound = self.left, self.right, self._whole_bound()
        if left.is_group and right.is_group:
            one, other = left.parts[0].places, right.parts[0].places
            if self.within:
                return similar(one, other, within=bound, metric=metric)
            return beats(one, other, by=bound, metric=metric)
        if left.is_gap and right.is_gap and not self.within:
            (a, b), (c, d) = (
                (side.parts[0].places, side.parts[1].places) for side in (left, right)
            )
            return wider_gap((a, b), (c, d), by=bound, metric=metric)
        told = self._any_label() + (f" in {metric}" if metric else "")
        return self.measured(metric)._labelled(told)

    def _labelled(self, label: str) -> Comparison:
        weights: dict[tuple[Place, str | None], float] = {}
        for side, sign in ((self.left, 1), (self.right, -1)):
            for part in side.parts:
                for at in part.places:
                    key = at, part.metric
                    added = sign * part.weight / len(part.places)
                    weights[key] = weights.get(key, 0.0) + added
        return Comparison(
            label=label,
            terms=tuple(
                Term(at=at, weight=weight, metric=metric)
                for (at, metric), weight in weights.items()
                if weight
            ),
            bound=self._whole_bound(),
            relation="within" if self.within else "above",
        )

    def _whole_bound(self) -> float:
        """What the difference of the cells is held against."""
        if self.within:
            return self.bound
        return self.bound + self.right.constant - self.left.constant

    def _any_label(self) -> str:
        bound = self._whole_bound()
        if self.within:
            other = self.right.label() if self.right.parts else "0"
            return f"{self.left.label()} = {other} ± {bound:g}"
        if not self.left.parts:
            return f"{self.right.label()} < {0.0 - bound:g}"
        if not self.right.parts:
            return f"{self.left.label()} > {bound:g}"
        added = f" {'+' if bound > 0 else '-'} {abs(bound):g}" if bound else ""
        return f"{self.left.label()} > {self.right.label()}{added}"


@dataclass(frozen=True)
class Rate:
    """In which share of a cell's runs something happens."""

    at: Place
    metric: str | None
    event: Event

    def at_least(self, bound: float) -> Comparison:
        """Return the comparison that it is so much or more."""
        return rate_above(self.at, bound, metric=self.metric, event=self.event)

    def above(self, other: "Rate") -> Comparison:
        """Return the comparison that it is higher than another.

        Raises ValueError if they are not of the same event, or are one.
        """
        if self.event != other.event:
            raise ValueError("two rates are compared by the same event")
        if self.at == other.at and self.metric == other.metric:
            raise ValueError(f"the rate at {named(self.at)} is compared with itself")
        if self.metric == other.metric:
            return more_often(self.at, other.at, metric=self.metric, event=self.event)
        one, two = (f"{named(rate.at)}[{rate.metric or 'value'}]" for rate in (self, other))
        return Comparison(
            label=f"{self.event.side} {self.event.value:g} more often: {one} than {two}",
            terms=(
                Term(at=self.at, weight=1.0, metric=self.metric),
                Term(at=other.at, weight=-1.0, metric=other.metric),
            ),
            event=self.event,
        )
