"""Figures B.7 and B.8: which batch size and which temperature does CIFAR-10 want?

And do they depend on each other?

Expected ordering: longer training is better at every batch size; after more than 300 epochs
temperature 0.5 is best at every batch size, while 0.1 improves with the batch; batch 4096 is
slightly worse than 2048. Best: 94.0 at batch 1024, beside 95.1 supervised.

Cost at the paper's scale: 60 settings, 3 learning rates each, and a supervised one: 88,500 epochs
of CIFAR-10 a seed, about 910 A100-hours at the 36.9 s an epoch that others report,
and a third as many for the runs that are reported.

    simclr-orch ablate batch-temperature --preset P

The paper has ten lengths, of which we ask four, and averages over base learning rates 0.5, 1.0 and
1.5 (and Figure B.8 over lengths): here each cell is tuned over the three on the validation split,
and claims average over lengths where the paper does. The figures' values are not printed. Small
presets are not tuned: their own learning rate, scaled with the batch.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, Group, Place, above, beats, wider_gap
from search_spaces.layout import Axis, Cell, Layout, grid
from search_spaces.simclr_paper.conditions import FOR_CIFAR
from search_spaces.simclr_paper.supervised_rates import CHOSEN_BY
from search_spaces.values import Times, Value

__all__ = ["BATCH_TEMPERATURE"]

_TEMPERATURES = ("0.1", "0.5", "1")
_SUPERVISED = "supervised"
_BATCHES = ("256", "512", "1024", "2048", "4096")
_LENGTHS = ("100", "300", "500", "1000")
_CONVERGED = ("500", "1000")  # the paper's "more than 300 epochs"
_RATES = (0.5, 1.0, 1.5)

_SMALL_BATCHES = ("x 1/4", "x 1/2", "x 1", "x 2")
_SMALL_LENGTHS = ("x 1", "x 3")

# Linear evaluation top-1 (%), appendix B.9: the best at batch 1024, which the authors trained for
# 1,000 epochs; and the same architecture and batch size supervised.
_BEST, _BEST_SUPERVISED = 94.0, 95.1
_BEST_AT: Place = ("0.5", "1024", "1000")
_SUPERVISED_AT: Place = (_SUPERVISED, "1024", "1000")
_NEAR = 2.0  # points
_AMDIM = 91.2  # linear evaluation (%), what the paper compares its best with


def _temperatures() -> dict[str, dict[str, Value]]:
    return {label: {"loss.temperature": float(label)} for label in _TEMPERATURES}


def _paper() -> Layout:
    rates = tuple({"optim.base_learning_rate": rate} for rate in _RATES)
    contrastive = grid(
        _temperatures(),
        {batch: {"schedule.batch_size": int(batch)} for batch in _BATCHES},
        {length: {"schedule.epochs": int(length)} for length in _LENGTHS},
        paper={_BEST_AT: _BEST},
    )
    tuned = [
        Cell(at=cell.at, values=cell.values, paper=cell.paper, candidates=rates)
        for cell in contrastive
    ]

    supervised = Cell(
        at=_SUPERVISED_AT,
        values={"loss.name": "cross-entropy", "schedule.batch_size": 1024, "schedule.epochs": 1000},
        paper=_BEST_SUPERVISED,
        metric="classifier_top1",
        candidates=rates,
        tuned_by=CHOSEN_BY,
    )

    return Layout(
        axes=(
            Axis(name="temperature", labels=(*_TEMPERATURES, _SUPERVISED)),
            Axis(name="batch size (images)", labels=_BATCHES, log=True),
            Axis(name="epochs", labels=_LENGTHS),
        ),
        cells=(*tuned, supervised),
        note="Tuned over three base learning rates, of which the paper shows the mean. It prints "
        "only its best value, 94.0 at batch 1024, shown at the temperature that it finds best, "
        "and 95.1 for supervised learning, whose length it does not give.",
    )


def _small() -> Layout:
    factors = zip(_SMALL_BATCHES, (0.25, 0.5, 1.0, 2.0), strict=True)
    lengths = zip(_SMALL_LENGTHS, (1.0, 3.0), strict=True)
    return Layout(
        axes=(
            Axis(name="temperature", labels=_TEMPERATURES),
            Axis(name="batch size (times the preset's)", labels=_SMALL_BATCHES, log=True),
            Axis(name="the preset's epochs", labels=_SMALL_LENGTHS),
        ),
        cells=grid(
            _temperatures(),
            {label: {"schedule.batch_size": Times(factor)} for label, factor in factors},
            {label: {"schedule.epochs": Times(factor)} for label, factor in lengths},
        ),
        note="Multiples of the preset's batch size and epochs, at its own base learning rate; the "
        "paper averages over three. Three times the preset's epochs stand for more than 300.",
    )


def _at(temperature: str, batch: str, lengths: tuple[str, ...]) -> Group:
    return tuple((temperature, batch, length) for length in lengths)


def _longer_is_better(batches: tuple[str, ...], short: str, long: str) -> tuple[Comparison, ...]:
    return tuple(beats(("0.5", batch, long), ("0.5", batch, short)) for batch in batches)


def _large_helps_when_short(
    small: str, large: str, short: str, long: str
) -> tuple[Comparison, ...]:
    early, late = ((("0.5", large, length), ("0.5", small, length)) for length in (short, long))
    return beats(*early), wider_gap(early, late)


def _best_temperature(batches: tuple[str, ...], lengths: tuple[str, ...]) -> tuple[Comparison, ...]:
    return tuple(
        beats(_at("0.5", batch, lengths), _at(other, batch, lengths))
        for batch in batches
        for other in ("0.1", "1")
    )


BATCH_TEMPERATURE = Ablation(
    name="batch-temperature",
    title="Batch size, temperature and training length on CIFAR-10",
    question="Which batch size and temperature does CIFAR-10 want, and do they "
    "depend on each other?",
    source="Figures B.7 and B.8",
    paper=_paper(),
    small=_small(),
    figure="lines",
    claims=(
        Claim(
            statement="Longer training improves accuracy at every batch size.",
            source="appendix B.9, Figure B.7",
            paper=_longer_is_better(_BATCHES, "100", "1000"),
            small=_longer_is_better(_SMALL_BATCHES, "x 1", "x 3"),
        ),
        Claim(
            statement="With few epochs a larger batch is better, and the gap shrinks with more "
            "epochs, as on ImageNet.",
            source="appendix B.9, Figure B.7",
            paper=_large_helps_when_short("256", "2048", "100", "1000"),
            small=_large_helps_when_short("x 1/4", "x 2", "x 1", "x 3"),
        ),
        Claim.paper_only(
            "The largest batch, 4096, costs a little accuracy on this small data set: 2048 "
            "is better.",
            "appendix B.9, Figure B.7",
            beats(_at("0.5", "2048", _LENGTHS), _at("0.5", "4096", _LENGTHS)),
            silent="4096 is a twelfth of CIFAR-10's images; no multiple of a small preset's batch "
            "stands for that.",
        ),
        Claim(
            statement="After long training, temperature 0.5 is the best of three "
            "at every batch size.",
            source="appendix B.9, Figure B.8",
            paper=_best_temperature(_BATCHES, _CONVERGED),
            small=_best_temperature(_SMALL_BATCHES, _SMALL_LENGTHS[1:]),
            asked_where=(FOR_CIFAR,),
        ),
        Claim(
            statement="With temperature 0.1, accuracy improves with the batch size.",
            source="appendix B.9, Figure B.8",
            paper=(beats(_at("0.1", "4096", _CONVERGED), _at("0.1", "256", _CONVERGED)),),
            small=(beats(("0.1", "x 2", "x 3"), ("0.1", "x 1/4", "x 3")),),
        ),
        Claim.paper_only(
            "SimCLR's best, at batch 1024, comes near the supervised encoder: behind it by less "
            f"than {_NEAR:g} points (our bound; the paper has {_BEST:g} and {_BEST_SUPERVISED:g}).",
            "appendix B.9",
            beats(_SUPERVISED_AT, _BEST_AT),
            beats(_BEST_AT, _SUPERVISED_AT, by=-_NEAR),
            silent="The small cells have no supervised one, and other encoders.",
        ),
        Claim.paper_only(
            f"SimCLR's best is better than AMDIM's {_AMDIM:g}, of a model 25 times as large.",
            "appendix B.9",
            above(_BEST_AT, _AMDIM),
            silent="The number is of CIFAR-10 and long training of ResNet-50.",
        ),
    ),
    setting="cifar10-paper",
)
