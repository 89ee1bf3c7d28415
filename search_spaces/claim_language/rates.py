"""Claims on rates, in which share of runs something happens, from their text.

rates = rate ( ">=" | ">" ) NUMBER ["%"] | rate ( ">" | "<" ) rate
rate  = "rate of" METRIC [ ( ">" | "<" ) NUMBER ] "at" ( place | "each of" places )
"""

import itertools

from search_spaces.claim_language.comparing import Rate
from search_spaces.claim_language.sums import SumReader
from search_spaces.claims import HAPPENED, Comparison, Event

__all__ = ["RateReader"]


class RateReader:
    """Reads claims on rates where a reader of sums stands; `most` comparisons are too many."""

    def __init__(self, sums: SumReader, most: int) -> None:
        self.scanner = sums.scanner
        self.sums = sums
        self.most = most

    def comparisons(self) -> list[Comparison]:
        """Read what is said of rates, after its first words."""
        scanner = self.scanner
        ones = self._rate()
        sign = scanner.take(">=", "≥", ">", "<=", "≤", "<")
        if sign is None:
            raise scanner.expected("'>=' and a rate")
        if sign in (">", "<") and scanner.take("rate of", "the rate of"):
            others = self._rate()
            if len(ones) * len(others) > self.most:
                raise scanner.error(f"these are more than {self.most} comparisons")
            pairs = itertools.product(ones, others)
            return [a.above(b) if sign == ">" else b.above(a) for a, b in pairs]
        if sign in ("<", "<=", "≤"):
            raise scanner.error(
                "a rate is at least so much, or higher than another; ask for the opposite event"
            )
        start = scanner.at
        bound = scanner.signed("a rate such as 0.9")
        if scanner.take("%"):
            bound /= 100
        if not 0 < bound < 1:
            raise scanner.error(
                f"a rate lies between 0 and 1, such as 0.9 or 90 %, not {bound:g}", start
            )
        return [one.at_least(bound) for one in ones]

    def _rate(self) -> list[Rate]:
        scanner = self.scanner
        quoted = scanner.looking_at('"') or scanner.looking_at("'")
        name = scanner.metric()
        metric = None if name == "value" and not quoted else name
        event = HAPPENED
        if sign := scanner.take(">", "above", "<", "below"):
            value = scanner.signed("a number")
            event = Event(side="above" if sign in (">", "above") else "below", value=value)
        scanner.must("at")
        if scanner.take("each of"):
            return [Rate(at, metric, event) for at in self.sums.places()]
        start = scanner.at
        found = self.sums.group()
        if len(found) > 1:
            raise scanner.error("a rate is of one cell: write 'each of' for several", start)
        return [Rate(found[0], metric, event)]
