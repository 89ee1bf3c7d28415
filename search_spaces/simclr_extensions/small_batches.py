"""Extension of Table B.1: how does SimCLR fare at batch 128, below the paper's smallest?

Expected ordering: under linear scaling, accuracy falls further than the 57.5 of batch 256; under
square-root scaling it falls far less (62.8 at 256).

Cost at the paper's scale: 8 runs of 100 epochs, 1,536 TPU v3 core-hours a seed, 6 of them those of
Table B.1.

    simclr-orch ablate small-batches --preset P

The paper's batches end at 256. The rules are those of the batch-size ablation and agree at 4096
images, or at the preset's own batch size, where a small layout runs once for both.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Place
from search_spaces.layout import Axis, Layout, grid
from search_spaces.values import Times, Value

__all__ = ["SMALL_BATCHES"]

_RULES: dict[str, dict[str, Value]] = {rule: {"optim.scaling": rule} for rule in ("linear", "sqrt")}
_BATCHES = ("128", "256", "512", "1024")
_MULTIPLES = {"x 1/8": 0.125, "x 1/4": 0.25, "x 1/2": 0.5, "x 1": 1.0}

# Linear evaluation top-1 (%) after 100 epochs, Table B.1.
_TABLE_B1 = {
    "linear": {"256": 57.5, "512": 60.7, "1024": 62.8},
    "sqrt": {"256": 62.8, "512": 63.8, "1024": 64.3},
}


def _paper() -> Layout:
    found: dict[Place, float] = {
        (rule, batch): top1 for rule, row in _TABLE_B1.items() for batch, top1 in row.items()
    }
    return Layout(
        axes=(
            Axis(name="learning-rate scaling", labels=tuple(_RULES)),
            Axis(name="batch size (images)", labels=_BATCHES, log=True),
        ),
        cells=grid(
            _RULES,
            {
                batch: {"schedule.batch_size": int(batch), "schedule.epochs": 100}
                for batch in _BATCHES
            },
            paper=found,
        ),
        note="Batch 128 is our extension; the paper's values are those of Table B.1.",
    )


def _small() -> Layout:
    return Layout(
        axes=(
            Axis(name="learning-rate scaling", labels=tuple(_RULES)),
            Axis(name="batch size (times the preset's)", labels=tuple(_MULTIPLES), log=True),
        ),
        cells=grid(
            _RULES,
            {label: {"schedule.batch_size": Times(factor)} for label, factor in _MULTIPLES.items()},
        ),
        note="An eighth of the preset's batch size and up. The two rules agree at the preset's "
        "batch size.",
    )


SMALL_BATCHES = Ablation(
    name="small-batches",
    title="Batches smaller than the paper's",
    question="How does SimCLR fare at batch 128, below the paper's smallest?",
    source="Table B.1",
    paper=_paper(),
    small=_small(),
    figure="lines",
    claims=(),
    extension=True,
)
