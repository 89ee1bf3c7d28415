"""When a comparison is looked at, and what part of the level each look may spend.

Looking again and again at the full level would find anything in the end. There are three ways to
keep it:

- one look, at whatever seeds there are, has the whole level: fair when their number was not chosen
  by looking at results (`Looks()`);
- looks that were planned before the first, to a maximum of K seeds: the one at n seeds has
  (n / K)^2 - (n' / K)^2 of the level, n' being the look before (the spending of Kim and DeMets
  1987);
- looks that nobody planned: the k-th has 6 / (pi^2 k^2) of the level, which adds up to all of it
  however many there will be.

A storage keeps what was looked at, so that the three can follow each other (`is_kept`): then one
look is the first of those that nobody planned, and a plan spends nine tenths of what the looks
before it have left, so that there is something for those who come after it. Shares are added up
without assuming anything on how looks depend on each other (Bonferroni), so a comparison keeps its
level. The verdict is that of the first look that decides, whatever comes later. A look at the
number of seeds of an earlier one is that look, one at fewer is none, and so is one at which nothing
could have been decided.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["Look", "Looks", "looks_up_to", "merged", "next_look"]

RESERVE = 0.1  # of what is left when a plan is made: for the looks that come after it


@dataclass(frozen=True)
class Look:
    """A look at so many seeds, the part of the level that it may spend, and the plan it was of."""

    seeds: int
    share: float
    plan: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.seeds < 2 or not 0 <= self.share <= 1:
            raise ValueError(f"{self!r}: needs two seeds or more, and a share between 0 and 1")


@dataclass(frozen=True)
class Looks:
    """Numbers of seeds fixed beforehand (`planned`), and looks that were `taken`.

    Unless a storage keeps the looks (`is_kept`), neither stands for one look at all seeds.
    """

    planned: tuple[int, ...] = ()
    taken: tuple[Look, ...] = ()
    is_kept: bool = False

    def __post_init__(self) -> None:
        taken = [look.seeds for look in self.taken]
        for numbers in (list(self.planned), taken):
            if any(n < 2 for n in numbers) or numbers != sorted(set(numbers)):
                raise ValueError(
                    f"looks {numbers!r}: must be increasing numbers of seeds from 2 on"
                )
        if math.fsum(look.share for look in self.taken) > 1 + 1e-9:
            raise ValueError(f"looks {self.taken!r}: have spent more than there is")

    @property
    def left(self) -> float:
        """What part of the level the looks that were taken have left."""
        return max(0.0, 1 - math.fsum(look.share for look in self.taken))

    def due(self, seeds: int, *, fewest: int = 2) -> list[Look]:
        """Return the looks that so many seeds allow, in order, one that is taken now included.

        Those at fewer than `fewest` seeds can decide nothing: a plan keeps their share for later.
        """
        if self._is_single:
            return [Look(seeds, 1.0)] if seeds >= max(2, fewest) else []
        looks = self.after(seeds, fewest=fewest).taken
        return [look for look in looks if fewest <= look.seeds <= seeds and look.share]

    def after(self, seeds: int, *, fewest: int = 2) -> "Looks":
        """Return the looks once all have been taken that so many seeds allow."""
        looks = self
        if self._is_single or seeds < max(2, fewest):
            return looks
        for n in self.planned:
            if fewest <= n <= seeds and n > looks._last_taken:
                looks = looks._with(looks._planned_look(n, fewest))
        is_planned = not self.is_kept or (self.planned and seeds <= self.planned[-1])
        if not is_planned and seeds > looks._last_taken:
            looks = looks._with(next_look(looks, seeds))
        return looks

    def share(self, seeds: int, *, fewest: int = 2) -> float:
        """Return what the look at so many seeds may spend, were it the next.

        Of a plan that is the look which has so many seeds or more; past its end, that of a plan
        with so many at its end, or of a storage the next that nobody planned.
        """
        for look in self.taken:
            if look.seeds == seeds:
                return look.share
        if self._is_single:
            return 1.0
        counted = self._counted(fewest)
        if counted and (seeds <= counted[-1] or not self.is_kept):
            n = min((n for n in counted if n >= seeds), default=counted[-1])
            return self._planned_look(n, fewest).share
        return next_look(self, seeds).share

    @property
    def _last_taken(self) -> int:
        return self.taken[-1].seeds if self.taken else 0

    @property
    def _is_single(self) -> bool:
        return not (self.planned or self.taken or self.is_kept)

    def _with(self, look: Look) -> "Looks":
        return replace(self, taken=(*self.taken, look))

    def _counted(self, fewest: int) -> list[int]:
        """The planned numbers of seeds at which something can be decided, taken ones included."""
        before = max((look.seeds for look in self.taken if look.plan != self.planned), default=0)
        return [n for n in self.planned if n >= fewest and n > before]

    def _planned_look(self, seeds: int, fewest: int) -> Look:
        """The plan's look at so many seeds: its part of what looks before the plan have left."""
        others = [look for look in self.taken if look.plan != self.planned]
        budget = max(0.0, 1 - math.fsum(look.share for look in others))
        if self.is_kept:
            budget *= 1 - RESERVE
        counted = self._counted(fewest)
        first = max((look.seeds for look in others), default=0)
        before = max((n for n in counted if n < seeds), default=first)
        part = (seeds**2 - before**2) / (counted[-1] ** 2 - first**2)
        return Look(seeds, min(self.left, budget * part), self.planned)


def next_look(looks: Looks, seeds: int) -> Look:
    """Return the look at so many seeds: the same if it was taken, else the next without a plan.

    It never has more than is left.
    """
    for look in looks.taken:
        if look.seeds == seeds:
            return look
    k = len(looks.taken) + 1
    return Look(seeds, min(looks.left, 6 / (math.pi * k) ** 2))


def merged(looks: Iterable[Look]) -> tuple[Look, ...]:
    """Return looks that several have taken as one sequence, which spends what there is at most.

    Two that looked at the same time may have thought that they were the same one in a row.
    """
    found: dict[int, Look] = {}
    for look in looks:
        same = found.get(look.seeds)
        if same is None or look.share > same.share:
            found[look.seeds] = look

    left, sequence = 1.0, list[Look]()
    for _, look in sorted(found.items()):
        sequence.append(replace(look, share=min(look.share, max(0.0, left))))
        left -= look.share
    return tuple(sequence)


def looks_up_to(first: int, max_seeds: int) -> tuple[int, ...]:
    """Return numbers of seeds at which to look, each about 1.4 times the one before.

    From 3 to 9 these are 3, 4, 6, 8 and 9. Raises ValueError for fewer than two seeds at first, or
    fewer at the end than at first.
    """
    if not 2 <= first <= max_seeds:
        raise ValueError(
            f"looks from {first!r} to {max_seeds!r} seeds: need at least 2, and no fewer at the end"
        )
    looks = [first]
    while looks[-1] < max_seeds:
        looks.append(min(max_seeds, max(looks[-1] + 1, round(1.4 * looks[-1]))))
    return tuple(looks)
