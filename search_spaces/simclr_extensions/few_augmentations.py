"""Extension of Figure 5: does its order hold among four of its operations, with several seeds?

Expected ordering: that of the paper among the same 16 cells, crop and color before crop and sobel.

Cost at the paper's scale: 16 runs of 100 epochs, 3,072 TPU v3 core-hours a seed.

    simclr-orch ablate few-augmentations --preset P

The four are those with the best row means in Figure 5, chosen before anything was run. Three seeds
of 16 cells answer more in a few minutes than one of 49. All else is as in `augmentations`, with
which the runs are shared.
"""

from search_spaces.ablation import Ablation
from search_spaces.simclr_paper.augmentations import FIXED, claims_of, layout_of

__all__ = ["FEW_AUGMENTATIONS"]

_OPERATIONS = ("crop", "cutout", "color", "sobel")
_LAYOUT = layout_of(
    _OPERATIONS,
    "Of the 49 cells of Figure 5 those of the four operations with the best row means in the "
    "paper; averages are over these four. ",
)

FEW_AUGMENTATIONS = Ablation(
    name="few-augmentations",
    title="Composition of two of four data augmentations, applied to one view",
    question="Which two of four augmentations, composed, make good representations?",
    source="Figure 5",
    fixed=FIXED,
    paper=_LAYOUT,
    small=_LAYOUT,
    figure="heatmap",
    claims=claims_of(_OPERATIONS),
    extension=True,
)
