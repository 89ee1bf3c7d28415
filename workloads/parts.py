"""Parts of a run that lie outside of this package: found, typed and known by their source.

A part is named in the field that names built-in ones, by `module:name` or by the name of an entry
point of its kind's group, as a distribution offers it:

    [project.entry-points."simclr_orch.encoders"]
    small-net = "my_package.nets:SmallNet"

Nothing is imported before it is asked for; `workloads/part_source.py` says where a module is looked
for, and what its digest is of.

A part takes what its kind hands over, by position, and its options: either one parameter `options`,
annotated with a frozen pydantic class, or further parameters that are annotated themselves.
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from workloads.part_source import Source, distribution_of, source_of
from workloads.spec import SpecError
from workloads.spelling import did_you_mean, nearest

__all__ = [
    "DATASETS",
    "ENCODERS",
    "KINDS",
    "LOSSES",
    "METRICS",
    "OPERATIONS",
    "OPTIMIZERS",
    "Kind",
    "OwnPart",
    "PartOption",
    "find",
    "name_problem",
    "offered",
    "option_name",
    "part_of",
    "plain_options",
    "read_options",
]


@dataclass(frozen=True)
class Kind:
    """What a part is for; `takes` are the parameters that are handed over before its options."""

    name: str
    group: str
    takes: tuple[str, ...] = ()


ENCODERS = Kind("encoder", "simclr_orch.encoders")
LOSSES = Kind("loss", "simclr_orch.losses", ("z0", "z1"))
OPTIMIZERS = Kind("optimizer", "simclr_orch.optimizers", ("groups", "learning_rate"))
DATASETS = Kind("data set", "simclr_orch.datasets", ("root",))
OPERATIONS = Kind("augmentation operation", "simclr_orch.operations", ("images", "draws"))
METRICS = Kind("evaluation metric", "simclr_orch.metrics", ("features", "labels"))
KINDS = (ENCODERS, LOSSES, OPTIMIZERS, DATASETS, OPERATIONS, METRICS)


@dataclass(frozen=True)
class PartOption:
    """An option of a part, as people read it; `default` is None where it is required."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True)
class OwnPart:
    """A part that has been found and imported.

    `where` says from where, as `module:name`. `code` is what is pinned: `my-nets 1.0 6f1e…`, name
    and version of its distribution and digest of its source, or the digest alone; None for a part
    of this package, whose results its own revision stands for.
    """

    kind: Kind
    name: str
    where: str
    code: str | None
    made_by: Callable[..., Any]
    options: type[BaseModel]
    as_one: bool  # options are one parameter, and not one each

    def make(self, *given: Any, options: BaseModel) -> Any:
        """Call the part with what its kind hands over, and options that `read_options` gave."""
        if self.as_one:
            return self.made_by(*given, options=options)
        return self.made_by(*given, **{name: getattr(options, name) for name in self._names})

    def described(self) -> tuple[PartOption, ...]:
        """Return its options with types and defaults, in the order of definition."""
        return tuple(
            PartOption(
                name,
                inspect.formatannotation(field.annotation),
                None if field.is_required() else repr(field.get_default(call_default_factory=True)),
            )
            for name, field in self.options.model_fields.items()
        )

    @property
    def _names(self) -> Collection[str]:
        return self.options.model_fields


def name_problem(kind: Kind, field: str, name: str, built_in: Collection[str]) -> str | None:
    """Say why a name can be no part; None where it is built in, offered, or a `module:name`.

    Nothing is imported. Whoever has a specification with its code pinned need not ask: it may be of
    a part that this machine lacks.
    """
    if name in built_in or name in entry_points(group=kind.group).names:
        return None
    module, colon, attribute = name.partition(":")
    if colon:
        if all(word.isidentifier() for word in (*module.split("."), *attribute.split("."))):
            return None
        return f"{field}={name!r}: is not of the form module:name, as in my_parts:Net"
    known = [*built_in, *(point.name for point in offered(kind))]
    near = nearest(name, known)
    hint = f"did you mean {near}? " if near else ""
    return (
        f"{field}={name!r}: no such {kind.name}; {hint}known are {', '.join(known)}, and own ones "
        f"as module:name or an entry point of {kind.group}"
    )


def option_name(name: str) -> str:
    """Return the word for a part among others of its kind: `fog` of `my_parts.weather:fog`."""
    return re.sub(r"\W", "_", name.rpartition(":")[2])


def offered(kind: Kind) -> tuple[EntryPoint, ...]:
    """Return what installed distributions offer of a kind, by name; nothing is imported."""
    return tuple(sorted(entry_points(group=kind.group), key=lambda point: point.name))


