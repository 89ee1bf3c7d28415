"""Extension of Section 2.2: does SimCLR need LARS, or does a tuned SGD or AdamW do?

Expected ordering: at batch 4096, LARS ahead of SGD: the paper takes it because SGD with a linearly
scaled learning rate may be unstable at large batches, and does not compare them. At the batches of
small presets, none is known.

Cost at the paper's scale: 3 optimizers with 4 candidates of 100 epochs each, 2,304 TPU v3
core-hours a seed, and 576 for the runs that are reported.

    simclr-orch ablate optimizer --preset P

Each optimizer is tuned over four base learning rates, steps of about three, on the validation
split. A rate means something else to each of them, so that the candidates are absolute and the same
whatever the preset. LARS and SGD scale it linearly with the batch, as the paper does; AdamW takes
it as it is. Weight decay is the paper's 1e-6 for LARS and SGD, and 1e-4 for AdamW, which applies it
apart from the gradient.
"""

from search_spaces.ablation import Ablation
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.values import Value

__all__ = ["OPTIMIZER"]


def _cell(
    label: str, values: dict[str, Value], rates: tuple[float, ...], paper: float | None = None
) -> Cell:
    candidates = tuple({"optim.base_learning_rate": rate} for rate in rates)
    return Cell(at=(label,), values=values, paper=paper, candidates=candidates)


_CELLS = (
    _cell(
        "LARS",
        {"optim.name": "lars", "optim.scaling": "linear", "optim.weight_decay": 1e-6},
        (0.1, 0.3, 1.0, 3.0),
        paper=64.5,  # linear evaluation top-1 (%), the paper's default with a rate of 0.3
    ),
    _cell(
        "SGD",
        {"optim.name": "sgd", "optim.scaling": "linear", "optim.weight_decay": 1e-6},
        (0.01, 0.03, 0.1, 0.3),
    ),
    _cell(
        "AdamW",
        {"optim.name": "adamw", "optim.scaling": "none", "optim.weight_decay": 1e-4},
        (3e-4, 1e-3, 3e-3, 1e-2),
    ),
)
_AXES = (Axis(name="optimizer", labels=tuple(cell.at[0] for cell in _CELLS)),)
_NOTE = (
    "Each optimizer is tuned over four learning rates. The paper has LARS only, 64.5 with its "
    "default of 0.3."
)

OPTIMIZER = Ablation(
    name="optimizer",
    title="Optimizers, each tuned",
    question="Does SimCLR need LARS, or does a tuned SGD or AdamW do?",
    source="Section 2.2",
    paper=Layout(axes=_AXES, cells=_CELLS, note=_NOTE),
    small=Layout(axes=_AXES, cells=_CELLS, note=_NOTE),
    figure="table",
    claims=(),
    extension=True,
)
