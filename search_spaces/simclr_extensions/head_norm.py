"""Extension of Figure 8: does the projection head need batch normalisation?

Expected ordering: none is known. The paper's formula of the head has no BN, its authors' code has
BN after every layer; the paper's numbers come from the latter.

Cost at the paper's scale: 4 runs of 100 epochs, 768 TPU v3 core-hours a seed.

    simclr-orch ablate head-norm --preset P

With BN the last layer has no offset, as in the authors' code; without it the layers have biases.
"""

from search_spaces.ablation import Ablation
from search_spaces.layout import Axis, Layout, grid

__all__ = ["HEAD_NORM"]

_LAYERS = {"linear": 1, "non-linear": 2}
_WITH, _WITHOUT = "with BN", "without BN"

_LAYOUT = Layout(
    axes=(
        Axis(name="projection head", labels=tuple(_LAYERS)),
        Axis(name="batch normalisation in the head", labels=(_WITH, _WITHOUT)),
    ),
    cells=grid(
        {head: {"head.num_linear_layers": layers} for head, layers in _LAYERS.items()},
        {_WITH: {"head.batch_norm": True}, _WITHOUT: {"head.batch_norm": False}},
        # top-1 (%) with 128 outputs, read off Figure 8 (+-0.3)
        paper={("linear", _WITH): 60.9, ("non-linear", _WITH): 64.2},
    ),
    note="Without BN is our extension; the paper's values are those of Figure 8 with 128 outputs, "
    "by the authors' code, which has BN.",
)

HEAD_NORM = Ablation(
    name="head-norm",
    title="Batch normalisation in the projection head",
    question="Does the projection head need batch normalisation?",
    source="Figure 8",
    paper=_LAYOUT,
    small=_LAYOUT,
    figure="lines",
    claims=(),
    extension=True,
)
