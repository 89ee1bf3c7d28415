"""Lists of images that keep their labels, as people bring them: names, and what stands beside them.

A line is a name, or class/name, in whatever form it was written elsewhere: with the path of another
folder or system before it, with its class or the number of that after a blank or in columns, with
or without its ending. What a line means is decided by the files that there are: the first reading
that is one of them holds, the plainest first, so that a blank in a name is no end of it.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from workloads.evaluation.protocols.list_readings import Reading, is_header, readings_of
from workloads.spec import SpecError
from workloads.text_files import TextError, lines_of, read_text

__all__ = ["MatchedList", "match_list", "written_lines"]

SHOWN = 10


@dataclass(frozen=True)
class MatchedList:
    """The rows of the files that a list names, and notes on what was done with its lines."""

    rows: set[int]
    notes: tuple[str, ...] = ()


def _same(name: str) -> str:
    return name


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _composed(_composed(name).casefold())


def _without_ending(name: str) -> str:
    return _composed(os.path.splitext(name)[0])


# What of a name in a list and of a file's path is to be equal: the first that finds a file holds.
_KEYS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (_same, _same),
    (_composed, _composed),
    (_folded, _folded),
    (_composed, _without_ending),
)


def written_lines(listed: Path) -> list[str]:
    """Return the lines of a list that hold something, without blanks around it.

    Raises SpecError when it cannot be read.
    """
    try:
        text = read_text(listed, keep_bytes=True)
    except TextError as error:
        others = sorted(path.name for path in listed.parent.glob("*") if path != listed)
        beside = f"; beside it are {_first(others)}" if others and not listed.exists() else ""
        raise SpecError(
            [f"eval.finetune.subset_files: {listed} cannot be read ({error}{beside})"]
        ) from None
    return [line.strip() for line in lines_of(text) if line.strip()]


def match_list(listed: Path, paths: Sequence[str]) -> MatchedList:
    """Find the rows of the files that a list names; `paths` are part/class/name of every row.

    A file may be named twice, which is noted. Raises SpecError when the list cannot be read, with
    the lines that name no file or several, and with labels that contradict the files' classes.
    """
    lines = written_lines(listed)
    classes = {parts[1] for path in paths if len(parts := path.split("/")) > 2}
    readings = [list(readings_of(line, classes)) for line in lines]
    found = _found(readings, paths)
    skipped, notes = _skipped(lines, found.keys(), classes)

    labelled = [
        (lines[number], _class_of(paths[rows[0]]), reading.label)
        for number, (reading, rows) in found.items()
        if len(rows) == 1 and reading.label is not None
    ]
    wrong, of_labels = _contradictions(labelled, sorted(classes))
    named, known = len(lines) - len(skipped), {*found, *skipped}
    problems = {
        f"{named} names are no training images": [
            line for number, line in enumerate(lines) if number not in known
        ],
        "names are in several classes, write class/name": [
            lines[number] for number, (_, rows) in found.items() if len(rows) > 1
        ],
        "labels contradict the folders that the images are in": wrong,
    }
    _refuse(listed, problems, paths)

    rows = [rows[0] for _, rows in found.values()]
    if repeated := len(rows) - len(set(rows)):
        notes.append(f"{repeated} of {named} lines name an image again")
    return MatchedList(set(rows), tuple(f"{listed}: {note}" for note in (*notes, *of_labels)))


def _skipped(
    lines: list[str], found: Collection[int], classes: set[str]
) -> tuple[set[int], list[str]]:
    """Comments, and a first line with the names of columns, with a note on each."""
    skipped = {
        number for number, line in enumerate(lines) if number not in found and line[0] == "#"
    }
    notes = [f"{len(skipped)} lines begin with # and are taken for comments"] if skipped else []
    first = next((number for number in range(len(lines)) if number not in skipped), None)
    if first is not None and first not in found and is_header(lines[first], classes):
        skipped.add(first)
        notes.append(f"its first line, {lines[first]}, is taken for the names of columns")
    return skipped, notes


def _found(
    readings: list[list[Reading]], paths: Sequence[str]
) -> dict[int, tuple[Reading, list[int]]]:
    """Of each line that names a file: the reading that does, and the rows, in the lines' order."""
    found: dict[int, tuple[Reading, list[int]]] = {}
    for of_name, of_path in _KEYS:
        left = {
            number: [one for one in readings[number] if one.sure or of_path is not _without_ending]
            for number in range(len(readings))
            if number not in found
        }
        wanted = {of_name(_base(one.name)) for each in left.values() for one in each}

        # By the last part of the path first, as there are a million of them.
        candidates: dict[str, list[int]] = {}
        for row, path in enumerate(paths) if left else ():
            if (base := of_path(_base(path))) in wanted:
                candidates.setdefault(base, []).append(row)

        for number, each in left.items():
            for reading in each:
                name = of_name(reading.name)
                among = candidates.get(_base(name), [])
                if rows := [row for row in among if _names(name, of_path(paths[row]))]:
                    of_class = [row for row in rows if _class_of(paths[row]) == reading.label]
                    found[number] = reading, of_class or rows
                    break
    return dict(sorted(found.items()))


