"""A count of what is left out of a shard, by reason."""

from workloads.inventory import LeftOut

__all__ = ["Tally"]


class Tally:
    """Counts what is left out, by reason, each with its first example."""

    def __init__(self) -> None:
        """Begin with nothing left out."""
        self.notes: list[str] = []
        self._examples: dict[str, str] = {}
        self._of: dict[str, int] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count one that is left out for this reason, or several."""
        self._examples.setdefault(reason, example)
        self._of[reason] = self._of.get(reason, 0) + count

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return the reasons in the order in which they were met."""
        return tuple(
            LeftOut(reason, count, self._examples[reason]) for reason, count in self._of.items()
        )
