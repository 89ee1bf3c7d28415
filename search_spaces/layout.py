"""Cells on axes: which settings a question has, what each sets, and what the paper found there.

Values name fields of a run's specification by dotted path, such as `loss.temperature`. Nothing here
knows that specification: whoever plans the runs applies the values and validates them. Accuracies
are in percent. Every class is frozen and refuses nonsense when it is built, with a ValueError that
shows the value.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from search_spaces.claims import Place
from search_spaces.scope import Where, unmet
from search_spaces.values import Value, as_text, check_fields, plain_values

__all__ = ["Axis", "Cell", "Layout", "grid"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One direction of a figure: its name with the unit, and its labels in order.

    With `log` the labels hold increasing positive numbers ("32", "x 1/4"), spaced by their
    logarithm; labels that are words may follow. Without it labels are spaced evenly.
    """

    name: str
    labels: tuple[str, ...]
    log: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError(f"axis {self.name!r}: needs a name")
        if not self.labels or not all(label.strip() for label in self.labels):
            raise ValueError(
                f"axis {self.name!r}: labels {self.labels!r} are empty or have an empty one"
            )
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"axis {self.name!r}: labels {self.labels!r} have duplicates")
        if self.log:
            self._check_numbers()

    def _check_numbers(self) -> None:
        numbers = [_number(label) for label in self.labels]
        found = [number for number in numbers if number is not None]
        words_follow = numbers[: len(found)] == found
        increasing = found == sorted(set(found))
        if not found or not words_follow or not increasing or found[0] <= 0:
            raise ValueError(
                f"axis {self.name!r}: a logarithmic axis needs increasing positive numbers, "
                f"words only after them, not {self.labels!r}"
            )

    def positions(self) -> tuple[float, ...]:
        """Return where each label stands.

        With `log` that is the base-2 logarithm of its number; words stand a step apart after the
        last.
        """
        if not self.log:
            return tuple(float(index) for index in range(len(self.labels)))
        positions: list[float] = []
        for label in self.labels:
            number = _number(label)
            positions.append(positions[-1] + 1 if number is None else math.log2(number))
        return tuple(positions)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting: its place on the axes, the fields it sets, and what the paper reports for it.

    `paper` is the value of the metric in percent, None where the paper has none; `paper_more` holds
    further reported quantities by the name of their metric. `metric` and `tuned_by` None are the
    ablation's. A cell with `candidates` is tuned, as the paper tunes its losses (B.10): each
    candidate is run with a seed of its own, and the cell is the one that the validation split
    prefers. Cells that do not meet `asked_where` are not run.
    """

    at: Place
    values: Mapping[str, Value]
    paper: float | None = None
    paper_more: Mapping[str, float] = field(default_factory=dict)
    metric: str | None = None
    candidates: tuple[Mapping[str, Value], ...] = ()
    tuned_by: str | None = None
    asked_where: tuple[Where, ...] = ()

    def __post_init__(self) -> None:
        if not self.at:
            raise ValueError(f"cell {self.at!r}: needs a place")
        if not self.values:
            raise ValueError(f"cell {self.at!r}: sets no field")
        for values in (self.values, *self.candidates):
            check_fields(f"cell {self.at!r}", values)

        different = {as_text(values) for values in self.candidates}
        if len(different) != len(self.candidates) or len(self.candidates) == 1:
            raise ValueError(f"cell {self.at!r}: needs no candidates, or several different ones")
        chosen = {name for values in self.candidates for name in values}
        if twice := sorted(self.values.keys() & chosen):
            raise ValueError(f"cell {self.at!r}: sets {twice!r}, and so do its candidates")
        if self.paper is not None and not 0 <= self.paper <= 100:
            raise ValueError(
                f"cell {self.at!r}: the paper's value {self.paper!r} is not a percentage"
            )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Cells and the axes that they are drawn on: lines or rows first, then columns, panels.

    `note` says how this differs from the paper. Not every place of the axes needs a cell.
    `left_out` has a sentence for each reason for which cells have no meaning on the recipe at hand.
    """

    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    note: str = ""
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.axes or not self.cells:
            raise ValueError(
                f"layout with axes {self.axes!r} and {len(self.cells)} cells: needs both"
            )

        places: set[Place] = set()
        points: dict[str, Place] = {}
        for cell in self.cells:
            self._check_place(cell.at)
            if cell.at in places:
                raise ValueError(f"cell {cell.at!r}: the place is taken by another cell")
            places.add(cell.at)

            twin = points.setdefault(as_text([cell.values, cell.candidates, cell.metric]), cell.at)
            if twin != cell.at:
                raise ValueError(
                    f"cell {cell.at!r}: sets the same values as {twin!r}: {dict(cell.values)!r}"
                )

    def asked_of(self, recipe: Mapping[str, object]) -> tuple["Layout", dict[Place, str]]:
        """Return the layout without the cells that have no meaning on a recipe, and why not.

        The note says so, too. Raises ValueError if no cell would be left.
        """
        without = {
            cell.at: reason
            for cell in self.cells
            if (reason := unmet(cell.asked_where, {**recipe, **plain_values(cell.values)}))
        }
        if not without:
            return self, {}

        counts = Counter(without.values())
        left_out = tuple(
            f"Not asked here, {count} of {len(self.cells)} cells: {reason}."
            for reason, count in counts.items()
        )
        cells = tuple(cell for cell in self.cells if cell.at not in without)
        note = " ".join((self.note, *left_out)).strip()
        left_out = (*self.left_out, *left_out)
        return replace(self, cells=cells, note=note, left_out=left_out), without

    def _check_place(self, at: Place) -> None:
        if len(at) != len(self.axes):
            raise ValueError(
                f"cell {at!r}: needs one label for each of {[axis.name for axis in self.axes]!r}"
            )
        for label, axis in zip(at, self.axes, strict=True):
            if label not in axis.labels:
                raise ValueError(
                    f"cell {at!r}: {label!r} is not on axis {axis.name!r}, which has "
                    f"{axis.labels!r}"
                )


def grid(
    *choices: Mapping[str, Mapping[str, Value]], paper: Mapping[Place, float] | None = None
) -> tuple[Cell, ...]:
    """Return a cell for every combination of one choice an axis, the last varying fastest.

    A choice is a label and the fields that it sets; `paper` maps places to the paper's value, where
    it has one.
    """
    found = paper or {}
    cells: list[Cell] = []
    for at in itertools.product(*choices):
        values: dict[str, Value] = {}
        for label, choice in zip(at, choices, strict=True):
            values |= choice[label]
        cells.append(Cell(at=at, values=values, paper=found.get(at)))
    return tuple(cells)


def _number(label: str) -> Fraction | None:
    try:
        return Fraction(label.removeprefix("x "))
    except (ValueError, ZeroDivisionError):
        return None