def _names(name: str, path: str) -> bool:
    """Whether a name is the end of a path, or ends with all of it, below its part at least.

    Folders between the class and the file may be left out.
    """
    below = path.partition("/")[2]
    inside = f"{_class_of(path)}/{_base(path)}"
    return f"/{path}".endswith(f"/{name}") or any(
        "/" in known and f"/{name}".endswith(f"/{known}") for known in (path, below, inside)
    )


def _contradictions(
    labelled: list[tuple[str, str, str]], classes: list[str]
) -> tuple[list[str], list[str]]:
    """The lines whose labels are not those of the files' classes, and notes on the numbers.

    A label is a class by its name, or a number that the list gives to it. Other columns, such as
    numbers of images, are none.
    """
    named = {_folded(name): name for name in classes}
    words = [
        (line, own, label if label in classes else named.get(_folded(label)))
        for line, own, label in labelled
        if own and not re.fullmatch(r"-?[0-9.]+", label)
    ]
    wrong = []
    if 2 * sum(name is not None for _, _, name in words) >= len(words):  # else no classes at all
        wrong = [line for line, own, name in words if name != own]
    numbered = [
        (line, own, label)
        for line, own, label in labelled
        if own and _folded(label) not in named and re.fullmatch(r"[0-9]{1,9}", label)
    ]
    if not numbered:
        return wrong, []

    counts = Counter((own, int(label)) for _, own, label in numbered)
    by_use = {own: number for (own, number), _ in reversed(counts.most_common())}
    choices = [{name: n + first for n, name in enumerate(classes)} for first in (0, 1)]
    numbers, agreeing = max(
        (
            (choice, sum(choice.get(own) == int(label) for _, own, label in numbered))
            for choice in (*choices, by_use)
        ),
        key=lambda each: each[1],
    )
    fewest = len(numbered) / 2 + (numbers is by_use)
    if agreeing < fewest or len({*numbers.values()}) < len(numbers):
        return wrong, ["its numbers are not taken for classes, which are those of the folders"]
    notes = []
    if numbers is by_use:
        notes = ["numbers the classes in an order of its own; they are those of the folders"]
    wrong += [
        f"{line} ({own} is {numbers[own]})"
        for line, own, label in numbered
        if numbers[own] != int(label)
    ]
    return wrong, notes


def _class_of(path: str) -> str:
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _refuse(listed: Path, problems: dict[str, list[str]], paths: Sequence[str]) -> None:
    """Raise a SpecError with the lines of each problem that has some, and the form of a line."""
    found = []
    for what, of_lines in problems.items():
        if of_lines:
            of_all = " of" if what[0].isdigit() else ""
            found.append(f"{listed}: {len(of_lines)}{of_all} {what}: {_first(of_lines)}")
            if of_all:
                found[-1] += _form(paths)
    if found:
        raise SpecError(found)


def _form(paths: Sequence[str]) -> str:
    """What is expected, with an example of the files that there are."""
    if not paths:
        return ""
    example = paths[0].partition("/")[2]
    return (
        f"; a line is to be the name of a file, or class/name, such as {example}, and may have "
        "its class after a blank, a comma or a tab"
    )


def _first(lines: list[str]) -> str:
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return ", ".join(lines[:SHOWN]) + more
