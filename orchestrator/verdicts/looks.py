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

A plan that was made after looks were taken spends what they have left. Shares are added up without
assuming anything on how looks depend on each other (Bonferroni), so a comparison keeps its level.
The verdict is that of the first look that decides, whatever comes later. A look at the number of
seeds of an earlier one is that look.
"""

import math
from dataclasses import dataclass

__all__ = ["Look", "Looks", "looks_up_to", "next_look"]


@dataclass(frozen=True)
class Look:
    """A look at so many seeds, and the part of the level that it may spend, above 0 to 1."""

    seeds: int
    share: float

    def __post_init__(self) -> None:
        if self.seeds < 2 or not 0 <= self.share <= 1:
            raise ValueError(f"{self!r}: needs two seeds or more, and a share between 0 and 1")


@dataclass(frozen=True)
class Looks:
    """Numbers of seeds fixed beforehand (`planned`), and looks that were `taken` without a plan.

    Neither stands for one look at all seeds.
    """

    planned: tuple[int, ...] = ()
    taken: tuple[Look, ...] = ()

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

    @property
    def last(self) -> int | None:
        """The number of seeds after which nothing is planned; None without a plan."""
        return self.planned[-1] if self.planned else None

    def due(self, seeds: int, *, fewest: int = 2) -> list[Look]:
        """Return the looks that so many seeds allow, in order.

        Those at fewer than `fewest` seeds can decide nothing: a plan keeps their share for later.
        """
        if not self.planned and not self.taken:
            return [Look(seeds, 1.0)] if seeds >= max(2, fewest) else []
        looks = {look.seeds: look for look in self.taken}
        looks |= {n: Look(n, self.share(n, fewest=fewest)) for n in self.planned if n not in looks}
        return [looks[n] for n in sorted(looks) if fewest <= n <= seeds]

    def share(self, seeds: int, *, fewest: int = 2) -> float:
        """Return what the look at so many seeds may spend.

        Of a plan that is the look which has so many seeds or more, past its end the last one.
        """
        taken = {look.seeds: look.share for look in self.taken}
        if seeds in taken:
            return taken[seeds]
        if not self.planned:
            return next_look(self, seeds).share if self.taken else 1.0
        last = self.planned[-1]
        counted = [n for n in self.planned if n >= fewest and n not in taken] or [last]
        look = min((n for n in counted if n >= seeds), default=counted[-1])
        before = max((n for n in counted if n < look), default=0)
        return self.left * (look**2 - before**2) / counted[-1] ** 2


def next_look(looks: Looks, seeds: int) -> Look:
    """Return the look at so many seeds: the same if it was taken, else the next without a plan.

    It never has more than is left.
    """
    for look in looks.taken:
        if look.seeds == seeds:
            return look
    k = len(looks.taken) + 1
    return Look(seeds, min(looks.left, 6 / (math.pi * k) ** 2))


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
