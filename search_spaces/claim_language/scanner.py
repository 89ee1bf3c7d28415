"""The words of a claim's text: labels, axes, numbers and signs, and what is said of a wrong one.

Labels are known, so that they need no quotes unless they read like something else: where a cell may
stand, the longest label is taken that the text goes on with.
"""

import difflib
import json
import math
import re
from collections.abc import Iterable, Sequence

from search_spaces.layout import Axis

__all__ = ["LONGEST", "LanguageError", "Scanner", "is_number"]

LONGEST = 100_000  # characters of a text

_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])")
_METRIC = re.compile(r"[^\W\d][\w.:/-]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
# what was probably meant as one label: up to a sign or a word of the language
_PHRASE = re.compile(
    r"(?:(?!\s+(?:[-+*]\s|(?:is|in|at|by|as|beats|differs|rises|falls|alike)\b))"
    r"[^<>=±≥≤,;·(){}\[\]\"]){1,80}"
)
_SHOWN = 40  # labels, characters


class LanguageError(ValueError):
    """A text is no claim: what was read, what was expected, and at which column (from 1)."""

    def __init__(self, problem: str, column: int) -> None:
        super().__init__(problem, column)
        self.problem = problem
        self.column = column

    def __str__(self) -> str:
        return f"column {self.column}: {self.problem}"


class Scanner:
    """A position in a text, and what can be read from there. Spaces do not count."""

    def __init__(self, text: str, axes: Sequence[Axis]) -> None:
        if len(text) > LONGEST:
            raise LanguageError(f"the text has {len(text)} characters; {LONGEST} are the most", 1)
        self.text = text
        self.axes = tuple(axes)
        self.at = 0
        self._bare = [
            _longest_first(label for label in axis.labels if label[0] not in "\"'") for axis in axes
        ]
        self.skip()

    def skip(self) -> None:
        """Go on to the next character that is no space."""
        if found := _SPACE.match(self.text, self.at):
            self.at = found.end()

    @property
    def ended(self) -> bool:
        """Tell whether the whole text is read."""
        return self.at == len(self.text)

    def error(self, problem: str, at: int | None = None) -> LanguageError:
        """Return an error that points to where the scanner is, or to `at`."""
        return LanguageError(problem, 1 + (self.at if at is None else at))

    def expected(self, what: str) -> LanguageError:
        """Return the error that something else stands here, and after what."""
        rest = self.text[self.at :].strip()
        found = f"found {_shortened(rest)!r}" if rest else "the text ends"
        before = self.text[: self.at].strip()
        after = f" after {_shortened(before, end=True)!r}" if before else ""
        return self.error(f"expected {what}, {found}{after}")

    def looking_at(self, phrase: str) -> int | None:
        """Return where a phrase, or one sign, ends if the text goes on with it."""
        pattern = r"\s+".join(re.escape(word) for word in phrase.split())
        if phrase[-1].isalnum():
            pattern += r"(?!\w)"
        found = re.compile(pattern, re.IGNORECASE).match(self.text, self.at)
        return found.end() if found else None

    def take(self, *phrases: str) -> str | None:
        """Take the first of these phrases or signs that the text goes on with."""
        for phrase in phrases:
            if (end := self.looking_at(phrase)) is not None:
                self.go(end)
                return phrase
        return None

    def must(self, phrase: str) -> None:
        """Take this phrase, or raise LanguageError."""
        if self.take(phrase) is None:
            raise self.expected(repr(phrase))

    def go(self, end: int) -> None:
        """Go on after what was read."""
        self.at = end
        self.skip()

    def number(self) -> float | None:
        """Take a number without a sign. Raises LanguageError unless it is finite."""
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            return None
        value = float(found[0])
        if not math.isfinite(value):
            raise self.error(f"{_shortened(found[0])} is too large a number")
        self.go(found.end())
        return value

    def signed(self, what: str) -> float:
        """Take a number that may have a sign and "points", or raise LanguageError."""
        sign = self.take("-", "+")
        value = self.number()
        if value is None:
            raise self.expected(what)
        self.take("points", "point")
        return -value if sign == "-" else value

    def quoted(self) -> str | None:
        """Take a text in double or single quotes; a backslash makes the next sign plain."""
        if self.text[self.at : self.at + 1] not in ('"', "'"):
            return None
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            raise self.error(f"the quote {self.text[self.at]} is never closed")
        self.go(found.end())
        inner = found[1] if found[1] is not None else found[2]
        return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)

    def metric(self) -> str:
        """Take the name of a metric, in quotes or not, or raise LanguageError."""
        name = self.quoted()
        if name is None and (found := _METRIC.match(self.text, self.at)):
            name = found[0]
            self.go(found.end())
        if not name:
            raise self.expected("the name of a metric")
        return name

    def label_here(self, axis: int) -> tuple[str, int] | None:
        """Return the label of an axis that stands here without quotes, and where it ends."""
        for label in self._bare[axis]:
            if self.text.startswith(label, self.at) and not _goes_on(self.text, self.at, label):
                return label, self.at + len(label)
        return self._same_number(axis)

    def _same_number(self, axis: int) -> tuple[str, int] | None:
        """The only label that is the number which stands here, as 1 is 1.0."""
        found = _NUMBER.match(self.text, self.at)
        if found is None or self.text.startswith("/", found.end()):
            return None
        numbers = [label for label in self._bare[axis] if is_number(label)]
        same = [label for label in numbers if float(label) == float(found[0])]
        return (same[0], found.end()) if len(same) == 1 else None

    def label(self, axis: int) -> str:
        """Take a label of an axis, or raise LanguageError that lists those that there are."""
        start = self.at
        found = self.label_here(axis)
        if found is not None:
            self.go(found[1])
            return found[0]
        quoted = self.quoted()
        if quoted is not None and quoted in self.axes[axis].labels:
            return quoted
        self.at = start
        raise self.unknown(quoted if quoted is not None else self.phrase(), axis)

    def phrase(self) -> str:
        """Return what was probably meant as one label or name here; it is not taken."""
        found = _PHRASE.match(self.text, self.at)
        return found[0].strip() if found else ""

    def axis(self) -> int:
        """Take the name of an axis, with its unit in parentheses or without.

        Raises LanguageError that lists those that there are.
        """
        start = self.at
        names = {name: k for k, axis in enumerate(self.axes) for name in _names(axis)}
        for name in _longest_first(names):
            if self.text.startswith(name, self.at) and not _goes_on(self.text, self.at, name):
                self.go(self.at + len(name))
                return names[name]
        quoted = self.quoted()
        if quoted is not None and quoted in names:
            return names[quoted]
        self.at = start
        wanted = quoted if quoted is not None else self.phrase()
        known = [axis.name for axis in self.axes]
        if not wanted:
            raise self.expected(f"the name of an axis: {_listed(known)}")
        raise self.error(
            f"{wanted!r} is no axis; {_meant(wanted, known)}the axes are {_listed(known)}"
        )

    def unknown(self, wanted: str, axis: int) -> LanguageError:
        """Return the error that this is no label of an axis, with the known ones."""
        name, labels = self.axes[axis].name, self.axes[axis].labels
        if not wanted:
            return self.expected(f"a label of axis {name!r}: {_listed(labels)}")
        problem = f"{wanted!r} is no label of axis {name!r}; {_meant(wanted, labels)}"
        elsewhere = [other for other in self.axes if wanted in other.labels]
        if elsewhere:
            order = ", ".join(repr(other.name) for other in self.axes)
            problem += f"it is one of axis {elsewhere[0].name!r}, and the order is {order}; "
        return self.error(f"{problem}known are {_listed(labels)}")


