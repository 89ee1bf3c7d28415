"""Parts of every workload's specification: frozen, closed to unknown fields, and validated.

Every change is validated from scratch, and an error lists every problem at once.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from workloads.option_values import Options

__all__ = ["Part", "SpecError", "digest", "flatten", "unknown_field"]


class SpecError(ValueError):
    """A specification that cannot be used.

    `problems` lists everything that is wrong with it, one line each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class Part(BaseModel):
    """One immutable part of a specification.

    Unknown fields are errors; so are infinite and undefined numbers.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    @classmethod
    def read(cls, tree: Mapping[str, Any]) -> Self:
        """Read a specification from a plain tree, as YAML gives it.

        Raises SpecError with every problem.
        """
        try:
            return cls.model_validate(dict(tree))
        except ValidationError as error:
            raise SpecError([_explain(cls, problem) for problem in error.errors()]) from None

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with dotted fields replaced, validated from scratch.

        Raises SpecError with every problem.
        """
        tree = self.tree()
        problems = []
        for path, value in values.items():
            if unknown := unknown_field(type(self), path):
                problems.append(unknown)
                continue
            if problem := _put(tree, path, value):
                problems.append(problem)

        try:
            changed = type(self).read(tree)
        except SpecError as error:
            problems += error.problems
        if problems:
            raise SpecError(problems)
        return changed

    def tree(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, strings and numbers.

        `read` turns them back into an equal specification.
        """
        return self.model_dump(mode="json")

    def flat(self) -> dict[str, Any]:
        """Return each dotted field with its plain value, in the order of definition."""
        return flatten(self.tree())


def digest(tree: Mapping[str, Any]) -> str:
    """Return a stable hex digest of a plain tree.

    Equal content has an equal digest, on every machine and version of Python.
    """
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return each dotted field of a nested tree with its plain value, in the tree's order."""
    return dict(_pairs(tree, ""))


def _pairs(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in tree.items():
        pairs += (
            _pairs(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else [(f"{prefix}{name}", value)]
        )
    return pairs


def _put(tree: dict[str, Any], path: str, value: Any) -> str | None:
    """Set a dotted field, of options also one that is not there yet; why not, where it cannot."""
    *parents, name = path.split(".")
    branch = tree
    for depth, parent in enumerate(parents, 1):
        inner = branch.setdefault(parent, {})
        if not isinstance(inner, dict):
            return f"{path}: {'.'.join(parents[:depth])} is {inner!r}, which has no options"
        branch = inner
    branch[name] = value
    return None


def _part_at(cls: type[Part], parents: list[str]) -> type[Part] | None:
    for parent in parents:
        field = cls.model_fields.get(parent)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, Part)):
            return None
        cls = inner
    return cls


def _holds_options(cls: type[Part], names: list[str]) -> bool:
    part = _part_at(cls, names[:-1])
    field = part.model_fields.get(names[-1]) if part and names else None
    return field is not None and field.annotation is Options


def unknown_field(cls: type[Part], path: str) -> str | None:
    """Why a dotted path names no field that holds a value, with what it could have meant.

    None when it does name one.
    """
    names = path.split(".")
    for depth, name in enumerate(names):
        part = _part_at(cls, names[:depth])
        where = ".".join(names[:depth])
        if part is None and _holds_options(cls, names[:depth]):
            return None  # what the part itself says of it is known once it is imported
        if part is None:
            return f"{path}: {where} is a value and has no field {name!r}"
        if name not in part.model_fields:
            meant = " or ".join(_meant(cls, path, names[:depth], name))
            hint = f"; did you mean {meant}?" if meant else ""
            of = where or "the specification"
            return f"{path}: no such field{hint} (fields of {of}: {', '.join(part.model_fields)})"

    whole = _part_at(cls, names)
    if whole is not None:
        return (
            f"{path}: is a group of fields; set one of "
            f"{', '.join(f'{path}.{name}' for name in whole.model_fields)}"
        )
    return None


def _meant(cls: type[Part], path: str, parents: list[str], name: str) -> list[str]:
    """What an unknown dotted field could mean: all that end as it does, else what is spelt alike.

    `name` is the first of its parts that its `parents` do not have.
    """
    known = _paths(cls, "")
    if ends := [one for one in known if one.endswith(f".{path}")]:
        return ends
    part = _part_at(cls, parents)
    if part and (near := difflib.get_close_matches(name, part.model_fields, n=1)):
        return [".".join([*parents, near[0]])]
    last = path.rpartition(".")[2]
    by_last: dict[str, list[str]] = {}
    for one in known:
        by_last.setdefault(one.rpartition(".")[2], []).append(one)
    close = difflib.get_close_matches(last, by_last, n=1)
    return by_last[close[0]] if close else []


def _paths(cls: type[Part], prefix: str) -> list[str]:
    """Every dotted field of a part that holds a value, in the order of definition."""
    found = list[str]()
    for name, field in cls.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Part):
            found += _paths(inner, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found


def _explain(cls: type[Part], problem: Any) -> str:
    """One pydantic error as a line: the field, its value and what would have been valid."""
    location = [str(step) for step in problem["loc"]]
    path = ".".join(location) or "specification"
    if problem["type"] == "extra_forbidden":
        return unknown_field(cls, path) or (
            f"{path}: no such field here; write the parts inside one another, without dots"
        )
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{path}: is required"
    if _holds_options(cls, location):
        return f"{path}={problem['input']!r}: {message}"
    if not location or isinstance(problem["input"], dict):
        if problem["type"] != "value_error":
            return f"{path}: {message}"
        # A part names itself as at the top; it may lie deeper, as the data of a transfer do.
        is_deeper = len(location) > 1 and message.startswith(f"{location[-1]}.")
        return ".".join([*location[:-1], message]) if is_deeper else message
    return f"{path}={problem['input']!r}: {message}"
