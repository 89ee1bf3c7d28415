"""Appendix B.2, Table B.2: does an even broader set of augmentations improve linear evaluation?

Expected ordering: the default policy with Sobel, equalize, solarize and motion blur added is
slightly better at every width: 70.0, 74.4, 76.8 against 69.3, 74.2, 76.5.

Cost at the paper's scale: 6 runs of 1,000 epochs, 11,520 TPU v3 core-hours a seed if each cost what
ResNet-50 does; wider ones cost up to 16 times as much.

    simclr-orch ablate broader-augmentation --preset P

The paper publishes neither order nor parameters of the additions: ours are applied after color
distortion (equalize and solarize) and after blur (motion blur, Sobel), each to a fifth of the
views. Each addition alone is our extension, at small scale only. The table's fine-tuning on 1, 10
and 100 % of the labels is asked by the all-labels ablation.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, beats
from search_spaces.layout import Axis, Cell, Layout, grid
from search_spaces.values import Times, Value

__all__ = ["ADDITIONS", "BROADER_AUGMENTATION", "policy_of"]

_DEFAULT, _BROADER = "default", "broader"
_SHARE = 0.2  # of the views that an addition changes
ADDITIONS = ("equalize", "solarize", "motion_blur", "sobel")

_WIDTHS = ("1", "2", "4")
_SMALL_WIDTHS = ("x 1", "x 2")

# Linear evaluation top-1 (%) after 1,000 epochs, ResNet-50 of width 1, 2, 4: Table 6 and Table B.2.
_TOP1 = {_DEFAULT: (69.3, 74.2, 76.5), _BROADER: (70.0, 74.4, 76.8)}


def policy_of(blur: tuple[str, ...], added: tuple[str, ...]) -> dict[str, Value]:
    """Return crop and color with what is added, each to a fifth of the views, in our order."""
    early = tuple(operation for operation in added if operation in ("equalize", "solarize"))
    late = tuple(operation for operation in added if operation not in early)
    shares: dict[str, Value] = {f"augment.{operation}.probability": _SHARE for operation in added}
    return {"augment.operations": ["crop", "color", *early, *blur, *late], **shares}


def _paper() -> Layout:
    return Layout(
        axes=(
            Axis(name="augmentation", labels=tuple(_TOP1)),
            Axis(name="width (times the standard)", labels=_WIDTHS, log=True),
        ),
        cells=grid(
            {_DEFAULT: policy_of(("blur",), ()), _BROADER: policy_of(("blur",), ADDITIONS)},
            {width: {"encoder.width": float(width), "schedule.epochs": 1000} for width in _WIDTHS},
            paper={
                (name, width): top1
                for name, row in _TOP1.items()
                for width, top1 in zip(_WIDTHS, row, strict=True)
            },
        ),
        note="The paper does not publish order, probabilities and strengths of the additions; "
        "ours are our choice.",
    )


def _small() -> Layout:
    widths = dict(zip(_SMALL_WIDTHS, (1.0, 2.0), strict=True))
    alone = {
        f"+ {operation.replace('_', ' ')} (ours)": policy_of((), (operation,))
        for operation in ADDITIONS
    }
    each_alone = [
        Cell(at=(name, "x 1"), values={"encoder.width": Times(1.0), **policy})
        for name, policy in alone.items()
    ]

    return Layout(
        axes=(
            Axis(name="augmentation", labels=(*_TOP1, *alone)),
            Axis(name="width (times the preset's)", labels=_SMALL_WIDTHS, log=True),
        ),
        cells=(
            *grid(
                {_DEFAULT: policy_of((), ()), _BROADER: policy_of((), ADDITIONS)},
                {width: {"encoder.width": Times(factor)} for width, factor in widths.items()},
                paper={
                    (name, width): _TOP1[name][column]
                    for name in _TOP1
                    for column, width in enumerate(_SMALL_WIDTHS)
                },
            ),
            *each_alone,
        ),
        note="Crop and color without blur, the paper's policy for small images, with the preset's "
        "encoder and epochs; the paper's values are those of ResNet-50 and 1,000 epochs. Each "
        "addition alone is our extension. The paper does not publish order, probabilities and "
        "strengths of the additions; ours are our choice.",
    )


BROADER_AUGMENTATION = Ablation(
    name="broader-augmentation",
    title="A broader set of augmentations",
    question="Does an even broader set of augmentations improve linear evaluation further?",
    source="Table B.2",
    paper=_paper(),
    small=_small(),
    figure="lines",
    claims=(
        Claim(
            statement="Broadening the augmentations further improves linear "
            "evaluation, at every width.",
            source="appendix B.2",
            paper=tuple(beats((_BROADER, width), (_DEFAULT, width)) for width in _WIDTHS),
            small=tuple(beats((_BROADER, width), (_DEFAULT, width)) for width in _SMALL_WIDTHS),
        ),
    ),
)
