"""Figures B.5 and B.6: do linear evaluation and fine-tuning on few labels agree?

Expected ordering: what is better by linear evaluation is better fine-tuned, for the lengths of
training (B.5) and for the encoders (B.6); fine-tuning on 1 % of the labels gains more from longer
training than on 10 %.

Cost at the paper's scale: 7 lengths from 50 to 3,200 epochs of ResNet-50 and 5 other encoders,
13,152 TPU v3 core-hours a seed if each cost what ResNet-50 does, and two fine-tunings each.

    simclr-orch ablate linear-and-finetuned --preset P

The figures' values are not printed, and the paper does not name the encoders: ours are of Figure 7.
"Almost linearly correlated" is asked as what follows from it: both evaluations order the ends
alike. No correlation is tested.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, Place, Term, beats
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.values import Times, Value

__all__ = ["LINEAR_AND_FINETUNED"]

_LENGTHS = (50, 100, 200, 400, 800, 1600, 3200)
_ENCODERS = {
    "ResNet-18": ("resnet18", 1.0),
    "ResNet-34": ("resnet34", 1.0),
    "ResNet-101": ("resnet101", 1.0),
    "ResNet-50 (2x)": ("resnet50", 2.0),
    "ResNet-50 (4x)": ("resnet50", 4.0),
}
_SMALL_LENGTHS = {"epochs x 1": 1.0, "epochs x 2": 2.0, "epochs x 4": 4.0}
_SMALL_WIDTHS = {"width x 1/2": 0.5, "width x 2": 2.0}
_EVALUATIONS = ("linear_top1", "finetune_1_top1", "finetune_10_top1")


def _layout(settings: dict[str, dict[str, Value]], note: str) -> Layout:
    return Layout(
        axes=(Axis(name="length or encoder", labels=tuple(settings)),),
        cells=tuple(Cell(at=(label,), values=values) for label, values in settings.items()),
        note=note,
    )


def _paper() -> Layout:
    lengths: dict[str, dict[str, Value]] = {
        f"{epochs} epochs": {
            "encoder.architecture": "resnet50",
            "encoder.width": 1.0,
            "schedule.epochs": epochs,
        }
        for epochs in _LENGTHS
    }
    encoders: dict[str, dict[str, Value]] = {
        label: {
            "encoder.architecture": architecture,
            "encoder.width": width,
            "schedule.epochs": 100,
        }
        for label, (architecture, width) in _ENCODERS.items()
    }
    return _layout(
        lengths | encoders,
        "ResNet-50 unless another is named, which are trained for 100 epochs. The paper prints no "
        "values, and does not say which encoders its figure has; ours are of Figure 7.",
    )


def _small() -> Layout:
    lengths: dict[str, dict[str, Value]] = {
        label: {"schedule.epochs": Times(factor)} for label, factor in _SMALL_LENGTHS.items()
    }
    widths: dict[str, dict[str, Value]] = {
        label: {"encoder.width": Times(factor)} for label, factor in _SMALL_WIDTHS.items()
    }
    return _layout(
        lengths | widths,
        "Multiples of the preset's epochs, and of its encoder's width at its own epochs. "
        "Fine-tuning is the preset's, and not tuned.",
    )


def _by_each(better: str, worse: str) -> tuple[Comparison, ...]:
    return tuple(beats((better,), (worse,), metric=metric) for metric in _EVALUATIONS)


def _fewer_labels_gain_more(long: Place, short: Place) -> Comparison:
    few, more = _EVALUATIONS[1:]
    return Comparison(
        label=f"({long[0]} - {short[0]} in {few}) > (the same in {more})",
        terms=(
            Term(at=long, weight=1.0, metric=few),
            Term(at=short, weight=-1.0, metric=few),
            Term(at=long, weight=-1.0, metric=more),
            Term(at=short, weight=1.0, metric=more),
        ),
    )


LINEAR_AND_FINETUNED = Ablation(
    name="linear-and-finetuned",
    title="Linear evaluation beside fine-tuning on few labels",
    question="Do linear evaluation and fine-tuning on few labels agree?",
    source="Figures B.5 and B.6",
    fixed={"eval.finetune.labels": [0.01, 0.1], "eval.finetune.epochs": [60, 30]},
    paper=_paper(),
    small=_small(),
    metric="finetune_1_top1",
    figure="table",
    untrained=False,
    claims=(
        Claim(
            statement="Linear evaluation and fine-tuning on few labels agree on lengths: by both, "
            "longer training is better.",
            source="appendix B.7, Figure B.5",
            paper=_by_each("3200 epochs", "50 epochs"),
            small=_by_each("epochs x 4", "epochs x 1"),
        ),
        Claim(
            statement="Linear evaluation and fine-tuning on few labels agree on encoders: by both, "
            "larger ones are better.",
            source="appendix B.7, Figure B.6",
            paper=(*_by_each("ResNet-50 (4x)", "100 epochs"), *_by_each("100 epochs", "ResNet-18")),
            small=_by_each("width x 2", "width x 1/2"),
        ),
        Claim(
            statement="Fine-tuning on fewer labels gains more from longer training.",
            source="appendix B.7, Figure B.5",
            paper=(_fewer_labels_gain_more(("3200 epochs",), ("50 epochs",)),),
            small=(_fewer_labels_gain_more(("epochs x 4",), ("epochs x 1",)),),
        ),
    ),
)
