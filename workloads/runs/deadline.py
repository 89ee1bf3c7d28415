"""When the runs of a plan stop: after so many minutes, or when somebody says so."""

import time
from dataclasses import dataclass

__all__ = ["Deadline"]

GRACE = 30.0  # seconds before the end at which runs are asked to stop


@dataclass
class Deadline:
    """When to stop: at `end`, by the monotonic clock, or as soon as `asked` says so.

    `told`: by those who are about to end this process.
    """

    end: float | None = None
    asked: bool = False
    told: bool = False
    minutes: float | None = None

    @classmethod
    def after(cls, minutes: float | None) -> "Deadline":
        """Return the deadline so many minutes from now; None: there is none."""
        return cls(None if minutes is None else time.monotonic() + 60 * minutes, minutes=minutes)

    @property
    def is_near(self) -> bool:
        """True from where on runs are asked to stop, and none is begun."""
        return self.asked or self._left < self._grace

    @property
    def is_here(self) -> bool:
        """True where what has not stopped has to be ended."""
        return self._left < 0.1 * self._grace

    def ask(self, *, told: bool = False) -> None:
        """Ask to stop within a time of grace."""
        self.told = self.told or told
        if not self.asked:
            self.asked, self.minutes = True, None
            self.end = min(self.end or float("inf"), time.monotonic() + GRACE)

    @property
    def _left(self) -> float:
        return float("inf") if self.end is None else self.end - time.monotonic()

    @property
    def _grace(self) -> float:
        return GRACE if self.minutes is None else min(GRACE, 15 * self.minutes)
