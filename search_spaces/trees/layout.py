"""Axes and cells as a plain tree: read from what a person writes, and written for reading again."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.layout import Axis, Cell, Layout, grid
from search_spaces.trees.reading import Piece, label_of, shown
from search_spaces.trees.values import (
    FIELD,
    Values,
    candidates_in,
    conditions_in,
    too_many,
    value_in,
    values_in,
    values_tree,
    where_tree,
)

__all__ = ["AXIS_KEYS", "CELL_KEYS", "LAYOUT_KEYS", "layout_in", "layout_tree"]

LAYOUT_KEYS = ("axes", "cells", "candidates", "note")
AXIS_KEYS = ("name", "field", "values", "labels", "log")
CELL_KEYS = ("at", "values", "paper", "more", "metric", "candidates", "tuned_by", "asked_where")


@dataclass(frozen=True)
class _Direction:
    """An axis, and what each of its labels sets; None where the cells say that."""

    axis: Axis
    choices: dict[str, Values] | None


def layout_in(pieces: Mapping[str, Piece], owner: Piece) -> Layout | None:
    """Read a layout: axes whose values make a grid, or axes with labels and their cells.

    Returns None where something is wrong with it, which has been said.
    """
    if "axes" not in pieces:
        owner.say("needs axes, such as `axes: {loss.temperature: [0.1, 0.5]}`")
        return None
    before = len(owner.problems)
    directions = _directions(pieces["axes"])
    candidates = candidates_in(pieces["candidates"]) if "candidates" in pieces else ()
    note = pieces["note"].text() if "note" in pieces else ""
    if "cells" in pieces:
        cells = tuple(cell for one in pieces["cells"].items() if (cell := _cell(one)))
        if doubled := [one.axis.name for one in directions if one.choices is not None]:
            pieces["axes"].say(
                f"{', '.join(doubled)}: has values, and there are cells, too; write labels where "
                "cells say what they set, or leave the cells out"
            )
        if candidates:
            pieces["candidates"].say("belong to the cells, where there are any")
    elif len(owner.problems) > before:
        return None
    else:
        cells = _grid(pieces["axes"], directions, candidates)
    if len(owner.problems) > before:
        return None
    axes = tuple(one.axis for one in directions)
    where = pieces.get("cells", pieces["axes"])
    return where.attempt(lambda: Layout(axes=axes, cells=cells, note=note or ""))


def _grid(
    piece: Piece, directions: Sequence[_Direction], candidates: tuple[Values, ...]
) -> tuple[Cell, ...]:
    """A cell for every combination of labels."""
    choices = [one.choices for one in directions if one.choices is not None]
    if bare := [one.axis.name for one in directions if one.choices is None]:
        piece.say(f"{', '.join(bare)}: needs values, or the question needs cells")
        return ()
    if too_many(piece, choices, "cells"):
        return ()
    twice = [
        name
        for one, other in itertools.combinations(choices, 2)
        for name in sorted(set().union(*one.values()) & set().union(*other.values()))
    ]
    if twice:
        piece.say(f"{', '.join(twice)}: is set by two axes")
        return ()
    cells = piece.attempt(lambda: grid(*choices)) or ()
    if not candidates:
        return cells
    tuned = piece.attempt(
        lambda: tuple(Cell(at=cell.at, values=cell.values, candidates=candidates) for cell in cells)
    )
    return tuned or ()


def _directions(piece: Piece) -> list[_Direction]:
    found = list[_Direction | None]()
    if isinstance(piece.value, Mapping):
        for name, one in piece.mapping().items():
            found.append(_axis(one, name) if isinstance(one.value, Mapping) else _listed(one, name))
    else:
        found = [_axis(one, None) for one in piece.items()]
    if not found and not piece.value:
        piece.say("is empty")
    return [one for one in found if one is not None]


def _listed(piece: Piece, name: str) -> _Direction | None:
    """An axis as `FIELD: [value, ...]`."""
    choices, labels = _choices(piece, None, name, None)
    if choices is None or labels is None:
        return None
    axis = piece.attempt(lambda: Axis(name=name, labels=labels))
    return None if axis is None else _Direction(axis, choices)


def _axis(piece: Piece, name: str | None) -> _Direction | None:
    """One axis; `name` where it stands before it."""
    before = len(piece.problems)
    parts = piece.mapping(AXIS_KEYS if name is None else AXIS_KEYS[1:])
    field = parts["field"].text() if "field" in parts else None
    if name is None:
        name = parts["name"].text() if "name" in parts else field
    if name is None:
        piece.say("needs a name, or a field")
    log = parts["log"].truth() if "log" in parts else False
    labels = parts["labels"].texts() if "labels" in parts else None
    choices = None
    if "values" in parts and name is not None:
        choices, labels = _choices(parts["values"], field, name, labels)
    elif labels is None and "values" not in parts:
        piece.say("needs values, or labels where cells say what they set")
    if len(piece.problems) > before or name is None or labels is None:
        return None
    made = tuple(labels)
    axis = piece.attempt(lambda: Axis(name=name, labels=made, log=bool(log)))
    return None if axis is None else _Direction(axis, choices)


def _choices(
    piece: Piece, field: str | None, name: str, labels: tuple[str, ...] | None
) -> tuple[dict[str, Values] | None, tuple[str, ...] | None]:
    """What each label of an axis sets, and the labels."""
    if isinstance(piece.value, Mapping):
        parts = piece.mapping()
        if labels is not None and set(labels) != set(parts):
            piece.say(f"has labels {', '.join(parts)}, and labels says {', '.join(labels)}")
        order = labels if labels is not None and set(labels) == set(parts) else tuple(parts)
        if field is None and all(_is_value(part.value) for part in parts.values()):
            piece.say(
                "has a value for each label, and the axis does not say of which field; write "
                f"`field: {name if re.fullmatch(FIELD, name) else '...'}` beside it"
            )
            return None, None
        read = {
            label: values_in(parts[label]) if field is None else {field: value_in(parts[label])}
            for label in order
        }
        return read, order

    field = field or name
    if not re.fullmatch(FIELD, field):
        piece.say(
            f"{shown(field)} is not a dotted field; write `field: ...`, or what each label sets"
        )
        return None, None
    items = piece.items()
    order = labels or tuple(label_of(one.value) for one in items)
    if len(order) != len(items):
        piece.say(f"are {len(items)}, and there are {len(order)} labels")
        return None, None
    if twice := sorted({label for label in order if order.count(label) > 1}):
        piece.say(f"{', '.join(twice)}: is there twice")
        return None, None
    return {label: {field: value_in(one)} for label, one in zip(order, items, strict=True)}, order


def _is_value(value: object) -> bool:
    """Whether this is a field's value, and not fields with theirs."""
    return not isinstance(value, Mapping) or {*value} in ({"times"}, {"step", "lists"})


