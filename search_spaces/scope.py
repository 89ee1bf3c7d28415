"""Where a question has a meaning: conditions on the recipe under which it is asked.

A paper claims something of its own setting. On a recipe that lacks that setting, a verdict would be
on another claim; so the claim is not asked there, and says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Where", "unmet"]

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Where:
    """A condition on one field of the recipe, and what it comes from.

    `because` says what the paper has, as in "the paper claims it with LARS". The value is one
    `among` some, none of `none_of`, `at_least` so much, `at_most` so much, as far as they are
    given. If the recipe sets `unless`, that field stands for `field`. `times` names a field by
    which a number is multiplied before it is compared. `replaced` says that cells set the field
    themselves, so that the recipe's own value tells only what it is a recipe for.
    """

    field: str
    because: str
    among: tuple[Scalar, ...] = ()
    none_of: tuple[Scalar, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    unless: str | None = None
    times: str | None = None
    replaced: bool = False

    def __post_init__(self) -> None:
        if not self.field.strip() or not self.because.strip():
            raise ValueError(f"condition on {self.field!r}: needs a field and a reason")
        if not (self.among or self.none_of) and self.at_least is None and self.at_most is None:
            raise ValueError(f"condition on {self.field!r}: allows everything")

    def unmet(self, recipe: Mapping[str, object]) -> str:
        """Return why a recipe, by dotted fields, does not meet it; empty if it does.

        A field that the recipe does not have decides nothing: plans of earlier versions lack new
        ones.
        """
        instead = self.unless is not None and recipe.get(self.unless) is not None
        field = self.unless if instead and self.unless is not None else self.field
        if field not in recipe:
            return ""
        value = recipe[field]
        if self._allows(value, recipe):
            return ""
        if self.replaced:
            own = f"{field}={_shown(value)}"
            return f"{self.because}; the recipe's own setting, which the cells replace, is {own}"
        return f"{self.because}; this recipe has {field}={_shown(value)}"

    def _allows(self, value: object, recipe: Mapping[str, object]) -> bool:
        if self.among and value not in self.among:
            return False
        if value in self.none_of:
            return False
        if not isinstance(value, int | float):
            return True
        factor = recipe.get(self.times, 1.0) if self.times else 1.0
        size = value * factor if isinstance(factor, int | float) else value
        enough = self.at_least is None or size >= self.at_least
        return enough and (self.at_most is None or size <= self.at_most)


def unmet(conditions: Sequence[Where], recipe: Mapping[str, object]) -> str:
    """Return why the first condition that a recipe does not meet is not met; else nothing."""
    return next((reason for one in conditions if (reason := one.unmet(recipe))), "")


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)
