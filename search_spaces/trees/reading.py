"""Reading a plain tree piece by piece, so that everything that is wrong with it is said at once."""

import difflib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Keys", "Piece", "QuestionError", "label_of", "shown", "unknown"]

T = TypeVar("T")
Keys = tuple[str | int, ...]
SHOWN = 60  # characters of a value in a message
MOST_WHOLE = 1e15  # larger floats are written with an exponent


class QuestionError(ValueError):
    """A tree that is no question.

    `problems` has all that is wrong, each with the keys of the place where it is.
    """

    def __init__(self, problems: list[tuple[Keys, str]]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(
            f"{'.'.join(map(str, keys))}: {text}" if keys else text for keys, text in self.problems
        )


@dataclass(frozen=True)
class Piece:
    """A value in a tree, the keys that lead to it, and the list of all problems of the tree.

    Whatever reads a piece says what is wrong and goes on with None or nothing.
    """

    value: object
    keys: Keys
    problems: list[tuple[Keys, str]]

    def say(self, text: str) -> None:
        """Add a problem of this place."""
        self.problems.append((self.keys, text))

    def at(self, key: str | int, value: object) -> "Piece":
        """Return the piece below a key."""
        return Piece(value, (*self.keys, key), self.problems)

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Return what is made; None where it refuses its values, which becomes a problem here."""
        try:
            return make()
        except ValueError as error:
            self.say(str(error))
            return None

    def mapping(self, known: Collection[str] | None = None) -> dict[str, "Piece"]:
        """Return the pieces of a mapping by key; a key that is not known is a problem.

        Labels that are written as numbers are read as their text. Values of None count as absent
        where keys are known.
        """
        if not isinstance(self.value, Mapping):
            what = f"with keys out of {', '.join(known)}" if known else "`name: value`"
            self.say(f"is to be a mapping, {what}, not {shown(self.value)}")
            return {}
        found = dict[str, Piece]()
        for key, value in self.value.items():
            name = label_of(key)
            piece = self.at(key if isinstance(key, str | int) else name, value)
            if known is not None and name not in known:
                piece.say(unknown(name, known, "key"))
            elif known is None or value is not None:
                found[name] = piece
        return found

    def items(self) -> list["Piece"]:
        """Return the pieces of a list."""
        if isinstance(self.value, str | bytes) or not isinstance(self.value, list | tuple):
            self.say(f"is to be a list, not {shown(self.value)}")
            return []
        return [self.at(index, value) for index, value in enumerate(self.value)]

    def text(self) -> str | None:
        """Return a text; numbers are read as they are written."""
        if isinstance(self.value, str) and self.value.strip():
            return self.value
        if isinstance(self.value, int | float):
            return label_of(self.value)
        self.say(f"is to be a text, not {shown(self.value)}")
        return None

    def texts(self) -> tuple[str, ...]:
        """Return several texts; one alone need not stand in a list."""
        if isinstance(self.value, list | tuple):
            return tuple(text for piece in self.items() if (text := piece.text()) is not None)
        text = self.text()
        return () if text is None else (text,)

    def number(self) -> float | None:
        """Return a finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.say(f"is to be a number, not {shown(self.value)}")
            return None
        try:
            number = float(self.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.say(f"is to be a finite number, not {shown(self.value)}")
            return None
        return number

    def truth(self) -> bool | None:
        """Return true or false."""
        if isinstance(self.value, bool):
            return self.value
        self.say(f"is to be true or false, not {shown(self.value)}")
        return None

    def one_of(self, choices: Collection[str]) -> str | None:
        """Return one of some words."""
        if isinstance(self.value, str) and self.value in choices:
            return self.value
        named = self.value if isinstance(self.value, str) else shown(self.value)
        self.say(unknown(named, choices, "choice"))
        return None


def label_of(value: object) -> str:
    """Return the text that stands for a value where labels are shown: equal numbers have one."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case None:
            return "none"
        case list() | tuple():
            return ", ".join(map(label_of, value))
        case {"times": factor}:
            return f"x {label_of(factor)}"
        case {"step": int(offset)}:
            return f"{offset:+d}"
        case int():
            return shown(value)
        case float() if value.is_integer() and abs(value) < MOST_WHOLE:
            return str(int(value))
        case _:
            return repr(value)


def shown(value: object) -> str:
    """Return a value for a message, no longer than can be read."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # whole numbers of thousands of digits have none
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def unknown(name: str, known: Collection[str], what: str) -> str:
    """Say that a name is not known, what it may have been meant for, and what there is."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{shown(name)}: no such {what}; {hint}known are {', '.join(known)}"
