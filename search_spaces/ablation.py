"""An ablation: a question written as data, the cells that answer it and what the paper claims.

Every class is frozen and refuses nonsense when it is built, with a ValueError that shows the value.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from search_spaces.claims import UNTRAINED, Claim
from search_spaces.layout import Cell, Layout
from search_spaces.values import Times, Value, as_text, check_fields, plain_values

__all__ = ["AXES_OF", "Ablation", "Figure", "Overlay", "Scale", "Varied"]

Scale = Literal["paper", "small"]
Varied = Literal["subset", "split"]  # labelled images; validation and training images
Figure = Literal["heatmap", "lines", "table", "maps", "points"]

PAPER_EPOCHS = 100  # the default of the paper's ablations
PAPER_CORE_HOURS = 192.0  # of one default run: 1.5 h on 128 TPU v3 cores (the paper's footnote)

AXES_OF: dict[Figure, tuple[int, ...]] = {
    "heatmap": (2,),
    "lines": (1, 2, 3),
    "table": (1,),
    "maps": (3,),
    "points": (1, 2, 3),
}


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A prediction of theory that is drawn into the figure as a line.

    Its points are in the numbers that the axes' labels say. For `maps`, x is on the second axis
    (columns) and y on the first (rows); for `points`, x is the metric `against` and y the cells'
    metric. `only` names the maps that it belongs to; none means all.
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
    """A question as data: its cells at the paper's scale and at a small one, and its claims.

    `fixed` is set in every cell, over the preset. `figure` is how the answer is drawn: a heat map
    of two axes, lines over the second axis (a third makes panels) or one line over a single axis,
    one row for each cell, a heat map for each label of the third axis, or a point for each cell, by
    its metric and the one named `against`. `setting` names the preset that is the paper's own for
    this question. An `extension` asks what the paper does not; `tuned_by` chooses among a cell's
    candidates. A run whose result `counts_if` is not 1 says nothing on claims: it did not converge.
    Unless `untrained` is False, an untrained run is evaluated beside the cells. `vary` names what
    each seed draws anew, beside what the seed itself draws. A part (`search_spaces.part`) has the
    `whole` question and, by the axis, the labels that `only` it has; what is left of a question for
    a recipe has the `whole`.
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
    workload: str = "simclr"
    setting: Literal["imagenet-paper", "cifar10-paper"] = "imagenet-paper"
    extension: bool = False
    tuned_by: str = "linear_validation_top1"
    against: str | None = None
    overlays: tuple[Overlay, ...] = ()
    counts_if: str | None = None
    untrained: bool = True
    vary: tuple[Varied, ...] = ()
    whole: "Ablation | None" = None
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name):
            raise ValueError(
                f"ablation {self.name!r}: the name must be lower-case words and numbers joined by "
                "hyphens"
            )
        for what in ("title", "question", "source", "metric", "tuned_by"):
            if not getattr(self, what):
                raise ValueError(f"ablation {self.name!r}: {what} is empty")

        if self.figure not in get_args(Figure):
            raise ValueError(
                f"ablation {self.name!r}: figure {self.figure!r} is none of "
                f"{', '.join(get_args(Figure))}"
            )
        check_fields(f"ablation {self.name!r}", self.fixed)

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
        if len(layout.axes) not in AXES_OF[self.figure]:
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
        known = {cell.at for cell in self.layout(scale).cells}
        if self.untrained:
            known.add(UNTRAINED)
        for claim in self.claims:
            for comparison in claim.comparisons(scale):
                if unknown := [term.at for term in comparison.terms if term.at not in known]:
                    raise ValueError(
                        f"ablation {self.name!r}: {comparison.label!r} needs {unknown!r}, no "
                        f"cells at {scale}"
                    )

    def layout(self, scale: Scale) -> Layout:
        """Return the cells and axes at one scale."""
        match scale:
            case "paper":
                return self.paper
            case "small":
                return self.small
            case _:
                raise ValueError(f"scale {scale!r}: is none of {', '.join(get_args(Scale))}")

    def asked_of(self, recipe: Mapping[str, object]) -> "Ablation":
        """Return the ablation as far as it has a meaning on a recipe, by its dotted fields.

        Cells whose condition is not met are left out, and claims say why they are not asked. What
        is left has the `whole` question, which it is still an answer to.
        """
        recipe = {**recipe, **plain_values(self.fixed)}
        paper, without = self.paper.asked_of(recipe)
        small, without_small = self.small.asked_of(recipe)
        claims = tuple(claim.asked_of(recipe, without | without_small) for claim in self.claims)
        if claims == self.claims and not (without or without_small):
            return self
        return replace(self, paper=paper, small=small, claims=claims, whole=self.whole or self)

    def not_asked(self, scale: Scale) -> tuple[str, ...]:
        """Return a line for each claim that is not asked of the recipe, and for cells left out."""
        claims = tuple(
            f"{claim.why_not_asked(scale)}: {claim.statement}"
            for claim in self.claims
            if claim.not_here
        )
        return (*self.layout(scale).left_out, *claims)

    def points(self, scale: Scale = "paper") -> list[dict[str, Value]]:
        """Return what each run of one seed sets, dotted field to value, in the order of the cells.

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
        """Return the name of the result that chooses among the cell's candidates.

        It is one of the validation split.
        """
        return cell.tuned_by or self.tuned_by

    def relative_cost(self, scale: Scale) -> float:
        """Return the epochs of all cells together, in units of one run of the preset.

        Epochs that are given as a number are in units of the paper's 100.

        Cells that set the same values, apart from how they are evaluated, share their training,
        which counts once.
        """
        runs: dict[str, dict[str, Value]] = {}
        for point in self.points(scale):
            trained = {path: value for path, value in point.items() if not path.startswith("eval.")}
            runs[as_text(trained)] = trained
        return math.fsum(
            _relative_epochs(trained.get("schedule.epochs", Times(1))) for trained in runs.values()
        )

    @property
    def is_of_imagenet(self) -> bool:
        """Tell whether the paper asks it on ImageNet, where it says what a run costs."""
        return self.workload == "simclr" and self.setting == "imagenet-paper"

    @property
    def paper_tpu_hours(self) -> float:
        """Estimate the TPU v3 core-hours of one seed of the paper's cells.

        The paper takes 1.5 h on 128 cores for 100 epochs. That is of ImageNet and as if every
        encoder cost what ResNet-50 does; it says nothing of cells in another setting.
        """
        return PAPER_CORE_HOURS * self.relative_cost("paper")


def _relative_epochs(epochs: Value) -> float:
    match epochs:
        case Times(factor):
            return factor
        case int() | float():
            return epochs / PAPER_EPOCHS
        case _:
            raise ValueError(f"schedule.epochs={epochs!r}: is not a number")