def is_number(text: str) -> bool:
    """Tell whether a label reads as a number."""
    return _NUMBER.fullmatch(text) is not None


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted(words, key=len, reverse=True)


def _goes_on(text: str, at: int, word: str) -> bool:
    """Whether a word that ends with a letter or digit is only the beginning of what stands here."""
    end = at + len(word)
    rest = text[end : end + 2]
    if not rest or not (word[-1].isalnum() or word[-1] == "_"):
        return False
    decimal = word[-1].isdigit() and rest[0] == "." and rest[1:].isdigit()
    return rest[0].isalnum() or rest[0] == "_" or decimal


def _names(axis: Axis) -> set[str]:
    """The name of an axis, and the same without a unit at its end: "batch size (images)"."""
    return {axis.name, axis.name.partition(" (")[0]}


def _meant(wanted: str, known: Sequence[str]) -> str:
    """The question whether a similar one was meant."""
    alike = {label.casefold(): label for label in known}
    found = difflib.get_close_matches(wanted[:80].casefold(), alike, n=1)
    return f"did you mean {alike[found[0]]!r}? " if found else ""


def _listed(known: Sequence[str]) -> str:
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(json.dumps(label, ensure_ascii=False) for label in known[:_SHOWN]) + more


def _shortened(text: str, *, end: bool = False) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"... {text[-_SHOWN:]}" if end else f"{text[:_SHOWN]} ..."
