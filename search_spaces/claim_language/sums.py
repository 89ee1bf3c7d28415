"""What a comparison compares: sums of cells, means and numbers, read from the text of a claim.

sum     = ["-"] part { ("+" | "-") part }
part    = { NUMBER "*" } ( "(" sum ")" | group | NUMBER ) [ "[" METRIC "]" ] { "/" NUMBER }
group   = place | "mean of" places
places  = pattern | "(" pattern { ";" pattern } ")"
place   = LABEL { "," LABEL } | "untrained"
pattern = a place, in which "{" LABEL { "," LABEL } "}" or "*" may stand for a label
"""

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from search_spaces.claim_language.scanner import Scanner, is_number
from search_spaces.claims import UNTRAINED
from search_spaces.places import Place, named

__all__ = ["Part", "Sum", "SumReader"]

_DEEPEST = 30  # parentheses in each other
_MOST = 20_000  # cells of a group


@dataclass(frozen=True)
class Part:
    """The mean of some cells, with a weight; `metric` None is the one they are compared by."""

    places: tuple[Place, ...]
    weight: float = 1.0
    metric: str | None = None

    def label(self) -> str:
        """Return how the part is called in a label, without its sign."""
        factor = "" if abs(self.weight) == 1 else f"{abs(self.weight):g} * "
        return f"{factor}{named(self.places)}{f'[{self.metric}]' if self.metric else ''}"


@dataclass(frozen=True)
class Sum:
    """Parts that are added up, and a number."""

    parts: tuple[Part, ...]
    constant: float = 0.0

    def scaled(self, factor: float) -> "Sum":
        """Return the sum multiplied by a number."""
        parts = tuple(replace(part, weight=factor * part.weight) for part in self.parts)
        return Sum(parts, 0.0 + factor * self.constant)

    def measured(self, metric: str | None) -> "Sum":
        """Return the same sum of another metric."""
        return replace(self, parts=tuple(replace(part, metric=metric) for part in self.parts))

    @property
    def is_group(self) -> bool:
        """Tell whether its cells are one, or the mean of some."""
        return [part.weight for part in self.parts] == [1]

    @property
    def is_gap(self) -> bool:
        """Tell whether its cells are the difference of two groups."""
        return [part.weight for part in self.parts] == [1, -1]

    def label(self) -> str:
        """Return how the sum is called in a label."""
        first = self.parts[0]
        text = f"{'-' if first.weight < 0 else ''}{first.label()}"
        for part in self.parts[1:]:
            text += f" {'-' if part.weight < 0 else '+'} {part.label()}"
        return text if len(self.parts) == 1 else f"({text})"


