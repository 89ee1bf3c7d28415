"""Whole claims from their text: what is compared with what, and how, and what follows it.

claim     = ( statement | rates ) [ [","] "alike within" NUMBER ] [ "as" TEXT | every ]
every     = "at every" AXIS [ "from" LABEL "to" LABEL ] { "and" AXIS [ ... ] }
statement = ( ordered [ "by more than" NUMBER ] | near ) [ "in" METRIC ]
ordered   = side { ( ">" | "beats" | "<" ) side }
          | side "is" ( "above" | "below" ) NUMBER
          | group "is the" ( "highest" | "best" | "lowest" | "worst" )
          | [ group without AXIS ] ( "rises with" | "falls with" ) AXIS [ "from" LABEL "to" LABEL ]
near      = side "differs from" side "by less than" NUMBER | sum "=" sum "±" NUMBER
          | sum "is within" NUMBER "of" ( "zero" | sum )
side      = sum | ( "each of" places | "every other" [ AXIS ] ) [ ( "+" | "-" ) NUMBER ]
"""

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from search_spaces.claim_language.comparing import Said
from search_spaces.claim_language.rates import RateReader
from search_spaces.claim_language.scanner import LanguageError, Scanner, is_number
from search_spaces.claim_language.sums import Part, Sum, SumReader
from search_spaces.claim_language.trends import stretch, trend, unquoted
from search_spaces.claims import UNTRAINED, Comparison
from search_spaces.places import Place

__all__ = ["StatementReader"]

_MOST = 2_000  # comparisons of one text
_LONGEST = 1_000_000  # characters that are read again for every label
_EVERY = re.compile(r"\bat\s+every(?!\w)", re.IGNORECASE)
_LOW_IS_GOOD = re.compile(r"(^|_)(error|loss)(_|$)")
_EXAMPLE = "'a > b' or 'a differs from b by less than 2'"
_RELATION = "'>', '<', 'differs from' or 'is above'"


