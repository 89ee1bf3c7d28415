"""What a record has to look like for those who read its parts, whoever wrote it.

Keys of other versions may be there, and others missing. What is there has to be of its kind: a
text where a number belongs would be met only later, far from the file that it came from.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

__all__ = [
    "LEFT_OUT",
    "Name",
    "Shape",
    "Text",
    "check_evaluation",
    "check_record",
    "check_shape",
]

DEEPEST = 60  # mappings and lists within one another


def _named(name: str) -> str:
    if re.fullmatch(r"[\w-]{1,200}", name, re.ASCII) is None:
        raise ValueError(f"{name[:40]!r} is no name of a folder")
    return name


Number = Annotated[float, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
Name = Annotated[str, AfterValidator(_named)]  # of a run or a sweep, and of its folder
Numbers = dict[Text, Number]
LEFT_OUT: Any = None  # of a key that other versions do not have: where it is there, it is no null


class Shape(BaseModel):
    """A mapping in which keys of other versions may be, and which is only looked at."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Machine(Shape):
    device: Text
    gpu: bool
    threads: Annotated[int, Field(strict=True, le=1 << 20)]
    workers: Annotated[int, Field(strict=True, le=1 << 20)]
    precision: Text
    torch: Text
    python: Text = LEFT_OUT
    hosts: list[Text] = LEFT_OUT


class _LeftOut(Shape):
    reason: Text
    count: Annotated[int, Field(strict=True)]
    example: Text


class _Read(Shape):
    data: Text
    used: Annotated[int, Field(strict=True)]
    left_out: list[_LeftOut]
    content: Text = LEFT_OUT
    remarks: list[Text] = LEFT_OUT


class _Record(Shape):
    name: Text
    fingerprint: Name
    status: Literal["finished", "failed", "stopped"]
    spec: dict[Text, Any]
    workload: Text = LEFT_OUT
    results: Numbers = LEFT_OUT
    intervals: dict[Text, tuple[Number, Number]] | None = None
    history: list[Numbers] = LEFT_OUT
    error: Text = LEFT_OUT
    diverged: bool | None = None
    log_tail: list[Text] = LEFT_OUT
    log: Text | None = None
    epoch: Number | None = None
    trained_by: Name | None = None
    weights: dict[Text, Any] | None = None
    data: Text | None = None
    data_read: list[_Read] | None = None
    machine: _Machine | None = None
    ended: Text | None = None
    seconds: Number | None = None
    total_seconds: Number | None = None


class _Evaluation(Shape):
    run: Text
    protocol: Text
    eval: dict[Text, Any]
    results: Numbers
    intervals: dict[Text, tuple[Number, Number]] | None = None
    data: dict[Text, Any] | None = None
    data_read: list[_Read] | None = None
    ended: Text | None = None


def check_record(tree: object) -> None:
    """Raise ValueError, which names the field, where a tree is no record of a run."""
    check_shape(tree, _Record)


def check_evaluation(tree: object) -> None:
    """Raise ValueError, which names the field, where a tree is no record of an evaluation."""
    check_shape(tree, _Evaluation)


def _is_too_deep(tree: object) -> bool:
    """Tell whether mappings and lists lie deeper in one another than anything that is written."""
    level: list[object] = [tree]
    for _ in range(DEEPEST):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def check_shape(tree: object, shape: type[Shape]) -> None:
    """Raise ValueError, which names the field, where a tree is not of a shape."""
    if _is_too_deep(tree):
        raise ValueError(f"is nested more than {DEEPEST} deep")
    try:
        shape.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step)[:40] for step in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None