class SumReader:
    """Reads sums, and the groups of cells in them, where a scanner stands.

    `cells` are the places that have one, for "*"; None means all of the axes. Axes that are `fixed`
    at a label are not read: every place has that label.
    """

    def __init__(
        self, scanner: Scanner, cells: Collection[Place] | None, fixed: Mapping[int, str]
    ) -> None:
        self.scanner = scanner
        self.axes = scanner.axes
        self.cells = cells
        self.fixed = fixed
        self.free = [k for k in range(len(self.axes)) if k not in fixed]

    def sum(self, depth: int = 0) -> Sum:
        """Read a sum."""
        if depth > _DEEPEST:
            raise self.scanner.error(f"more than {_DEEPEST} parentheses in each other")
        parts: list[Part] = []
        constants: list[float] = []
        sign: str | None = "+" if self._cell_here() else self.scanner.take("-", "+") or "+"
        while sign is not None:
            read = self._part(depth).scaled(-1.0 if sign == "-" else 1.0)
            parts += read.parts
            constants.append(read.constant)
            sign = self.scanner.take("-", "+")
        return Sum(tuple(parts), sum(constants))

    def _part(self, depth: int) -> Sum:
        scanner = self.scanner
        factor = 1.0
        while (weight := self._factor()) is not None:
            factor *= weight
        start = scanner.at
        if scanner.take("("):
            read = self.sum(depth + 1)
            scanner.must(")")
        elif (number := self._number()) is not None:
            read = Sum((), number)
        else:
            read = Sum((Part(self.group()),))
        if scanner.take("["):
            if not read.parts or any(part.metric is not None for part in read.parts):
                raise scanner.error("a metric is said once, and of cells")
            read = read.measured(scanner.metric())
            scanner.must("]")
        while scanner.take("/"):
            divisor = scanner.signed("a number to divide by")
            if not divisor:
                raise scanner.error("nothing can be divided by 0", start)
            read = Sum(
                tuple(replace(part, weight=part.weight / divisor) for part in read.parts),
                read.constant / divisor,
            )
        if factor == 1:
            return read
        if not all(math.isfinite(factor * one.weight) and factor for one in read.parts):
            raise scanner.error(f"{factor:g} is no weight", start)
        return read.scaled(factor)

    def _factor(self) -> float | None:
        """A number that a star follows, and the star."""
        start = self.scanner.at
        number = self.scanner.number()
        if number is not None and self.scanner.take("*"):
            return number
        self.scanner.at = start
        return None

    def _cell_here(self) -> bool:
        """Whether a label of the first axis stands here without quotes."""
        return self.scanner.label_here(self.free[0]) is not None

    def _number(self) -> float | None:
        """A number that is no label. Raises LanguageError where it could be either."""
        start = self.scanner.at
        labels = [self.scanner.label_here(k) for k in self.free]
        if any(found and not is_number(found[0]) for found in labels):
            return None
        number = self.scanner.number()
        if number is None:
            return None
        text, end = self.scanner.text[start : self.scanner.at].strip(), self.scanner.at
        several = len(self.free) > 1
        if self.scanner.looking_at(",") or self.scanner.looking_at("·") or not several:
            self.scanner.at = start
            if self._cell_here():
                return None
        self.scanner.at = end
        for k in self.free:
            for label in self.axes[k].labels:
                if is_number(label) and float(label) == number:
                    raise self.scanner.error(self._either(text, label, self.axes[k].name), start)
        return number

    def _either(self, text: str, label: str, axis: str) -> str:
        problem = f"{text} may be a number or the label {label!r} of axis {axis!r}"
        if len(self.free) > 1:
            return (
                f"{problem}: a cell has a label for each of {self._order()}, and a number stands "
                "after 'is above', 'is below' or 'by more than'"
            )
        return f"{problem}, which is written so"

    def group(self) -> tuple[Place, ...]:
        """Read a place, or the mean of several."""
        scanner = self.scanner
        if scanner.take("mean of", "the mean of", "average of"):
            return self.places()
        start = scanner.at
        found = self._pattern()
        if len(found) > 1:
            raise scanner.error("these are several cells: write 'mean of' before them", start)
        return found

    def places(self) -> tuple[Place, ...]:
        """Read one pattern, or several in parentheses, as the cells that they mean."""
        scanner = self.scanner
        if not scanner.take("("):
            return self._pattern()
        places: dict[Place, None] = {}
        while True:
            start = scanner.at
            inner = scanner.take("(") is not None
            for at in self._pattern():
                if at in places:
                    raise scanner.error(f"{' · '.join(at)} is in the group twice", start)
                places[at] = None
            if inner:
                scanner.must(")")
            if scanner.take(")"):
                return tuple(places)
            comma = inner or len(self.free) == 1
            if not scanner.take(";", *([","] if comma else [])):
                raise scanner.expected("',' or ')'" if comma else "';' or ')'")

    def _pattern(self) -> tuple[Place, ...]:
        """A place, or several that stars and braces stand for."""
        scanner = self.scanner
        start = scanner.at
        if self._is_untrained():
            return (UNTRAINED,)
        columns: list[tuple[str, ...]] = []
        star = False
        for k, axis in enumerate(self.axes):
            if k in self.fixed:
                columns.append((self.fixed[k],))
                continue
            if k != self.free[0] and not scanner.take(",", "·"):
                raise scanner.expected(
                    f"a comma and a label of axis {axis.name!r} (of {self._order()})"
                )
            if scanner.take("*"):
                columns.append(axis.labels)
                star = True
            else:
                columns.append(self._labels(k))
        if math.prod(map(len, columns)) > _MOST:
            raise scanner.error(f"these are more than {_MOST} cells", start)
        found = tuple(itertools.product(*columns))
        if star and self.cells is not None:
            found = tuple(at for at in found if at in self.cells)
        if not found:
            raise scanner.error("no cell is there", start)
        return found

    def _order(self) -> str:
        return ", ".join(repr(self.axes[k].name) for k in self.free)

    def _labels(self, axis: int) -> tuple[str, ...]:
        """A label, or several in braces."""
        scanner = self.scanner
        if not scanner.take("{"):
            return (scanner.label(axis),)
        labels = [scanner.label(axis)]
        while scanner.take(","):
            start = scanner.at
            label = scanner.label(axis)
            if label in labels:
                raise scanner.error(f"{label!r} is in the braces twice", start)
            labels.append(label)
        scanner.must("}")
        return tuple(labels)

    def _is_untrained(self) -> bool:
        """Take "untrained", unless it is the first label of a place."""
        scanner = self.scanner
        if (end := scanner.looking_at("untrained")) is None:
            return False
        found = scanner.label_here(self.free[0])
        if found is not None and (found[0] != UNTRAINED[0] or len(self.free) == 1):
            return False
        start = scanner.at
        scanner.go(end)
        after = scanner.at
        begins = found is not None and scanner.take(",", "·") is not None
        begins = begins and scanner.looking_at("alike within") is None
        scanner.at = start if begins else after
        return not begins
