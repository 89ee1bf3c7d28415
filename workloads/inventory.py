"""What is used of all that was seen of a data set, and what is left out, counted and by name.

Whatever could be an example is in an inventory: seen = used + left out. Readers of data count, and
say what they have read to whoever listens (`told_of_reading`), which is how an inventory gets into
logs, records and reports without passing through all that lies between.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

__all__ = [
    "DataRead",
    "Inventory",
    "LeftOut",
    "left_out_lines",
    "lines_of",
    "remark_lines",
    "shown",
    "tally",
    "tell",
    "told_of_reading",
]


def shown(name: str) -> str:
    r"""Return a file's name as it can be written anywhere: bytes that are no UTF-8 as \xe9."""
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        data = name.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class LeftOut:
    """What is left out for one reason, a plural such as "files that are no images".

    `example` is one of them, by its path or name.
    """

    reason: str
    count: int
    example: str

    def __str__(self) -> str:
        reason = self.reason
        if self.count == 1:
            reason = re.sub(r"\b(file|folder|image|label|member|row)s\b", r"\1", reason)
            reason = re.sub(r"\bare\b", "is", re.sub(r"\bhave\b", "has", reason))
        such = f", such as {shown(self.example)}" if self.example else ""
        return f"left out: {self.count:,} {reason}{such}"


@dataclass(frozen=True)
class Inventory:
    """How many examples of a data set can be used, and what is left out."""

    used: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def seen(self) -> int:
        """The number of all that was met."""
        return self.used + sum(each.count for each in self.left_out)

    def lines(self) -> list[str]:
        """Return a sentence for each reason; none where all is used."""
        return [str(each) for each in self.left_out]

    def tree(self) -> dict[str, Any]:
        """Return plain values, as files keep them and `read` takes them."""
        return {
            "seen": self.seen,
            "used": self.used,
            "left_out": [
                {"reason": each.reason, "count": each.count, "example": shown(each.example)}
                for each in self.left_out
            ],
        }

    @classmethod
    def read(cls, tree: Mapping[str, Any]) -> Self:
        """Read what `tree` gives. Raises KeyError for what is no inventory."""
        return cls(
            tree["used"],
            tuple(
                LeftOut(each["reason"], each["count"], each["example"]) for each in tree["left_out"]
            ),
        )


def tally(met: Iterable[tuple[str, str]]) -> tuple[LeftOut, ...]:
    """Count what is left out by its reason; `met` yields reason and name of each.

    The first of a reason is its example, and reasons stay in the order in which they are met.
    """
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for reason, name in met:
        counts[reason] = counts.get(reason, 0) + 1
        examples.setdefault(reason, name)
    return tuple(LeftOut(reason, count, examples[reason]) for reason, count in counts.items())


@dataclass(frozen=True)
class DataRead:
    """Data that were read: name, digest of the content, and what is used of them.

    `remarks` say what else is to be known of all of them, such as how their pixels were scaled.
    """

    name: str
    content: str
    inventory: Inventory
    remarks: tuple[str, ...] = ()

    def tree(self) -> dict[str, Any]:
        """Return plain values, as records and plans keep them."""
        tree = {"data": self.name, "content": self.content, **self.inventory.tree()}
        return tree | ({"remarks": [*map(shown, self.remarks)]} if self.remarks else {})


_listener: ContextVar[Callable[[DataRead], None] | None] = ContextVar("_listener", default=None)


@contextmanager
def told_of_reading(told: Callable[[DataRead], None]) -> Iterator[None]:
    """Call `told` with all data that are read inside, once for each of their inventories."""
    before: set[DataRead] = set()

    def once(read: DataRead) -> None:
        if read not in before:
            before.add(read)
            told(read)

    token = _listener.set(once)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(read: DataRead) -> None:
    """Say that data were read, to whoever listens."""
    if (listener := _listener.get()) is not None:
        listener(read)


def left_out_lines(reads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each reason of data that were read, given as plain values."""
    lines: list[str] = []
    for read in reads:
        lines += [f"{read['data']}: {line}" for line in Inventory.read(read).lines()]
    return list(dict.fromkeys(lines))


def remark_lines(reads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the remarks on data that were read, given as plain values."""
    lines: list[str] = []
    for read in reads:
        lines += [f"{read['data']}: {remark}" for remark in read.get("remarks", [])]
    return list(dict.fromkeys(lines))


def lines_of(reads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is left out of data that were read, and then the remarks on these."""
    return [*left_out_lines(reads), *remark_lines(reads)]
