"""Extension of Figure 8: how deep should the projection head be?

Expected ordering: none (50.0), linear (60.9), one hidden layer (64.2) as in the paper; it does not
ask deeper ones. Its successor, SimCLRv2, uses three layers.

Cost at the paper's scale: 5 runs of 100 epochs, 960 TPU v3 core-hours a seed.

    simclr-orch ablate head-depth --preset P

Depth counts linear layers: 0 is no head, 1 a linear one, 2 the paper's MLP. Hidden layers are as
wide as h, the output has the preset's dimension (128 in the paper), and every layer is followed by
BN.
"""

from search_spaces.ablation import Ablation
from search_spaces.layout import Axis, Cell, Layout

__all__ = ["HEAD_DEPTH"]

_DEPTHS = (0, 1, 2, 3, 4)
# linear evaluation top-1 (%) with 128 outputs, read off Figure 8 (+-0.3)
_FIGURE_8 = {0: 50.0, 1: 60.9, 2: 64.2}

_CELLS = tuple(
    Cell(at=(str(depth),), values={"head.num_linear_layers": depth}, paper=_FIGURE_8.get(depth))
    for depth in _DEPTHS
)
_AXES = (Axis(name="linear layers of the head", labels=tuple(cell.at[0] for cell in _CELLS)),)
_NOTE = (
    "Three and four layers are our extension; the paper's values are those of Figure 8 with 128 "
    "outputs."
)

HEAD_DEPTH = Ablation(
    name="head-depth",
    title="Depth of the projection head",
    question="How deep should the projection head be?",
    source="Figure 8",
    paper=Layout(axes=_AXES, cells=_CELLS, note=_NOTE),
    small=Layout(axes=_AXES, cells=_CELLS, note=_NOTE),
    figure="table",
    claims=(),
    extension=True,
)