def _cell(piece: Piece) -> Cell | None:
    before = len(piece.problems)
    parts = piece.mapping(CELL_KEYS)
    if missing := [key for key in ("at", "values") if key not in parts]:
        if isinstance(piece.value, Mapping):
            piece.say(f"needs {' and '.join(missing)}")
        return None
    at, values = parts["at"].texts(), values_in(parts["values"])
    paper = parts["paper"].number() if "paper" in parts else None
    more = {}
    for name, one in (parts["more"].mapping() if "more" in parts else {}).items():
        if (number := one.number()) is not None:
            more[name] = number
    metric = parts["metric"].text() if "metric" in parts else None
    tuned_by = parts["tuned_by"].text() if "tuned_by" in parts else None
    candidates = candidates_in(parts["candidates"]) if "candidates" in parts else ()
    where = conditions_in(parts["asked_where"]) if "asked_where" in parts else ()
    if len(piece.problems) > before:
        return None
    return piece.attempt(
        lambda: Cell(
            at=at,
            values=values,
            paper=paper,
            paper_more=more,
            metric=metric,
            candidates=candidates,
            tuned_by=tuned_by,
            asked_where=where,
        )
    )


def layout_tree(layout: Layout) -> dict[str, object]:
    """Write a layout with all of its cells, as `layout_in` reads it."""
    axes = [
        {"name": axis.name, "labels": list(axis.labels)} | ({"log": True} if axis.log else {})
        for axis in layout.axes
    ]
    tree: dict[str, object] = {"axes": axes, "cells": [_cell_tree(one) for one in layout.cells]}
    return tree | ({"note": layout.note} if layout.note else {})


def _cell_tree(cell: Cell) -> dict[str, object]:
    at = list(cell.at) if len(cell.at) > 1 else cell.at[0]
    tree: dict[str, object] = {"at": at, "values": values_tree(cell.values)}
    further = {
        "paper": cell.paper,
        "more": dict(cell.paper_more),
        "metric": cell.metric,
        "candidates": [values_tree(one) for one in cell.candidates],
        "tuned_by": cell.tuned_by,
        "asked_where": [where_tree(one) for one in cell.asked_where],
    }
    return tree | {key: value for key, value in further.items() if value not in (None, [], {})}
