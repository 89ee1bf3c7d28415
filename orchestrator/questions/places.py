"""Where in a question's file stands what a plan finds wrong with a cell or with the recipe."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.questions.file import QuestionFile
from search_spaces.claims import Place
from search_spaces.trees.question import Keys
from search_spaces.trees.reading import label_of

__all__ = ["located"]


def located(files: Sequence[QuestionFile], problems: Sequence[str]) -> list[str]:
    """Return the problems of a plan, with file, line and column before those that files cause."""
    return [
        next((told for file in files if (told := _told(file, problem))), problem)
        for problem in problems
    ]


def _told(file: QuestionFile, problem: str) -> str | None:
    text = problem.removeprefix(f"{file.ablation.name}: ")
    for cell in (*file.ablation.paper.cells, *file.ablation.small.cells):
        begin = f"cell {' · '.join(cell.at)}: "
        if text.startswith(begin):
            field = _field(text.removeprefix(begin))
            return next((_line(file, keys, text) for keys in _keys(file, cell.at, field)), None)
    keys = ("set", _field(text))
    return _line(file, keys, text) if keys in file.marks else None


def _field(text: str) -> str:
    found = re.match(r"[a-z]\w*(\.[a-z]\w*)*", text)
    return found[0] if found else ""


def _line(file: QuestionFile, keys: Keys, text: str) -> str:
    line, column = file.marks[keys]
    return f"{file.name}:{line}:{column}: {text}"


def _keys(file: QuestionFile, at: Place, field: str) -> Iterator[Keys]:
    """Yield the places in a file that may set a field of a cell, the likeliest first."""
    layouts: list[tuple[Keys, Any]] = [((), file.tree)]
    scales = file.tree.get("scales")
    layouts += [(("scales", scale), one) for scale, one in scales.items()] if scales else []
    found = list[Keys]()
    for begin, layout in layouts:
        for keys, names in (*_in_cells(layout, at), *_on_axes(layout, at)):
            found += [(*begin, *keys, field), *([(*begin, *keys)] if field in names else [])]
    found.append(("fixed", field))
    for begin, layout in layouts:
        found += [(*begin, *keys) for keys, _ in _in_cells(layout, at)]
    return (keys for keys in found if keys in file.marks)


def _in_cells(layout: Mapping[str, Any], at: Place) -> Iterator[tuple[Keys, tuple[str, ...]]]:
    for index, cell in enumerate(layout.get("cells") or ()):
        own = cell["at"] if isinstance(cell["at"], list) else [cell["at"]]
        if tuple(map(label_of, own)) == at:
            yield ("cells", index, "values"), ()


def _on_axes(layout: Mapping[str, Any], at: Place) -> Iterator[tuple[Keys, tuple[str, ...]]]:
    """Yield the place of each label of a cell on the axes, and the field that it may stand for."""
    axes = layout.get("axes") or ()
    pairs = list(axes.items()) if isinstance(axes, Mapping) else list(enumerate(axes))
    if len(pairs) != len(at):
        return
    for (key, axis), label in zip(pairs, at, strict=True):
        values = axis if isinstance(axis, list) else axis.get("values")
        begin: Keys = ("axes", key) if isinstance(axis, list) else ("axes", key, "values")
        field = str(key if isinstance(axis, list) else axis.get("field", axis.get("name", key)))
        if isinstance(values, Mapping):
            yield (*begin, label), (field,)
            continue
        labels = list(map(label_of, values or ()))
        if isinstance(axis, Mapping) and axis.get("labels"):
            labels = list(map(label_of, axis["labels"]))
        if label in labels:
            yield (*begin, labels.index(label)), (field,)
