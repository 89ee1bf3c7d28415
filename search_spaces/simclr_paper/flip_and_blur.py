"""Appendix A: what do the random flip and the Gaussian blur add?

Expected ordering: with both 64.5; without the flip 63.4; without blur 63.2.

Cost at the paper's scale: 4 runs of 100 epochs, 768 TPU v3 core-hours a seed, one of them our
extension.

    simclr-orch ablate flip-and-blur --preset P

The flip is part of the random crop; without it `augment.crop.flip` is 0. Neither flip nor blur is
our extension. That blur adds 1.3 points is also the last step of Table 1.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, beats
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.simclr_paper.conditions import BLUR_ACTS, LARGE_IMAGES
from search_spaces.values import Value

__all__ = ["FLIP_AND_BLUR"]

_BOTH, _NO_FLIP, _NO_BLUR, _NEITHER = "flip and blur", "no flip", "no blur", "neither (ours)"


def _cell(label: str, *, flip: bool, blur: bool, paper: float | None) -> Cell:
    operations: Value = ["crop", "color", "blur"] if blur else ["crop", "color"]
    values: dict[str, Value] = {
        "augment.operations": operations,
        "augment.crop.flip": 0.5 if flip else 0.0,
    }
    return Cell(at=(label,), values=values, paper=paper, asked_where=(BLUR_ACTS,) if blur else ())


# Linear evaluation top-1 (%), appendix A; without blur also in Table 1.
_CELLS = (
    _cell(_BOTH, flip=True, blur=True, paper=64.5),
    _cell(_NO_FLIP, flip=False, blur=True, paper=63.4),
    _cell(_NO_BLUR, flip=True, blur=False, paper=63.2),
    _cell(_NEITHER, flip=False, blur=False, paper=None),
)
_AXES = (Axis(name="augmentation", labels=tuple(cell.at[0] for cell in _CELLS)),)

FLIP_AND_BLUR = Ablation(
    name="flip-and-blur",
    title="Random flip and Gaussian blur",
    question="What do the random flip and the Gaussian blur add?",
    source="Appendix A",
    paper=Layout(axes=_AXES, cells=_CELLS, note="Neither flip nor blur is our extension."),
    small=Layout(
        axes=_AXES,
        cells=_CELLS,
        note="The paper's cells at the preset's strength of color distortion. The paper itself "
        "uses no blur on small images (appendix B.9). Neither flip nor blur is our extension.",
    ),
    figure="table",
    claims=(
        Claim(
            statement="The default policy is worse without the random flip.",
            source="appendix A",
            paper=(beats((_BOTH,), (_NO_FLIP,)),),
            # Of small images the default policy has no blur.
            small=(beats((_NO_BLUR,), (_NEITHER,)),),
        ),
        Claim.alike(
            "Blur helps: the default policy is worse without it.",
            "appendix A, Table 1",
            beats((_BOTH,), (_NO_BLUR,)),
            where=(LARGE_IMAGES,),
        ),
    ),
)
