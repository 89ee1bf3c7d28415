"""The fields of a specification, each with what it means: what `--set` and `--config` take."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic.fields import FieldInfo
from rich.console import Console
from rich.text import Text

from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from workloads.catalog import every_workload
from workloads.field_types import kinds_of
from workloads.option_values import Options
from workloads.spec import Part
from workloads.spelling import did_you_mean
from workloads.workload import AnyWorkload
from workloads.written import as_assigned

__all__ = ["FieldDescription", "commented_yaml", "fields_of", "list_fields"]

END_OF_SCALAR = "...\n"  # which YAML writes where a document is one word
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


@dataclass(frozen=True)
class FieldDescription:
    """A field: its dotted path, what it means, what it takes, and what presets make of it.

    `default` is the specification's own, `presets` the values of those that have another one.
    """

    path: str
    meaning: str
    takes: str
    default: Any
    presets: Mapping[str, Any]


def fields_of(workload: AnyWorkload) -> list[FieldDescription]:
    """Return the fields of a workload's specification, in the order of definition."""
    values = {name: build().flat() for name, build in workload.presets.items()}
    spec = type(next(iter(workload.presets.values()))())
    found = []
    for path, field in _leaves(spec, ""):
        default = _plain(field.get_default(call_default_factory=True))
        others = {name: flat[path] for name, flat in values.items() if path in flat}
        found.append(
            FieldDescription(
                path,
                field.description or "",
                _takes(field),
                default,
                {name: value for name, value in others.items() if value != default},
            )
        )
    return found


def list_fields(prefix: str | None, console: Console) -> Finished:
    """Print the fields of all workloads, or those of a part, or one.

    Raises PlanError for a name that no field has or begins with.
    """
    found = {workload.name: fields_of(workload) for workload in every_workload()}
    if prefix is not None:
        everything = [one.path for fields in found.values() for one in fields]
        found = {name: _below(prefix, fields) for name, fields in found.items()}
        if not any(found.values()):
            raise PlanError([_unknown(prefix, everything)])
    for name, fields in found.items():
        if len(found) > 1 and fields:
            console.print(Text(f"{name}:", style="bold"))
        for one in fields:
            _print(one, console)
    document = {
        name: [
            {
                "field": one.path,
                "meaning": one.meaning,
                "takes": one.takes,
                "default": one.default,
                "presets": dict(one.presets),
            }
            for one in fields
        ]
        for name, fields in found.items()
        if fields
    }
    return Finished(0, {"fields": document})


def commented_yaml(workload: AnyWorkload, tree: Mapping[str, Any]) -> str:
    """Return a specification as YAML with the meaning of each field above it.

    It is read back as an equal one.
    """
    import yaml

    described = {one.path: one for one in fields_of(workload)}
    lines = list[str]()

    def write(part: Mapping[str, Any], path: str, depth: int) -> None:
        indent = "  " * depth
        for name, value in part.items():
            whole = f"{path}{name}"
            one = described.get(whole)
            if one is None and isinstance(value, dict) and value:
                lines.append(f"{indent}{name}:")
                write(value, f"{whole}.", depth + 1)
                continue
            if one is not None:
                said = f"{one.meaning} ({one.takes})"
                lines.extend(
                    textwrap.wrap(
                        said, 96, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   "
                    )
                )
            text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
            lines.append(f"{indent}{name}: {text.removesuffix(END_OF_SCALAR).rstrip()}")

    write(tree, "", 0)
    return "\n".join(lines) + "\n"


def _leaves(part: type[Part], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in part.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Part):
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _plain(value: Any) -> Any:
    """A default as a specification's tree has it."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


def _takes(field: FieldInfo) -> str:
    """The type and the choices of a field in a few words."""
    if field.annotation is Options:
        return "options by name, as {NAME: VALUE}"
    kinds = kinds_of(field.annotation)
    parts = []
    if kinds.elements:
        words = [word for one in kinds.elements for word in _words_inside(one)]
        parts.append("a list, a,b or [a, b]" + (f" of {', '.join(words)}" if words else ""))
    if kinds.words:
        parts.append(", ".join(kinds.words))
    if kinds.text:
        parts.append("a text")
    if kinds.truth:
        parts.append("true or false")
    if kinds.number:
        parts.append(_bounded("a number" if kinds.fraction else "a whole number", field))
    if kinds.nothing:
        parts.append("null")
    return " or ".join(parts) or "fields of its own"


def _words_inside(annotation: Any) -> list[str]:
    return [word for one in get_args(annotation) for word in kinds_of(one).words]


def _bounded(what: str, field: FieldInfo) -> str:
    limits = [
        f"{word} {getattr(bound, name):g}"
        for bound in field.metadata
        for name, word in BOUNDS.items()
        if hasattr(bound, name)
    ]
    return f"{what}, {' and '.join(limits)}" if limits else what


def _below(prefix: str, fields: Sequence[FieldDescription]) -> list[FieldDescription]:
    return [one for one in fields if one.path == prefix or one.path.startswith(f"{prefix}.")]


def _unknown(prefix: str, known: Sequence[str]) -> str:
    ends = [path for path in known if path.endswith(f".{prefix}")]
    if ends:
        return f"{prefix}: no such field; did you mean {', '.join(ends)}?"
    groups = {path.rpartition(".")[0] for path in known} - {""}
    hint = did_you_mean(prefix, [*known, *groups])
    tops = ", ".join(dict.fromkeys(path.partition(".")[0] for path in known))
    return f"{prefix}: no such field{hint or f'; they begin with {tops}'}"


def _print(one: FieldDescription, console: Console) -> None:
    console.print(Text.assemble((one.path, "bold"), f" = {as_assigned(one.default)}"))
    for line in (one.meaning, f"takes {one.takes}", _in_presets(one)):
        wrapped = textwrap.wrap(
            line,
            max(console.width, 40) - 2,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for row in wrapped:
            console.print(row, highlight=False, soft_wrap=True)


def _in_presets(one: FieldDescription) -> str:
    """What presets have in place of the default, those of one value together."""
    of_value: dict[str, list[str]] = {}
    for name, value in one.presets.items():
        of_value.setdefault(as_assigned(value), []).append(name)
    return "; ".join(f"{value} in {', '.join(names)}" for value, names in of_value.items())
