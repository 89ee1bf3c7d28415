"""Figure 7: do deeper and wider encoders help, and close the gap to supervised learning?

Expected ordering: accuracy rises with depth and with width (ResNet-18 50.4, ResNet-50 64.5,
ResNet-50 (4x) 72.8). From width 1 to 4 the gap between supervised learning and 1,000 epochs of
SimCLR shrinks: 7.2, 3.6, 1.9 points.

Cost at the paper's scale: 13 runs of 100 epochs, 3 of 1,000 and 3 supervised ones of 90 at three
learning rates, 9,811 TPU v3 core-hours a seed if each cost what ResNet-50 does; wider ones cost up
to 16 times as much. The supervised runs that are reported add 518.

    simclr-orch ablate encoder --preset P

Depth steps through the family of the preset's encoder, from the preset's on: convnet, convnet8,
convnet12, or ResNet-18 to 152. Widths are multiples of the preset's. The stars of the figure (1,000
epochs) and the supervised crosses are panels here. Supervised runs minimise cross-entropy on one
view and are evaluated by their own classifier, at a third to three times the preset's learning
rate, of which the validation split chooses.
"""

from dataclasses import replace
from itertools import pairwise

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, beats, similar, wider_gap
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.simclr_paper.supervised_rates import CHOSEN_BY, SUPERVISED_RATES
from search_spaces.values import Step, Times, Value

__all__ = ["ENCODER"]

_CONVNETS = ("convnet", "convnet8", "convnet12")
_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")

# Linear evaluation top-1 (%) after 100 epochs, read off Figure 7 (+-0.1), for widths 1, 2, 4; 13 of
# 15 were trained.
_FIGURE_7 = {
    "ResNet-18": (50.4, 59.5, 65.7),
    "ResNet-34": (54.5, 62.6, 68.3),
    "ResNet-50": (64.5, 69.7, 72.8),
    "ResNet-101": (66.6, 71.4),
    "ResNet-152": (67.6, 72.0),
}
_STARS = (69.3, 74.2, 76.5)  # ResNet-50 after 1,000 epochs, Table 6
_CROSSES = (76.5, 77.8, 78.4)  # ResNet-50 supervised for 90 epochs

_MATCHES = 0.5  # points, what Table B.1 calls a difference

_WIDTHS = ("1", "2", "4")
_SHORT, _LONG, _SUPERVISED = "SimCLR 100-epoch", "SimCLR 1000-epoch", "supervised 90-epoch"

_SMALL_WIDTHS = ("x 1/2", "x 1", "x 2")
_SMALL_DEPTHS = ("the preset's", "one deeper", "two deeper")
_SMALL_SHORT, _SMALL_LONG, _SMALL_SUPERVISED = "SimCLR x 1", "SimCLR x 3", "supervised x 1"

_CROSS_ENTROPY: dict[str, Value] = {"loss.name": "cross-entropy"}


def _supervised(cell: Cell) -> Cell:
    return replace(cell, metric="classifier_top1", candidates=SUPERVISED_RATES, tuned_by=CHOSEN_BY)


def _paper() -> Layout:
    names = dict(zip(_FIGURE_7, _RESNETS, strict=True))

    def cell(
        depth: str,
        width: str,
        panel: str,
        paper: float,
        values: dict[str, Value],
    ) -> Cell:
        size: dict[str, Value] = {
            "encoder.architecture": names[depth],
            "encoder.width": float(width),
        }
        return Cell(at=(depth, width, panel), values={**size, **values}, paper=paper)

    short = [
        cell(depth, width, _SHORT, top1, {"schedule.epochs": 100})
        for depth, row in _FIGURE_7.items()
        for width, top1 in zip(_WIDTHS, row, strict=False)  # ResNet-101 and 152 have no width 4
    ]
    long = [
        cell("ResNet-50", width, _LONG, top1, {"schedule.epochs": 1000})
        for width, top1 in zip(_WIDTHS, _STARS, strict=True)
    ]
    supervised = [
        _supervised(
            cell("ResNet-50", width, _SUPERVISED, top1, {"schedule.epochs": 90, **_CROSS_ENTROPY})
        )
        for width, top1 in zip(_WIDTHS, _CROSSES, strict=True)
    ]
    return Layout(
        axes=(
            Axis(name="depth", labels=tuple(_FIGURE_7)),
            Axis(name="width (times the standard)", labels=_WIDTHS, log=True),
            Axis(name="training", labels=(_SHORT, _LONG, _SUPERVISED)),
        ),
        cells=(*short, *long, *supervised),
        note="The paper's values for 100 epochs are read off its figure (+-0.1). Supervised runs "
        "have the best of three learning rates.",
    )