def find(kind: Kind, field: str, name: str, pinned: str | None = None) -> OwnPart:
    """Import the part that a field names.

    Raises SpecError where there is no such module or name, where the import fails, where it is
    nothing that can be called with what its kind hands over, where its source has changed since it
    was imported, and where `pinned` is another code than its own.
    """
    what = f"{field}={name!r}"
    where, distribution = _where(kind, what, name)
    module_name, _, attribute = where.partition(":")
    source = source_of(module_name, what)
    made_by: Any = source.module
    for word in attribute.split("."):
        if not hasattr(made_by, word):
            raise SpecError([f"{what}: {_no_such_name(made_by, source, word)}"])
        made_by = getattr(made_by, word)

    code = " ".join([*(distribution or distribution_of(source) or ()), source.digest])
    part = part_of(kind, field, name, made_by, where, code)
    if pinned is not None and pinned != code:
        raise SpecError(
            [
                f"{what}: its source is {code} ({source.file}), and the run was planned with "
                f"{pinned}; put that back, or plan again, which asks for other runs"
            ]
        )
    return part


def part_of(
    kind: Kind, field: str, name: str, made_by: Any, where: str, code: str | None
) -> OwnPart:
    """Return what was imported as a part of its kind, with its options as it declares them.

    Raises SpecError for what cannot be called as its kind is.
    """
    options, as_one = _options_of(kind, f"{field}={name!r}", made_by)
    return OwnPart(kind, name, where, code, made_by, options, as_one)


def read_options(part: OwnPart, field: str, values: Mapping[str, Any]) -> BaseModel:
    """Validate the options of a part, of which `field` has the plain values.

    Raises SpecError with every problem; a name that the part does not know is one.
    """
    known = part.options.model_fields
    unknown = [name for name in values if name not in known]
    problems = [_unknown_option(part, field, name) for name in unknown]
    try:
        options = part.options.model_validate(
            {name: value for name, value in values.items() if name in known}
        )
    except ValidationError as error:
        problems += [_option_problem(part, field, one) for one in error.errors()]
    if problems:
        raise SpecError(problems)
    return options


def plain_options(given: Mapping[str, Any], options: BaseModel) -> dict[str, Any]:
    """Return validated options as a specification keeps them: defaults, too, where they are plain.

    So a run with a default that is written out is the one without it. `given` are kept whatever
    they are.
    """
    plain: dict[str, Any] = {}
    for name in type(options).model_fields:
        try:
            plain |= options.model_dump(mode="json", include={name})
        except ValueError:  # such as a default that is a class
            if name in given:
                plain[name] = given[name]
    return plain


def _unknown_option(part: OwnPart, field: str, name: str) -> str:
    known = part.options.model_fields
    near = nearest(name, known)
    hint = f"did you mean {near}? " if near else ""
    return (
        f"{field}.{name}: {part.name} has no such option; {hint}"
        f"it takes {', '.join(known) or 'none'}"
    )


def _option_problem(part: OwnPart, field: str, problem: Any) -> str:
    where = ".".join([field, *(str(step) for step in problem["loc"])])
    if problem["type"] == "missing":
        return f"{where}: is required by {part.name}"
    return f"{where}={problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"


def _where(kind: Kind, what: str, name: str) -> tuple[str, tuple[str, str] | None]:
    """`module:name`, and the distribution and version of an entry point."""
    points = tuple(entry_points(group=kind.group, name=name))
    if len(points) > 1:
        whose = ", ".join(sorted(str(point.dist and point.dist.name) for point in points))
        raise SpecError([f"{what}: is offered by {whose}; name it as module:name"])
    if points:
        point = points[0]
        dist = (point.dist.name, point.dist.version) if point.dist else None
        return f"{point.module}:{point.attr}", dist
    if ":" not in name:
        raise SpecError([f"{what}: no distribution that is installed offers it in {kind.group}"])
    return name, None


def _no_such_name(holder: Any, source: Source, word: str) -> str:
    names = [name for name in vars(holder) if not name.startswith("_")]
    return f"{source.file} has no {word!r}{did_you_mean(word, names)}"


def _options_of(kind: Kind, what: str, made_by: Any) -> tuple[type[BaseModel], bool]:
    """The type of a part's options, and whether it takes them as one."""
    if not callable(made_by):
        raise SpecError(
            [f"{what}: is {type(made_by).__name__}, and not a class or function that is called "
             f"for {_article(kind.name)}"]
        )  # fmt: skip
    try:
        parameters = list(inspect.signature(made_by, eval_str=True).parameters.values())
    except (ValueError, TypeError, NameError) as error:
        raise SpecError([f"{what}: its parameters cannot be read: {error}"]) from None
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed, rest = parameters[: len(kind.takes)], parameters[len(kind.takes) :]
    if len(needed) < len(kind.takes) or any(one.kind not in by_position for one in needed):
        expected = ", ".join((*kind.takes, "options"))
        raise SpecError([f"{what}: {_article(kind.name)} is called with ({expected}) by position"])

    single = rest[0].annotation if len(rest) == 1 and rest[0].name == "options" else None
    if isinstance(single, type) and issubclass(single, BaseModel):
        return single, True
    fields: dict[str, Any] = {}
    for one in rest:
        named = one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)
        if not named or one.name.startswith("_"):
            continue  # *args and **kwargs take no option
        default = ... if one.default is one.empty else one.default
        fields[one.name] = (Any if one.annotation is one.empty else one.annotation, default)
    config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()
    )
    return create_model("Options", __config__=config, **fields), False


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
