"""Values that depend on the preset: multiples of its numbers, neighbours of its names."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Step", "Times", "Value", "as_text", "check_fields", "plain_values"]

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Times:
    """A multiple of what the preset has in a field.

    For questions that small presets ask at their own size.
    """

    factor: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise ValueError(f"Times({self.factor!r}): the factor must be positive and finite")

    def resolve(self, base: Number) -> Number:
        """Return `factor * base` in the type of `base`, whole numbers rounded.

        Raises ValueError if a whole number would vanish.
        """
        if isinstance(base, bool) or not isinstance(base, (int, float)):
            raise ValueError(f"Times({self.factor!r}): {base!r} is not a number to multiply")
        product = type(base)(
            round(self.factor * base) if isinstance(base, int) else self.factor * base
        )
        if base and not product:
            raise ValueError(f"Times({self.factor!r}): of {base!r} nothing is left")
        return product


@dataclass(frozen=True)
class Step:
    """A name so many positions after the preset's, such as that of the next deeper network.

    Both names stand in the same one of the lists.
    """

    offset: int
    lists: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        names = [name for names in self.lists for name in names]
        if not names or len(set(names)) != len(names):
            raise ValueError(
                f"Step({self.offset!r}): the lists {self.lists!r} are empty or name something twice"
            )

    def resolve(self, base: object) -> str:
        """Return the name to use.

        Raises ValueError when no list has the preset's name, or its list ends before.
        """
        for names in self.lists:
            if base in names:
                index = names.index(str(base)) + self.offset
                if 0 <= index < len(names):
                    return names[index]
                raise ValueError(
                    f"{self.offset:+d} from {base!r}: there is none in {', '.join(names)}"
                )
        raise ValueError(
            f"{base!r}: is in none of {'; '.join(', '.join(names) for names in self.lists)}"
        )


Scalar = str | int | float | bool | None
Value = Scalar | Sequence[Scalar] | Times | Step


def check_fields(owner: str, values: Mapping[str, Value]) -> None:
    """Raise ValueError, in the owner's name, unless dotted fields are given usable values."""
    for path, value in values.items():
        if not re.fullmatch(r"[a-z]\w*(\.[a-z]\w*)*", path):
            raise ValueError(f"{owner}: {path!r} is not a dotted field")
        try:
            as_text(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{owner}: {path}={value!r} is neither a finite plain value nor Times or Step"
            ) from None


def plain_values(values: Mapping[str, Value]) -> dict[str, object]:
    """Return those of the values that do not depend on the preset."""
    return {path: value for path, value in values.items() if not isinstance(value, Times | Step)}


def as_text(value: object) -> str:
    """Write a value, or several, so that equal ones have equal texts.

    Raises ValueError for numbers that are not finite, TypeError for what is no value.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Times):
        return {"times": value.factor}
    if isinstance(value, Step):
        return {"step": value.offset, "lists": value.lists}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(value)
