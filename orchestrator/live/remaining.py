"""When a sweep will end, by what has been measured of its runs so far. Pure.

What was expected of a run says how long it is beside others; how fast this machine is, the runs
say that have ended, and the epochs of those that run. So the end corrects itself.
"""

import heapq
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Pace", "left_of", "seconds_left"]

TRUSTED = 0.2  # the share of a run from which on its own epochs alone tell its length


@dataclass(frozen=True)
class Pace:
    """How far one run, or a pack of runs, is: seconds since it began, none for one that waits.

    `expected` is its length beside that of others, in seconds of a machine as fast as was thought.
    `ended` has a length that is known. Of `epochs` it has done `done` here, after those of an
    earlier process, the last one `at` so many seconds after its begin; `to_come` are left, and
    `an_epoch` is what one takes.
    """

    expected: float
    running_for: float | None = None
    ended: bool = False
    epochs: int = 0
    done: int = 0
    to_come: int = 0
    at: float = 0.0
    an_epoch: float | None = None

    @property
    def share(self) -> float:
        """The share of it that was done here, as far as it was measured."""
        if self.ended:
            return self.done / self.epochs if self.done and self.epochs else 1.0
        return self.done / self.epochs if self.epochs else 0.0


def left_of(pace: Pace, paces: Iterable[Pace]) -> float:
    """Return the seconds that one of several still needs."""
    paces = list(paces)
    return _left(pace, _slowness(paces), _after_last_epoch(paces))


def seconds_left(paces: Sequence[Pace], concurrent: int) -> float | None:
    """Return the seconds until the last of them has ended, `concurrent` at once, in this order.

    None where nothing is known of any.
    """
    slowness, after = _slowness(paces), _after_last_epoch(paces)
    left = [pace for pace in paces if not pace.ended]
    if any(pace.expected <= 0 for pace in left):
        return None
    busy = [_left(pace, slowness, after) for pace in left if pace.running_for is not None]
    slots = busy + [0.0] * max(concurrent - len(busy), 0)
    if not slots:
        return 0.0
    heapq.heapify(slots)
    for pace in left:
        if pace.running_for is None:
            heapq.heapreplace(slots, slots[0] + _left(pace, slowness, after))
    return max(slots)


def _left(pace: Pace, slowness: float, after: float) -> float:
    if pace.running_for is None:
        return pace.expected * slowness
    thought = max(pace.expected * slowness - pace.running_for, 0.0)
    if pace.an_epoch is None:
        return thought
    since = pace.running_for - pace.at
    measured = max(pace.an_epoch * pace.to_come + after - since, 0.0)
    trust = min(pace.done / pace.epochs / TRUSTED, 1.0) if pace.expected and pace.epochs else 1.0
    return trust * measured + (1 - trust) * thought


def _slowness(paces: Iterable[Pace]) -> float:
    """Return how many times as long as expected runs take; 1 where none is measured."""
    took = expected = 0.0
    for pace in paces:
        if pace.running_for is not None and (share := pace.share) > 0:
            took += pace.running_for if pace.ended else pace.at
            expected += pace.expected * share
    return took / expected if took > 0 and expected > 0 else 1.0


def _after_last_epoch(paces: Iterable[Pace]) -> float:
    """Return the seconds from the last epoch of a run to its end, which it is evaluated in."""
    known = [
        pace.running_for - pace.at
        for pace in paces
        if pace.ended and pace.done and pace.running_for is not None
    ]
    return statistics.median(known) if known else 0.0
