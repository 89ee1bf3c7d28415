"""An ablation: a question written as data. Which fields vary, what the paper found in each cell,
and what it claims.

Values name fields of a run's specification by dotted path, such as `loss.temperature`. Nothing here
knows that specification: whoever plans the runs applies the values and validates them. Accuracies
are in percent.
Every class is frozen and refuses nonsense when it is built, with a ValueError that shows the value.
"""

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from search_spaces.claims import UNTRAINED, Claim, Place
from search_spaces.values import Step, Times, Value

__all__ = ["Ablation", "Axis", "Cell", "Figure", "Layout", "Overlay", "Scale", "grid"]

Scale = Literal["paper", "small"]
Figure = Literal["heatmap", "lines", "table", "maps", "points"]

PAPER_EPOCHS = 100  # the default of the paper's ablations
PAPER_CORE_HOURS = 192.0  # of one default run: 1.5 h on 128 TPU v3 cores (the paper's footnote)

_AXES_OF: dict[Figure, tuple[int, ...]] = {
    "heatmap": (2,),
    "lines": (2, 3),
    "table": (1,),
    "maps": (3,),
    "points": (1, 2, 3),
}


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
            numbers = [_number(label) for label in self.labels]
            found = [number for number in numbers if number is not None]
            if (
                not found
                or numbers[: len(found)] != found
                or found != sorted(set(found))
                or found[0] <= 0
            ):
                raise ValueError(
                    f"axis {self.name!r}: a logarithmic axis needs increasing positive "
                    "numbers, words only after them, "
                    f"not {self.labels!r}"
                )

    def positions(self) -> tuple[float, ...]:
        """Where each label stands; for `log` the base-2 logarithm of its number, words a step apart
        after the last.
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
    prefers.
    """

    at: Place
    values: Mapping[str, Value]
    paper: float | None = None
    paper_more: Mapping[str, float] = field(default_factory=dict)
    metric: str | None = None
    candidates: tuple[Mapping[str, Value], ...] = ()
    tuned_by: str | None = None

    def __post_init__(self) -> None:
        if not self.at:
            raise ValueError(f"cell {self.at!r}: needs a place")
        if not self.values:
            raise ValueError(f"cell {self.at!r}: sets no field")
        for values in (self.values, *self.candidates):
            _check_fields(f"cell {self.at!r}", values)
        if (
            len({_text(values) for values in self.candidates}) != len(self.candidates)
            or len(self.candidates) == 1
        ):
            raise ValueError(f"cell {self.at!r}: needs no candidates, or several different ones")
        if twice := sorted(
            self.values.keys() & {name for values in self.candidates for name in values}
        ):
            raise ValueError(f"cell {self.at!r}: sets {twice!r}, and so do its candidates")
        if self.paper is not None and not 0 <= self.paper <= 100:
            raise ValueError(
                f"cell {self.at!r}: the paper's value {self.paper!r} is not a percentage"
            )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A set of cells and the axes they are drawn on: lines or rows first, then columns, then
    panels.

    `note` says how this differs from the paper. Not every place of the axes needs a cell.
    """

    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    note: str = ""

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
            twin = points.setdefault(_text([cell.values, cell.candidates, cell.metric]), cell.at)
            if twin != cell.at:
                raise ValueError(
                    f"cell {cell.at!r}: sets the same values as {twin!r}: {dict(cell.values)!r}"
                )
            places.add(cell.at)

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


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What theory predicts, drawn into the figure: a line through points in the numbers that the
    axes' labels say.

    For `maps`, x is on the second axis (columns) and y on the first (rows); for `points`, x is the
    metric `against` and y the cells' metric. `only` names the maps that it belongs to; none means
    all.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.label.strip() or len(self.points) < 2:
            raise ValueError(
                f"overlay {self.label!r}: needs a label and two points or more, not {self.points!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A question, the cells that answer it at the paper's scale and at a small one, and the paper's
    own answer.

    `fixed` is set in every cell, over the preset. `figure` is how the answer is drawn: a heat map
    of two axes, lines over the second axis (a third makes panels), one row for each cell, a heat
    map for each label of the third axis, or a point for each cell, by its metric and the one named
    `against`. `setting` names the preset that is the paper's own for this question. An `extension`
    asks what the paper does not; `tuned_by` chooses among a cell's candidates. A run whose result
    `counts_if` is not 1 says nothing on claims: it did not converge. Unless `untrained` is False,
    an untrained run is evaluated beside the cells.
    """

    name: str
    title: str
    question: str
    source: str
    fixed: Mapping[str, Value] = field(default_factory=dict)
    paper: Layout
    small: Layout
    metric: str = "linear_top1"
    figure: Figure
    claims: tuple[Claim, ...]
    workload: Literal["simclr", "two-layer-cnn"] = "simclr"
    setting: Literal["imagenet-paper", "cifar10-paper"] = "imagenet-paper"
    extension: bool = False
    tuned_by: str = "linear_validation_top1"
    against: str | None = None
    overlays: tuple[Overlay, ...] = ()
    counts_if: str | None = None
    untrained: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*", self.name):
            raise ValueError(
                f"ablation {self.name!r}: the name must be lower-case words joined by hyphens"
            )
        for what in ("title", "question", "source", "metric", "tuned_by"):
            if not getattr(self, what):
                raise ValueError(f"ablation {self.name!r}: {what} is empty")
        if self.figure not in get_args(Figure):
            raise ValueError(
                f"ablation {self.name!r}: figure {self.figure!r} is none of "
                f"{', '.join(get_args(Figure))}"
            )
        _check_fields(f"ablation {self.name!r}", self.fixed)
        if (self.figure == "points") != (self.against is not None):
            raise ValueError(
                f"ablation {self.name!r}: points, and only points, are drawn against another metric"
            )
        if not (self.claims or self.extension):
            raise ValueError(f"ablation {self.name!r}: claims nothing")
        if len({claim.statement for claim in self.claims}) != len(self.claims):
            raise ValueError(f"ablation {self.name!r}: claims something twice")
        for scale in get_args(Scale):
            self._check_layout(self.layout(scale))
            self._check_claims(scale)

    def _check_layout(self, layout: Layout) -> None:
        if len(layout.axes) not in _AXES_OF[self.figure]:
            raise ValueError(
                f"ablation {self.name!r}: a {self.figure} cannot have {len(layout.axes)} axes"
            )
        for cell in layout.cells:
            own = {*cell.values}.union(*cell.candidates)
            if both := sorted(self.fixed.keys() & own):
                raise ValueError(
                    f"ablation {self.name!r}: cell {cell.at!r} sets {both!r}, which is fixed"
                )

    def _check_claims(self, scale: Scale) -> None:
        known = {cell.at for cell in self.layout(scale).cells} | (
            {UNTRAINED} if self.untrained else set()
        )
        for claim in self.claims:
            for comparison in claim.comparisons(scale):
                if unknown := [term.at for term in comparison.terms if term.at not in known]:
                    raise ValueError(
                        f"ablation {self.name!r}: {comparison.label!r} needs {unknown!r}, no "
                        f"cells at {scale}"
                    )

    def layout(self, scale: Scale) -> Layout:
        """The cells and axes at one scale."""
        match scale:
            case "paper":
                return self.paper
            case "small":
                return self.small
            case _:
                raise ValueError(f"scale {scale!r}: is none of {', '.join(get_args(Scale))}")

    def points(self, scale: Scale = "paper") -> list[dict[str, Value]]:
        """What each run of one seed sets, dotted field to value, in the order of the layout's
        cells.

        A tuned cell has a point for each of its candidates.
        """
        return [
            {**self.fixed, **cell.values, **candidate}
            for cell in self.layout(scale).cells
            for candidate in cell.candidates or ({},)
        ]

    def metric_of(self, cell: Cell) -> str:
        """Return the name of the result that the cell is compared by."""
        return cell.metric or self.metric

    def tuning_metric_of(self, cell: Cell) -> str:
        """The name of the result that chooses among the cell's candidates, of the validation
        split.
        """
        return cell.tuned_by or self.tuned_by

    def relative_cost(self, scale: Scale) -> float:
        """Epochs of all cells together, in units of one run of the preset (absolute epochs: of the
        paper's 100).

        Cells that set the same values, apart from how they are evaluated, share their training,
        which counts once.
        """
        trained = (
            {path: value for path, value in point.items() if not path.startswith("eval.")}
            for point in self.points(scale)
        )
        runs = {_text(point): point for point in trained}
        return math.fsum(
            _relative_epochs(point.get("schedule.epochs", Times(1))) for point in runs.values()
        )

    @property
    def paper_tpu_hours(self) -> float:
        """TPU v3 core-hours of one seed of the paper's cells, by the paper's 1.5 h on 128 cores for
        100 epochs.

        Of ImageNet and as if every encoder cost what ResNet-50 does; says nothing of cells in
        another setting.
        """
        return PAPER_CORE_HOURS * self.relative_cost("paper")


def grid(
    *choices: Mapping[str, Mapping[str, Value]], paper: Mapping[Place, float] | None = None
) -> tuple[Cell, ...]:
    """Every combination of one choice from each axis, the last varying fastest.

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


def _relative_epochs(epochs: Value) -> float:
    match epochs:
        case Times(factor):
            return factor
        case int() | float():
            return epochs / PAPER_EPOCHS
        case _:
            raise ValueError(f"schedule.epochs={epochs!r}: is not a number")


def _check_fields(owner: str, values: Mapping[str, Value]) -> None:
    for path, value in values.items():
        if not re.fullmatch(r"[a-z]\w*(\.[a-z]\w*)*", path):
            raise ValueError(f"{owner}: {path!r} is not a dotted field")
        try:
            _text(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{owner}: {path}={value!r} is neither a finite plain value nor Times or Step"
            ) from None


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Times):
        return {"times": value.factor}
    if isinstance(value, Step):
        return {"step": value.offset, "lists": value.lists}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(value)
