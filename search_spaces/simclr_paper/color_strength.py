"""Table 1: how strong should the color distortion be, for SimCLR and for supervised learning?

Expected ordering: SimCLR gains with strength (59.6 to 63.2) and gains again with blur (64.5);
AutoAugment, a policy learned with labels, is behind full strength (61.1). Supervised learning does
not gain (77.0 to 75.7) and likes AutoAugment best.

Cost at the paper's scale: 6 runs of 100 epochs and 6 supervised ones of 90 at three learning rates,
4,262 TPU v3 core-hours a seed, and 1,037 for the supervised runs that are reported.

    simclr-orch ablate color-strength --preset P

Strength s scales the jitter of brightness, contrast and saturation (0.8 s) and of hue (0.2 s);
grayscale keeps its probability. Only the last step of the table has blur, so the other cells leave
it out. AutoAugment stands for color distortion and blur, after the same crop; it is the policy that
the preset names, torchvision's for ImageNet unless set. Supervised runs minimise cross-entropy on
one view and are evaluated by their own classifier. The paper does not give their optimizer and
schedule beside 90 epochs; ours are the preset's, at a third to three times its learning rate, of
which the validation split chooses.
"""

from itertools import pairwise

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Place, beats, wider_gap
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.scope import Where
from search_spaces.simclr_paper.conditions import BLUR_ACTS, FULL_STRENGTH, LARGE_IMAGES
from search_spaces.simclr_paper.supervised_rates import CHOSEN_BY, SUPERVISED_RATES
from search_spaces.values import Times, Value

__all__ = ["COLOR_STRENGTH"]

_STRENGTHS = {"1/8": 0.125, "1/4": 0.25, "1/2": 0.5, "1": 1.0}
_BLURRED, _LEARNED = "1 (+blur)", "AutoAug"
_POLICIES: dict[str, dict[str, Value]] = {
    **{
        label: {"augment.operations": ["crop", "color"], "augment.color.strength": strength}
        for label, strength in _STRENGTHS.items()
    },
    _BLURRED: {"augment.operations": ["crop", "color", "blur"], "augment.color.strength": 1.0},
    _LEARNED: {"augment.operations": ["crop", "auto_augment"]},
}

# Top-1 (%), Table 1: of linear evaluation, and of the supervised classifier.
_TABLE_1 = {
    "SimCLR": (59.6, 61.0, 62.6, 63.2, 64.5, 61.1),
    "supervised": (77.0, 76.7, 76.5, 75.7, 75.4, 77.1),
}
_AXES = (
    Axis(name="training", labels=tuple(_TABLE_1)),
    Axis(name="color distortion strength", labels=tuple(_POLICIES), log=True),
)
_NOT_BETTER = 0.5  # points; the paper's own threshold of a difference in Table B.1


def _cells(supervised_epochs: Value) -> tuple[Cell, ...]:
    contrastive = tuple(
        Cell(at=("SimCLR", policy), values=values, paper=top1, asked_where=_meaning_of(policy))
        for (policy, values), top1 in zip(_POLICIES.items(), _TABLE_1["SimCLR"], strict=True)
    )

    supervised = tuple(
        Cell(
            at=("supervised", policy),
            values={**values, "loss.name": "cross-entropy", "schedule.epochs": supervised_epochs},
            paper=top1,
            metric="classifier_top1",
            candidates=SUPERVISED_RATES,
            tuned_by=CHOSEN_BY,
            asked_where=_meaning_of(policy),
        )
        for (policy, values), top1 in zip(_POLICIES.items(), _TABLE_1["supervised"], strict=True)
    )

    return contrastive + supervised


def _meaning_of(policy: str) -> tuple[Where, ...]:
    return (BLUR_ACTS,) if policy == _BLURRED else ()


def _simclr(policy: str) -> Place:
    return ("SimCLR", policy)


def _supervised(policy: str) -> Place:
    return ("supervised", policy)


COLOR_STRENGTH = Ablation(
    name="color-strength",
    title="Strength of color distortion, for contrastive and supervised learning",
    question="How strong should the color distortion be, for SimCLR and for supervised learning?",
    source="Table 1",
    paper=Layout(
        axes=_AXES,
        cells=_cells(90),
        note="Supervised runs last 90 epochs, as in the paper, at the best of three learning "
        "rates.",
    ),
    small=Layout(
        axes=_AXES,
        cells=_cells(Times(1)),
        note="Strengths are the paper's, whatever the preset's own. Supervised runs last as many "
        "epochs as the preset's (in the paper 90, beside 100), at the best of three learning "
        "rates.",
    ),
    figure="lines",
    claims=(
        Claim.alike(
            "Stronger color distortion improves SimCLR.",
            "section 3.2, Table 1",
            *(beats(_simclr(strong), _simclr(weak)) for weak, strong in pairwise(_STRENGTHS)),
            where=(FULL_STRENGTH,),
        ),
        Claim.alike(
            "AutoAugment, found by supervised learning, is no better for SimCLR than crop "
            "and strong color distortion.",
            "section 3.2, Table 1",
            beats(_simclr("1"), _simclr(_LEARNED)),
            beats(_simclr(_BLURRED), _simclr(_LEARNED)),
            where=(FULL_STRENGTH,),
        ),
        Claim.alike(
            "Stronger color distortion does not improve supervised learning (by more than "
            f"{_NOT_BETTER:g} points, our bound) or hurts.",
            "section 3.2, Table 1",
            *(
                beats(_supervised(weak), _supervised(strong), by=-_NOT_BETTER)
                for weak, strong in (("1/8", "1/4"), ("1/8", "1/2"), ("1/8", "1"))
            ),
        ),
        Claim.alike(
            "Contrastive learning gains more from strong color distortion than supervised "
            "learning.",
            "section 3.2",
            wider_gap((_simclr("1"), _simclr("1/8")), (_supervised("1"), _supervised("1/8"))),
            where=(FULL_STRENGTH,),
        ),
        Claim.alike(
            "Augmentation without benefit for supervised learning (of more than "
            f"{_NOT_BETTER:g} points, our bound) can still help contrastive learning: blur does.",
            "section 3.2, Table 1",
            beats(_simclr(_BLURRED), _simclr("1")),
            beats(_supervised("1"), _supervised(_BLURRED), by=-_NOT_BETTER),
            where=(LARGE_IMAGES,),
        ),
    ),
)
