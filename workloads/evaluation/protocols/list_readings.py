"""What a line of a list may mean: a name, and a class that stands beside it, in several forms."""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Reading", "is_header", "readings_of"]

_HEADERS = re.compile(r"[a-z][a-z _-]*", re.IGNORECASE)
_ALONE = {"filename", "filenames", "file", "files", "image", "images", "name", "names", "path"}


@dataclass(frozen=True)
class Reading:
    """What a line may mean: a name, and the class that stands beside it.

    Where it is `sure`, it looks like a name and a class, and holds for a name without an ending.
    """

    name: str
    label: str | None = None
    sure: bool = True


def readings_of(line: str, classes: set[str]) -> Iterator[Reading]:
    """Yield what a line may mean, the plainest first."""
    for text in dict.fromkeys((line, _of_another_system(line))):
        yield from _with_slashes(Reading(text))
        for delimiter in ",\t;":
            if delimiter in text or text[0] == '"':
                yield from _columns(text, delimiter, classes)

        # Blanks may be in names: what stands beside one has to look like a class.
        name, label = text, ""
        while len(split := name.rsplit(maxsplit=1)) == 2 and _is_label(split[1], classes):
            name, label = split
            yield from _with_slashes(Reading(name, label))
        split = text.split(maxsplit=1)
        if len(split) == 2 and _is_label(split[0], classes):
            yield from _with_slashes(Reading(split[1], split[0], _is_path(split[1])))


def _columns(text: str, delimiter: str, classes: set[str]) -> Iterator[Reading]:
    try:
        fields = [field.strip() for field in next(csv.reader([text], delimiter=delimiter))]
    except csv.Error:  # a line of 100,000 characters
        return
    for position, field in enumerate(fields):
        others = [*fields[position + 1 :], *fields[:position]]
        label = others[0] if others else None
        sure = (label is None or _is_label(label, classes)) and (position == 0 or _is_path(field))
        if field:
            yield from _with_slashes(Reading(field, label, sure))


def _with_slashes(reading: Reading) -> Iterator[Reading]:
    """The reading, and what another system's path would be here."""
    name = reading.name
    yield reading
    plain = re.sub(r"/(\./)*/*", "/", name.strip("'\"").replace("\\", "/")).removeprefix("./")
    if plain and plain != name:
        yield Reading(plain, reading.label, reading.sure)


def _of_another_system(line: str) -> str:
    """The line as Windows' old encoding has it, where it is not UTF-8."""
    data = os.fsencode(line)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _is_label(text: str, classes: set[str]) -> bool:
    return text in classes or re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) is not None


def _is_path(text: str) -> bool:
    return "." in text or "/" in text


def is_header(line: str, classes: set[str]) -> bool:
    """Tell whether a first line that names no file tells what the columns are."""
    fields = [field.strip(' "') for field in re.split(r"[,;\t]", line)]
    if len(fields) == 1:
        return not {*line.lower().split()}.isdisjoint(_ALONE)
    return all(_HEADERS.fullmatch(field) and field not in classes for field in fields)
