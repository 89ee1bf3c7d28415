"""Extension of Figure 9: which batch size is best when all take the same number of steps?

Expected ordering: the larger batch, which sees more images. The paper compares equal epochs, where
small batches take more steps and still lose.

Cost at the paper's scale: runs of 25, 50, 100 and 200 epochs, 720 TPU v3 core-hours a seed.

    simclr-orch ablate steps --preset P

Batch size and epochs grow together, and the warm-up with them, so that every run takes as many
steps (31,279 in the paper's setting) and warms up over as many. The learning rate follows the
preset's rule. The paper counts epochs, up to 1,000: 5.0 million steps at batch 256 and 0.3 million
at 4096, both in the batch-size ablation.
"""

from search_spaces.ablation import Ablation
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.values import Times

__all__ = ["STEPS"]

# Linear evaluation top-1 (%) by epochs: at batch 4096 after 100 and at 8192 after 200, Table B.1,
# linear scaling.
_TABLE_B1 = {100: 64.6, 200: 66.6}
_PAPER = {1024: 25, 2048: 50, 4096: 100, 8192: 200}  # batch size -> epochs
# whole numbers of epochs
_SMALL = {"x 1/4": ("x 1", 0.25, 1.0), "x 1/2": ("x 2", 0.5, 2.0), "x 1": ("x 4", 1.0, 4.0)}


def _paper() -> Layout:
    cells = tuple(
        Cell(
            at=(f"batch {batch}, {epochs} epochs",),
            values={
                "schedule.batch_size": batch,
                "schedule.epochs": epochs,
                "schedule.warmup_epochs": epochs / 10,
            },
            paper=_TABLE_B1.get(epochs),
        )
        for batch, epochs in _PAPER.items()
    )
    return Layout(
        axes=(Axis(name="equal number of steps", labels=tuple(cell.at[0] for cell in cells)),),
        cells=cells,
        note="The paper's values are those of Table B.1, whose run at batch 8192 warms up for 10 "
        "epochs, ours for 20.",
    )


def _small() -> Layout:
    cells = tuple(
        Cell(
            at=(f"batch {batch}, epochs {epochs}",),
            values={
                "schedule.batch_size": Times(of_batch),
                "schedule.epochs": Times(of_epochs),
                "schedule.warmup_epochs": Times(of_epochs),
            },
        )
        for batch, (epochs, of_batch, of_epochs) in _SMALL.items()
    )
    return Layout(
        axes=(Axis(name="equal number of steps", labels=tuple(cell.at[0] for cell in cells)),),
        cells=cells,
        note="Multiples of the preset's batch size, epochs and warm-up. The last batch of an epoch "
        "is dropped when it is not full, so that the numbers of steps are equal within a few "
        "percent.",
    )


STEPS = Ablation(
    name="steps",
    title="Batch size at an equal number of steps",
    question="Which batch size is best when all take the same number of steps?",
    source="Figure 9",
    paper=_paper(),
    small=_small(),
    figure="table",
    claims=(),
    extension=True,
)
