"""The classes of a data set, from what its shards say of each image.

Labels are numbers or names. Names are one where people see one: of the two Unicode forms of `café`
neither is another class. Numbers are what they say, and two ways to write one number (`1`, `01`)
are refused rather than made equal.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from workloads.datasets.shards.labels import Digits, Label
from workloads.spec import SpecError

__all__ = ["Classes", "classes_of", "names_in_files"]

SHOWN = 10


class Classes:
    """The names of the classes in the order of their numbers, and the number of each label."""

    def __init__(self, names: tuple[str, ...], numbers: Mapping[Label, int]) -> None:
        """Take both; `numbers` has every label that was said."""
        self.names, self.numbers = names, numbers


def classes_of(root: str, parts: Mapping[str, Iterable[Label]], names: Any) -> Classes:
    """Find the classes of the labels that the parts say; `names` are those of numbers.

    Raises SpecError where the parts differ in their classes, or where there are fewer than two.
    """
    said = {part: {*labels} for part, labels in parts.items()}
    every: set[Label] = set().union(*said.values())
    is_number = {label: isinstance(label, int | Digits) for label in every}
    if not all(is_number.values()):
        if any(isinstance(label, int) for label in every):
            _refuse_mixed(root, said)
        merged = _by_sight(every)
    else:
        merged = _by_number(root, every)

    classes = {part: {merged[label] for label in labels} for part, labels in said.items()}
    problems = _problems(root, classes)
    if problems:
        raise SpecError(problems)
    ordered: list[Any] = sorted({*merged.values()})
    spelled = {merged[label]: str(label) for label in sorted(every, key=str)}
    named = []
    for label in ordered:
        has_name = isinstance(label, int) and 0 <= label < len(names)
        named.append(names[label] if has_name else spelled[label])
    numbers = {label: number for number, label in enumerate(ordered)}
    return Classes(tuple(named), {label: numbers[merged[label]] for label in every})


def names_in_files(root: str, found: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names of classes that the files have, by file. Raises SpecError where they differ."""
    named = [(path, names) for path, names in found.items() if names]
    for path, names in named:
        if names != named[0][1]:
            raise SpecError(
                [
                    f"{root}: {named[0][0]} and {path} have other names for the same numbers of "
                    f"classes, {_some(named[0][1])} and {_some(names)}"
                ]
            )
    return named[0][1] if named else ()


def _by_number(root: str, every: set[Label]) -> dict[Label, Label]:
    merged: dict[Label, Label] = {label: int(label) for label in every}
    spelled: dict[Label, str] = {}
    for label in sorted(every, key=str):
        first = spelled.setdefault(merged[label], str(label))
        if first != str(label):
            raise SpecError(
                [
                    f"{root}: the labels {first!r} and {str(label)!r} are one number, written in "
                    "two ways; write it in one way if they are one class, else give them names"
                ]
            )
    return merged


def _by_sight(every: set[Label]) -> dict[Label, Label]:
    """Each name as it was written, or, where it was written in several forms, composed."""
    forms: dict[str, set[str]] = {}
    for label in every:
        forms.setdefault(unicodedata.normalize("NFC", str(label)), set()).add(str(label))
    return {
        label: next(iter(written)) if len(written) == 1 else seen
        for label in every
        for seen in [unicodedata.normalize("NFC", str(label))]
        for written in [forms[seen]]
    }


def _refuse_mixed(root: str, said: Mapping[str, set[Label]]) -> None:
    """Numbers among names are names where all parts have the same ones; else a mistake."""
    if all(
        {*map(str, labels)} == {*map(str, next(iter(said.values())))} for labels in said.values()
    ):
        return
    for part, labels in said.items():
        if len({isinstance(label, int | Digits) for label in labels}) > 1:
            raise SpecError([f"{root}/{part}: some labels are numbers and others names"])


def _problems(root: str, classes: Mapping[str, set[Label]]) -> list[str]:
    problems = []
    for part in sorted(classes):
        others = set().union(*(of for name, of in classes.items() if name != part))
        if lacking := others - classes[part]:
            listed = sorted(map(str, lacking))
            alike = {str(label).casefold() for label in classes[part]}
            is_alike = any(label.casefold() in alike for label in listed)
            more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
            case = "; upper and lower case make other classes" if is_alike else ""
            hidden = (
                "; -1 often stands for labels that are not given away" if "-1" in listed else ""
            )
            problems.append(
                f"{root}: {part} lacks classes that the other part has: "
                f"{', '.join(listed[:SHOWN])}{more}{case}{hidden}"
            )
    count = len(classes["train"])
    if count < 2:
        problems.append(f"{root}: train has {count} classes, at least 2 are needed")
    return problems


def _some(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''} ({len(names)})"
