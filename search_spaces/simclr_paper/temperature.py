"""Table 5: does NT-Xent need l2-normalised projections, and at which temperature?

Expected ordering: with l2 norm, temperature 0.1 is best and both lower and higher ones are worse;
without it, the contrastive accuracy is higher and linear evaluation lower. Entropy nears its bound,
ln 4096 = 8.3 nats, from 0.5 on.

Cost at the paper's scale: 6 runs of 100 epochs, 1,152 TPU v3 core-hours a seed.

    simclr-orch ablate temperature --preset P

Entropy (nats) and accuracy (%) of the contrastive distribution are over the candidates of the other
view, 4096 in the paper. The paper prefers 0.5 for CIFAR-10 (appendix B.9): the best temperature
moves with data, batch and budget.
"""

from itertools import pairwise

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, beats
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.simclr_paper.conditions import LOW_TEMPERATURE

__all__ = ["TEMPERATURE"]


def _cell(
    normalize: bool, temperature: float, *, entropy: float, accuracy: float, top1: float
) -> Cell:
    return Cell(
        at=(f"{'yes' if normalize else 'no'}, {temperature:g}",),
        values={"loss.normalize": normalize, "loss.temperature": temperature},
        paper=top1,
        paper_more={"contrastive_entropy": entropy, "contrastive_accuracy": accuracy},
    )


_CELLS = (
    _cell(True, 0.05, entropy=1.0, accuracy=90.5, top1=59.7),
    _cell(True, 0.1, entropy=4.5, accuracy=87.8, top1=64.4),
    _cell(True, 0.5, entropy=8.2, accuracy=68.2, top1=60.7),
    _cell(True, 1.0, entropy=8.3, accuracy=59.1, top1=58.0),
    _cell(False, 10.0, entropy=0.5, accuracy=91.7, top1=57.2),
    _cell(False, 100.0, entropy=0.5, accuracy=92.1, top1=57.0),
)
_WITH_NORM = tuple(cell.at for cell in _CELLS[:4])
_WITHOUT = tuple(cell.at for cell in _CELLS[4:])
_AXES = (Axis(name="l2 norm, temperature", labels=tuple(cell.at[0] for cell in _CELLS)),)

TEMPERATURE = Ablation(
    name="temperature",
    title="Normalisation and temperature of the NT-Xent loss",
    question="Does NT-Xent need l2-normalised projections, and at which temperature?",
    source="Table 5",
    paper=Layout(axes=_AXES, cells=_CELLS),
    small=Layout(
        axes=_AXES,
        cells=_CELLS,
        note="The paper's cells at the preset's batch size. Contrastive entropy and accuracy "
        "depend on the number of candidates, 4096 in the paper.",
    ),
    figure="table",
    claims=(
        Claim.alike(
            "With l2 norm, accuracy rises and falls again with temperature: a proper "
            "temperature matters.",
            "section 5.1, Table 5",
            beats(_WITH_NORM[1], _WITH_NORM[0]),
            beats(_WITH_NORM[1], _WITH_NORM[2]),
            beats(_WITH_NORM[2], _WITH_NORM[3]),
            where=(LOW_TEMPERATURE,),
        ),
        Claim.alike(
            "Without l2 norm and temperature scaling, linear evaluation is significantly worse.",
            "section 5.1",
            *(beats(_WITH_NORM[1], without) for without in _WITHOUT),
        ),
        Claim.alike(
            "Without l2 norm, contrastive accuracy is higher while the representation is worse.",
            "section 5.1",
            *(beats(without, _WITH_NORM[1], metric="contrastive_accuracy") for without in _WITHOUT),
            *(beats(_WITH_NORM[1], without) for without in _WITHOUT),
        ),
        Claim.alike(
            "With l2 norm, the entropy of the contrastive distribution rises with temperature.",
            "Table 5",
            *(beats(high, low, metric="contrastive_entropy") for low, high in pairwise(_WITH_NORM)),
        ),
    ),
)
