"""Section 5.2: does contrastive learning gain more than supervised from longer training?

And from larger batches? Its title says so: "benefits (more) from larger batch sizes and longer
training".

Expected ordering: from 100 to 1,000 epochs SimCLR gains 4.7 points (64.6 to 69.3), supervised
learning 1.1 (75.3 to 76.4 with the same augmentation); from batch 256 to 4096 SimCLR gains 7.1 at
100 epochs (57.5 to 64.6), supervised learning little.

Cost at the paper's scale: 8 cells, 3 learning rates each, 25,229 TPU v3 core-hours a seed,
and a third as many for the runs that are reported.

    simclr-orch ablate contrastive-gains --preset P

The paper compares Figure 9 with Table B.3, and for batches refers to Goyal et al. (2017), where
supervised learning loses nothing up to 8192 images; whether it gains is what a sweep must tell.
Both arms see the same augmentation, and each cell of both is tuned over as many learning rates, on
the validation split: at SimCLR's own rate supervised learning is not at its best.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, Place, wider_gap
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.values import Times, Value

__all__ = ["CONTRASTIVE_GAINS"]

_SIMCLR, _SUPERVISED = "SimCLR", "supervised"
_SHORT, _LONG = "short", "long"
_ARMS: dict[str, dict[str, Value]] = {_SIMCLR: {}, _SUPERVISED: {"loss.name": "cross-entropy"}}
_FACTORS = (1 / 3, 1.0, 3.0)  # of the learning rate

# Top-1 (%) by batch and length: Figure 9 (100 and 1,000 epochs), and Table B.3 with color and blur
# (90 and 1,000), whose batch size the paper does not give.
_FOUND: dict[Place, float] = {
    (_SIMCLR, "256", _SHORT): 57.5,
    (_SIMCLR, "256", _LONG): 67.0,
    (_SIMCLR, "4096", _SHORT): 64.6,
    (_SIMCLR, "4096", _LONG): 69.3,
    (_SUPERVISED, "4096", _SHORT): 75.3,
    (_SUPERVISED, "4096", _LONG): 76.4,
}
_PAPER_EPOCHS = {_SIMCLR: {_SHORT: 100, _LONG: 1000}, _SUPERVISED: {_SHORT: 90, _LONG: 1000}}
_SMALL_BATCHES = {"x 1/4": 0.25, "x 2": 2.0}
_SMALL_EPOCHS = {_SHORT: 1.0, _LONG: 4.0}


def _cell(at: Place, batch: Value, epochs: Value) -> Cell:
    supervised = at[0] == _SUPERVISED
    size: dict[str, Value] = {
        "schedule.batch_size": batch,
        "schedule.epochs": epochs,
        "optim.scaling": "linear",
    }
    return Cell(
        at=at,
        values={**size, **_ARMS[at[0]]},
        paper=_FOUND.get(at),
        metric="classifier_top1" if supervised else None,
        candidates=tuple({"optim.base_learning_rate": Times(factor)} for factor in _FACTORS),
        tuned_by="classifier_validation_top1" if supervised else None,
    )


def _layout(batches: Axis, cells: tuple[Cell, ...], note: str) -> Layout:
    return Layout(
        axes=(
            Axis(name="training", labels=tuple(_ARMS)),
            batches,
            Axis(name="training length", labels=(_SHORT, _LONG)),
        ),
        cells=cells,
        note=f"{note} Each cell of both arms is tuned over three learning rates, a third to three "
        "times the recipe's, which is ours.",
    )


def _gains(large: str, small: str, batches: tuple[str, ...]) -> tuple[Comparison, Comparison]:
    """More from length, on average over `batches`; more from the batch, where training is short."""

    def arm(name: str, sizes: tuple[str, ...], length: str) -> tuple[Place, ...]:
        return tuple((name, size, length) for size in sizes)

    longer, larger = (
        tuple((arm(name, *better), arm(name, *worse)) for name in (_SIMCLR, _SUPERVISED))
        for better, worse in (
            ((batches, _LONG), (batches, _SHORT)),
            (((large,), _SHORT), ((small,), _SHORT)),
        )
    )
    return wider_gap(*longer), wider_gap(*larger)


_LONGER, _LARGER = _gains("4096", "256", ("4096",))
_SMALL_LONGER, _SMALL_LARGER = _gains("x 2", "x 1/4", ("x 1/4", "x 2"))

CONTRASTIVE_GAINS = Ablation(
    name="contrastive-gains",
    title="What longer training and larger batches bring to SimCLR and to supervised learning",
    question="Does contrastive learning gain more than supervised from longer training and larger "
    "batches?",
    source="Section 5.2",
    paper=_layout(
        Axis(name="batch size (images)", labels=("256", "4096"), log=True),
        tuple(
            _cell((arm, batch, length), int(batch), epochs)
            for arm, lengths in _PAPER_EPOCHS.items()
            for batch in ("256", "4096")
            for length, epochs in lengths.items()
        ),
        "Short is 100 epochs of SimCLR and 90 of supervised learning, long is 1,000. The paper's "
        "supervised values are those of Table B.3 with color and blur, whose batch size it does "
        "not give.",
    ),
    small=_layout(
        Axis(name="batch size (times the preset's)", labels=tuple(_SMALL_BATCHES), log=True),
        tuple(
            _cell((arm, batch, length), Times(of_batch), Times(of_epochs))
            for arm in _ARMS
            for batch, of_batch in _SMALL_BATCHES.items()
            for length, of_epochs in _SMALL_EPOCHS.items()
        ),
        "Short is the preset's epochs, long four times as many.",
    ),
    figure="lines",
    claims=(
        Claim(
            statement="Contrastive learning gains more than supervised from longer training.",
            source="section 5.2, Figure 9 and Table B.3",
            paper=(_LONGER,),
            small=(_SMALL_LONGER,),
        ),
        Claim(
            statement="Contrastive learning gains more than supervised from larger batches, where "
            "training is short.",
            source="section 5.2",
            paper=(_LARGER,),
            small=(_SMALL_LARGER,),
        ),
    ),
)
