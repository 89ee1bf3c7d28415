"""What a field of a specification can hold, from its annotation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["Kinds", "annotation_at", "element_of", "field_of", "kinds_of"]


@dataclass(frozen=True)
class Kinds:
    """What a value can be: `words` are the choices of a Literal, a `fraction` is no whole number.

    `elements` has the annotations of a sequence or mapping, one for each alternative.
    """

    text: bool
    nothing: bool
    truth: bool
    number: bool
    fraction: bool
    words: tuple[str, ...]
    elements: tuple[Any, ...]
    anything: bool


def annotation_at(of: type[Any], path: str) -> Any:
    """Return the annotation of a dotted field; Any where there is no such field."""
    annotation: Any = of
    for name in path.split("."):
        annotation = field_of(annotation, name)
    return annotation


def field_of(annotation: Any, name: str) -> Any:
    """Return the annotation of a part's field, or of a mapping's values; Any for others."""
    for leaf in _leaves(annotation):
        if isinstance(leaf, type) and issubclass(leaf, BaseModel):
            field = leaf.model_fields.get(name)
            return field.annotation if field else Any
        origin, arguments = get_origin(leaf), get_args(leaf)
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
            return arguments[1]
    return Any


def element_of(annotation: Any, position: int) -> Any:
    """Return the annotation of a sequence's element; Any for what is no sequence."""
    for leaf in _leaves(annotation):
        origin, arguments = get_origin(leaf), get_args(leaf)
        if not isinstance(origin, type) or not issubclass(origin, Collection) or not arguments:
            continue
        if origin is tuple and Ellipsis not in arguments:
            return arguments[position] if position < len(arguments) else Any
        if issubclass(origin, Sequence | frozenset | set):
            return arguments[0]
    return Any


def kinds_of(annotation: Any) -> Kinds:
    """Return what a value with an annotation can be."""
    leaves = _leaves(annotation)
    choices = [
        choice for leaf in leaves if get_origin(leaf) is Literal for choice in get_args(leaf)
    ]
    return Kinds(
        text=str in leaves,
        nothing=NoneType in leaves or None in choices,
        truth=bool in leaves or any(isinstance(choice, bool) for choice in choices),
        number=int in leaves
        or float in leaves
        or any(isinstance(choice, int | float) for choice in choices),
        fraction=float in leaves or any(isinstance(choice, float) for choice in choices),
        words=tuple(choice for choice in choices if isinstance(choice, str)),
        elements=tuple(leaf for leaf in leaves if _holds_others(leaf)),
        anything=Any in leaves,
    )


def _holds_others(leaf: Any) -> bool:
    kind = get_origin(leaf) or leaf
    return isinstance(kind, type) and kind is not str and issubclass(kind, Collection | BaseModel)


def _leaves(annotation: Any) -> list[Any]:
    """The alternatives of a union, without what annotates them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _leaves(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [leaf for each in get_args(annotation) for leaf in _leaves(each)]
    return [annotation]
