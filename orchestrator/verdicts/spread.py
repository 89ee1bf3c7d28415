"""The spread between seeds that the cells of a sweep share, metric by metric."""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.claims import Place

__all__ = ["Spread", "spread_of"]


@dataclass(frozen=True)
class Spread:
    """The values of all cells of a sweep; `own` is the metric that each is compared by."""

    values: Mapping[tuple[Place, str | None], Mapping[int, float]]
    own: Mapping[Place, str]


def spread_of(
    values: Mapping[tuple[Place, str | None], Mapping[int, float]],
    own: Mapping[Place, str] | None = None,
) -> Spread:
    """Return what a sweep says of the spread between seeds.

    `values` are those of every cell, and of every metric that a claim asks for: (cell, metric or
    None for its own) -> seed -> value. `own` names the metrics that None stands for; cells of one
    metric are pooled.
    """
    return Spread(values, own or {})