def _small() -> Layout:
    factors = dict(zip(_SMALL_WIDTHS, (0.5, 1.0, 2.0), strict=True))

    def cell(step: int, width: str, panel: str, values: dict[str, Value]) -> Cell:
        size: dict[str, Value] = {
            "encoder.architecture": Step(step, (_CONVNETS, _RESNETS)),
            "encoder.width": Times(factors[width]),
        }
        return Cell(at=(_SMALL_DEPTHS[step], width, panel), values={**size, **values})

    once: dict[str, Value] = {"schedule.epochs": Times(1)}
    return Layout(
        axes=(
            Axis(name="depth", labels=_SMALL_DEPTHS),
            Axis(name="width (times the preset's)", labels=_SMALL_WIDTHS, log=True),
            Axis(name="the preset's epochs", labels=(_SMALL_SHORT, _SMALL_LONG, _SMALL_SUPERVISED)),
        ),
        cells=(
            *(
                cell(step, width, _SMALL_SHORT, once)
                for step in range(3)
                for width in _SMALL_WIDTHS
            ),
            *(
                cell(0, width, _SMALL_LONG, {"schedule.epochs": Times(3)})
                for width in _SMALL_WIDTHS
            ),
            *(
                _supervised(cell(0, width, _SMALL_SUPERVISED, once | _CROSS_ENTROPY))
                for width in _SMALL_WIDTHS
            ),
        ),
        note="The preset's encoder, the next two deeper ones of its family, and half to twice its "
        "width: no counterparts of the paper's encoders, whose values are not shown. Three times "
        "the preset's epochs stand for the paper's 1,000; supervised runs last as long as the "
        "preset's, at the best of three learning rates.",
    )


def _wider(ends: dict[str, tuple[str, str]], panel: str) -> tuple[Comparison, ...]:
    return tuple(
        beats((depth, wide, panel), (depth, narrow, panel))
        for depth, (narrow, wide) in ends.items()
    )


def _deeper(ends: dict[str, tuple[str, str]], panel: str) -> tuple[Comparison, ...]:
    return tuple(
        beats((deep, width, panel), (shallow, width, panel))
        for width, (shallow, deep) in ends.items()
    )


def _gap_shrinks(
    depth: str, widths: tuple[str, ...], supervised: str, contrastive: str
) -> tuple[Comparison, ...]:
    gaps = [((depth, width, supervised), (depth, width, contrastive)) for width in widths]
    return tuple(wider_gap(small, large) for small, large in pairwise(gaps))


ENCODER = Ablation(
    name="encoder",
    title="Depth and width of the encoder, beside supervised learning",
    question="Do deeper and wider encoders help, and does the gap to supervised learning close "
    "with size?",
    source="Figure 7",
    paper=_paper(),
    small=_small(),
    figure="lines",
    claims=(
        Claim(
            statement="Wider encoders are better at every depth.",
            source="section 4.1, Figure 7",
            paper=_wider(
                {depth: ("1", _WIDTHS[len(row) - 1]) for depth, row in _FIGURE_7.items()}, _SHORT
            ),
            small=_wider(dict.fromkeys(_SMALL_DEPTHS, ("x 1/2", "x 2")), _SMALL_SHORT),
        ),
        Claim(
            statement="Deeper encoders are better at every width.",
            source="section 4.1, Figure 7",
            paper=_deeper(
                {
                    "1": ("ResNet-18", "ResNet-152"),
                    "2": ("ResNet-18", "ResNet-152"),
                    "4": ("ResNet-18", "ResNet-50"),
                },
                _SHORT,
            ),
            small=_deeper(
                dict.fromkeys(_SMALL_WIDTHS, (_SMALL_DEPTHS[0], _SMALL_DEPTHS[-1])), _SMALL_SHORT
            ),
        ),
        Claim(
            statement="The gap between supervised and contrastive learning shrinks as the encoder "
            "grows: contrastive learning gains more from size.",
            source="section 4.1, Figure 7",
            paper=_gap_shrinks("ResNet-50", _WIDTHS, _SUPERVISED, _LONG),
            small=_gap_shrinks(_SMALL_DEPTHS[0], _SMALL_WIDTHS, _SMALL_SUPERVISED, _SMALL_LONG),
        ),
        Claim.paper_only(
            "After 1,000 epochs, linear evaluation of ResNet-50 (4x) matches the supervised "
            f"ResNet-50 of standard width: within {_MATCHES:g} points (our bound).",
            "section 6, Table 6",
            similar(("ResNet-50", "4", _LONG), ("ResNet-50", "1", _SUPERVISED), within=_MATCHES),
            silent="How much wider an encoder must be depends on the data; twice a small preset's "
            "width stands for nothing in the paper.",
        ),
    ),
)
