"""Fields with their values, candidates and conditions as plain trees, read and written."""

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from search_spaces.scope import Where
from search_spaces.trees.reading import Piece, shown
from search_spaces.values import Step, Times, Value

__all__ = [
    "FIELD",
    "WHERE_KEYS",
    "Values",
    "candidates_in",
    "conditions_in",
    "too_many",
    "value_in",
    "values_in",
    "values_tree",
    "where_tree",
]

FIELD = r"[a-z]\w*(\.[a-z]\w*)*"
MOST = 5000  # cells of a question, and candidates of a cell
WHERE_KEYS = (
    "field",
    "because",
    "among",
    "none_of",
    "at_least",
    "at_most",
    "unless",
    "times",
    "replaced",
)

Values = dict[str, Value]


def too_many(piece: Piece, choices: Sequence[Collection[object]], what: str) -> bool:
    """Tell whether so many combinations are not asked for, and say so."""
    count = math.prod(map(len, choices))
    if count > MOST:
        piece.say(f"make {count} {what}; at most {MOST} are asked for")
    return count > MOST


def candidates_in(piece: Piece) -> tuple[Values, ...]:
    """Read the candidates of a tuned cell: a list, or choices of fields that are combined."""
    if not isinstance(piece.value, Mapping):
        return tuple(values_in(one) for one in piece.items())
    choices = [
        [{name: value_in(value)} for value in one.items()] for name, one in piece.mapping().items()
    ]
    if too_many(piece, choices, "candidates"):
        return ()
    return tuple(
        {name: value for one in combined for name, value in one.items()}
        for combined in itertools.product(*choices)
    )


def values_in(piece: Piece) -> Values:
    """Read fields with their values."""
    found = Values()
    for name, one in piece.mapping().items():
        if re.fullmatch(FIELD, name):
            found[name] = value_in(one)
        else:
            one.say(f"{shown(name)} is not a dotted field")
    if not found and isinstance(piece.value, Mapping) and not piece.value:
        piece.say("sets no field")
    return found


def value_in(piece: Piece) -> Value:
    """Read a value: a plain one or a list of them, `{times: 2}`, or `{step: 1, lists: [...]}`."""
    match piece.value:
        case {"times": factor, **rest} if not rest:
            number = piece.at("times", factor).number()
            return None if number is None else piece.attempt(lambda: Times(number))
        case {"step": size, "lists": lists, **rest} if not rest:
            offset = piece.at("step", size).number()
            names = tuple(one.texts() for one in piece.at("lists", lists).items())
            if offset is None:
                return None
            if offset != int(offset):
                piece.say(f"step is to be a whole number, not {offset:g}")
                return None
            return piece.attempt(lambda: Step(int(offset), names))
        case list() | tuple():
            return cast(Value, [one.value for one in piece.items()])
        case _:
            return cast(Value, piece.value)


def conditions_in(piece: Piece) -> tuple[Where, ...]:
    """Read conditions on the recipe; one alone need not stand in a list."""
    pieces = [piece] if isinstance(piece.value, Mapping) else piece.items()
    return tuple(found for one in pieces if (found := _condition(one)))


def _condition(piece: Piece) -> Where | None:
    before = len(piece.problems)
    parts = piece.mapping(WHERE_KEYS)
    texts = {
        key: parts[key].text() for key in ("field", "because", "unless", "times") if key in parts
    }
    lists = {
        key: tuple(one.value for one in parts[key].items())
        for key in ("among", "none_of")
        if key in parts
    }
    numbers = {key: parts[key].number() for key in ("at_least", "at_most") if key in parts}
    replaced = parts["replaced"].truth() if "replaced" in parts else False
    if isinstance(piece.value, Mapping) and (
        missing := [key for key in ("field", "because") if key not in parts]
    ):
        piece.say(f"needs {' and '.join(missing)}")
    if len(piece.problems) > before:
        return None
    return piece.attempt(
        lambda: Where(**texts, **lists, **numbers, replaced=bool(replaced))  # type: ignore[arg-type]
    )


def values_tree(values: Mapping[str, Value]) -> dict[str, object]:
    """Write fields with their values."""
    return {name: _value_tree(value) for name, value in values.items()}


def _value_tree(value: object) -> object:
    match value:
        case Times(factor):
            return {"times": factor}
        case Step(offset, lists):
            return {"step": offset, "lists": [list(names) for names in lists]}
        case list() | tuple():
            return [_value_tree(one) for one in value]
        case Mapping():
            return {str(name): _value_tree(one) for name, one in value.items()}
        case _:
            return value


def where_tree(where: Where) -> dict[str, object]:
    """Write a condition on the recipe."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key in WHERE_KEYS
        if (value := getattr(where, key)) is not None and value is not False and value != ()
    }