class StatementReader:
    """Reads the one claim of a scanner's text.

    `cells` are the places that have one, None if all of the axes do; `metric` is the one that cells
    are compared by, if it is known. Axes that are `fixed` at a label are not read.
    """

    def __init__(
        self,
        scanner: Scanner,
        cells: Collection[Place] | None,
        metric: str | None,
        fixed: Mapping[int, str],
    ) -> None:
        self.scanner = scanner
        self.sums = SumReader(scanner, cells, fixed)
        self.axes = scanner.axes
        self.cells = cells
        self.metric = metric
        self.fixed = fixed

    def comparisons(self) -> tuple[Comparison, ...]:
        """Return what the text asks for, or raise LanguageError."""
        scanner = self.scanner
        if scanner.ended:
            raise scanner.error(f"the text is empty; a claim reads like {_EXAMPLE}")
        try:
            if not self.fixed and (found := _EVERY.search(unquoted(scanner.text))):
                return self._at_every(found.start(), found.end())
            if scanner.take("rate of", "the rate of"):
                return self._followed(RateReader(self.sums, _MOST).comparisons())
            return self._followed([one.comparison() for one in self._of_values()])
        except LanguageError:
            raise
        except ValueError as wrong:  # what a comparison refuses
            raise LanguageError(str(wrong), 1) from None

    def _followed(self, found: list[Comparison]) -> tuple[Comparison, ...]:
        """The comparisons with the margin and the label that the text says after them."""
        scanner = self.scanner
        comma = scanner.take(",")
        if scanner.take("alike within"):
            margin = scanner.signed("a number")
            found = [replace(one, margin=margin) for one in found]
        elif comma:
            raise scanner.expected("'alike within'")
        if scanner.take("as"):
            start = scanner.at
            label = scanner.quoted()
            if label is None:
                raise scanner.expected("a label in quotes")
            if len(found) > 1:
                raise scanner.error(f"one label is not for {len(found)} comparisons", start)
            found = [replace(one, label=label) for one in found]
        if not scanner.ended:
            raise scanner.expected("the end, or 'in METRIC', 'alike within' or 'as'")
        return tuple(found)

    def _at_every(self, start: int, end: int) -> tuple[Comparison, ...]:
        """What stands before `start`, for each label of the axes that are named after `end`."""
        scanner = self.scanner
        scanner.go(end)
        axes: dict[int, tuple[str, ...]] = {}
        while not axes or scanner.take("and"):
            here = scanner.at
            k = scanner.axis()
            if k in axes or len(axes) + 1 == len(self.axes):
                raise scanner.error("a cell needs a label of an axis that is not named here", here)
            axes[k] = stretch(scanner, k)
        if not scanner.ended:
            raise scanner.expected("the end: 'at every' comes last")
        head = scanner.text[:start]
        every = list(itertools.product(*axes.values()))
        if len(every) * len(head) > _LONGEST or len(every) > _MOST:
            raise scanner.error("the text is too long to be read for every label", end)
        found: list[Comparison] = []
        for labels in every:
            fixed = dict(zip(axes, labels, strict=True))
            reader = StatementReader(Scanner(head, self.axes), self.cells, self.metric, fixed)
            found += filter(self._is_there, reader.comparisons())
        if not found:
            raise scanner.error("there are no such cells at any of the labels", start)
        return tuple(found)

    def _is_there(self, comparison: Comparison) -> bool:
        places = (term.at for term in comparison.terms)
        return self.cells is None or all(at in self.cells or at == UNTRAINED for at in places)

    # values

    def _of_values(self) -> list[Said]:
        said = trend(self.scanner, self.cells, self.fixed) or self._statement()
        scanner = self.scanner
        if not said[0].within and scanner.take("by more than"):
            by = scanner.signed("a number")
            said = [replace(one, bound=by) for one in said]
        if scanner.take("in"):
            start = scanner.at
            metric = scanner.metric()
            if any(one.says_metric for one in said):
                raise scanner.error("the metric is said twice", start)
            said = [one.measured(metric) for one in said]
        return said

    def _statement(self) -> list[Said]:
        scanner = self.scanner
        sides = self._side(None)
        start = scanner.at
        sign = scanner.take(">=", "≥", "<=", "≤", ">", "beats", "<")
        if sign in (">=", "≥", "<=", "≤"):
            raise scanner.error(
                f"{sign!r} is for rates; 'a > b - 1' says that a is not worse by 1 or more",
                start,
            )
        if sign is not None:
            return self._chain(sides, sign)
        if scanner.take("is above"):
            number = Sum((), scanner.signed("a number; between cells write '>'"))
            return [Said(one, number) for one in sides]
        if scanner.take("is below"):
            number = Sum((), scanner.signed("a number; between cells write '<'"))
            return [Said(number, one) for one in sides]
        if scanner.take("differs from"):
            pairs = self._pairs(sides, self._side(None))
            scanner.must("by less than")
            within = scanner.signed("a number")
            return [self._near(one, other, within, start) for one, other in pairs]
        if len(sides) > 1:
            raise scanner.expected("'>', '<', 'differs from', 'is above' or 'is below'")
        return self._of_one(sides[0])

    def _chain(self, sides: list[Sum], sign: str) -> list[Said]:
        """`a > b`, and `a > b > c` as two."""
        scanner = self.scanner
        signs = ("<",) if sign == "<" else (">", "beats")
        said: list[Said] = []
        more: str | None = sign
        while more is not None:
            following = self._side(sides)
            said += [
                Said(other, one) if sign == "<" else Said(one, other)
                for one, other in self._pairs(sides, following)
            ]
            if len(said) > _MOST:
                raise scanner.error(f"these are more than {_MOST} comparisons")
            sides = following
            more = scanner.take(*signs)
        return said

    def _pairs(self, sides: list[Sum], others: list[Sum]) -> list[tuple[Sum, Sum]]:
        if len(sides) * len(others) > _MOST:
            raise self.scanner.error(f"these are more than {_MOST} comparisons")
        if not sides[0].parts and not others[0].parts:
            number = re.split(r"[<>]|beats|differs", self.scanner.text)[0].strip()
            raise self.scanner.error(self.scanner.unknown(number, self.sums.free[0]).problem, 0)
        return list(itertools.product(sides, others))

    def _side(self, left: list[Sum] | None) -> list[Sum]:
        """The sums that one side stands for: several for "each of" and "every other"."""
        scanner = self.scanner
        start = scanner.at
        if scanner.take("each of"):
            places = self.sums.places()
            number = self._added()
            return [Sum((Part((at,)),), number) for at in places]
        if scanner.take("every other", "all others"):
            if left is None or len(left) > 1 or not left[0].is_group:
                raise scanner.error("'every other' stands after '>' or '<' and one cell", start)
            others = self._others(left[0].parts[0], start)
            number = self._added()
            return [replace(other, constant=number) for other in others]
        found = self.sums.sum()
        first = self.sums.free[0]
        numbers = any(map(is_number, self.axes[first].labels))
        if not found.parts and len(self.sums.free) == 1 and numbers:
            text = scanner.text[start : scanner.at].strip()
            raise scanner.error(
                f"{scanner.unknown(text, first).problem}. For a number write 'is above {text}' or "
                f"'is below {text}'",
                start,
            )
        return [found]

    def _added(self) -> float:
        """A number that is added to each of several cells."""
        sign = self.scanner.looking_at("+") or self.scanner.looking_at("-")
        return 0.0 if sign is None else self.scanner.signed("a number")

    def _others(self, part: Part, start: int) -> list[Sum]:
        """Every cell but those of a part, or those that differ from it along one axis only."""
        scanner = self.scanner
        labels = (
            (self.fixed[k],) if k in self.fixed else axis.labels for k, axis in enumerate(self.axes)
        )
        every = list(itertools.product(*labels))
        if scanner.take("cell", "cells", "one") is None and self._axis_follows():
            k = scanner.axis()
            kept = {at[:k] + at[k + 1 :] for at in part.places}
            every = [at for at in every if at[:k] + at[k + 1 :] in kept]
        others = [
            Sum((Part((at,), metric=part.metric),))
            for at in every
            if at not in part.places and (self.cells is None or at in self.cells)
        ]
        if not others:
            raise scanner.error("there is no other cell", start)
        return others

    def _axis_follows(self) -> bool:
        scanner = self.scanner
        ends = (">", "<", "+", "-", "by more than", "in", ",", "alike within", "as")
        return not (scanner.ended or any(scanner.looking_at(end) for end in ends))

    def _of_one(self, one: Sum) -> list[Said]:
        """What is said of one sum by words."""
        scanner = self.scanner
        start = scanner.at
        if extreme := scanner.take(
            "is the highest", "is the best", "is the lowest", "is the worst"
        ):
            return self._extreme(one, extreme, start)
        if scanner.take("is within"):
            within = scanner.signed("a number")
            scanner.must("of")
            other = Sum(()) if scanner.take("zero") else self.sums.sum()
            return [self._near(one, other, within, start)]
        if scanner.take("="):
            other = self.sums.sum()
            if scanner.take("±", "within") is None:
                raise scanner.expected("'± NUMBER': no two runs are equal")
            return [self._near(one, other, scanner.signed("a number"), start)]
        raise scanner.expected(_RELATION)

    def _near(self, one: Sum, other: Sum, within: float, start: int) -> Said:
        if one.constant != other.constant:
            raise self.scanner.error(
                "only cells are near each other; for a number write two claims, 'a is above 87' "
                "and 'a is below 93'",
                start,
            )
        return Said(replace(one, constant=0.0), replace(other, constant=0.0), True, within)

    def _extreme(self, one: Sum, extreme: str, start: int) -> list[Said]:
        if not one.is_group:
            raise self.scanner.error(f"{extreme!r} is said of one cell or group", start)
        metric = one.parts[0].metric or self.metric or ""
        if extreme in ("is the best", "is the worst") and _LOW_IS_GOOD.search(metric):
            raise self.scanner.error(
                f"of {metric} the best may be the lowest: write 'is the lowest' or 'is the "
                "highest'",
                start,
            )
        others = self._others(one.parts[0], start)
        high = extreme in ("is the highest", "is the best")
        return [Said(one, other) if high else Said(other, one) for other in others]
