"""Figure 9 and Table B.1: when does a large batch matter, and does the rate's rule explain it?

Expected ordering: with linear scaling and few epochs, larger batches are better (7.3 points from
256 to 8192 at 100 epochs); the gap shrinks to about 2 at 1000 epochs. Square-root scaling is better
at small batches and few epochs, and closes most of the gap there.

Cost at the paper's scale: 60 runs of Figure 9, 24 of Table B.1 and 3 of Figure B.2, 89,856 TPU v3
core-hours a seed.

    simclr-orch ablate batch-size --preset P

The linear rule is 0.3 B / 256, the square-root rule 0.075 sqrt(B); they agree at B = 4096, the
paper's default. A small preset asks the same question in multiples of its own batch size and
epochs, with rules that agree at its own batch size. Both rules then ask for the same run at the
preset's batch, which is run once for both.
"""

import itertools
from fractions import Fraction

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, Place, Term, beats, similar, wider_gap
from search_spaces.layout import Axis, Cell, Layout, grid
from search_spaces.simclr_paper.conditions import WITH_LARS
from search_spaces.values import Times

__all__ = ["BATCH_SIZE"]

_EPOCHS_LINEAR = (100, 200, 300, 400, 500, 600, 700, 800, 900, 1000)
_EPOCHS_SQRT = (100, 200, 400, 800)
# Figure B.2, by square-root scaling: what its claims need of batches up to 32,768 and 3,200 epochs.
_BEYOND = ((16384, 800), (32768, 800), (8192, 3200))
_SATURATED = 1.0  # points

# Linear evaluation top-1 (%). Columns 100, 200, 400, 800 are printed in Table B.1, others read off
# Figure 9 (+-0.1).
_FIGURE_9 = {
    256: (57.5, 61.9, 63.6, 64.7, 65.3, 65.5, 66.1, 66.6, 66.7, 67.0),
    512: (60.7, 64.0, 65.4, 66.2, 66.8, 67.0, 67.4, 67.8, 68.1, 68.0),
    1024: (62.8, 65.3, 66.4, 67.2, 68.0, 68.2, 68.4, 68.5, 68.8, 68.9),
    2048: (64.0, 66.1, 67.2, 68.1, 68.1, 68.9, 68.6, 68.9, 68.9, 69.4),
    4096: (64.6, 66.5, 67.5, 68.2, 68.4, 68.6, 68.8, 68.9, 69.1, 69.3),
    8192: (64.8, 66.6, 67.4, 67.8, 68.3, 68.7, 68.7, 69.0, 69.0, 68.9),
}
_TABLE_B1_SQRT = {
    256: (62.8, 64.3, 65.7, 66.5),
    512: (63.8, 65.6, 66.7, 67.4),
    1024: (64.3, 66.1, 67.2, 68.3),
    2048: (64.7, 66.8, 67.9, 68.8),
    4096: (64.5, 66.8, 68.0, 69.1),
    8192: (64.8, 67.0, 68.3, 69.1),
}
_LENGTHS = {"linear": _EPOCHS_LINEAR, "sqrt": _EPOCHS_SQRT}
_TOP1: dict[tuple[int, int, str], float] = {}  # by batch size, epochs and rule
for _rule, _rows in (("linear", _FIGURE_9), ("sqrt", _TABLE_B1_SQRT)):
    for _batch, _row in _rows.items():
        for _length, _value in zip(_LENGTHS[_rule], _row, strict=True):
            _TOP1[_batch, _length, _rule] = _value
_RULES = ("linear", "sqrt")
_RULE_AXIS = Axis(name="learning-rate scaling", labels=_RULES)


def _paper() -> Layout:
    batches = {str(batch): {"schedule.batch_size": batch} for batch in _FIGURE_9}
    found: dict[tuple[str, ...], float] = {
        (str(batch), str(epochs), rule): value for (batch, epochs, rule), value in _TOP1.items()
    }

    cells: tuple[Cell, ...] = ()
    for rule, columns in _LENGTHS.items():
        lengths = {str(epochs): {"schedule.epochs": epochs} for epochs in columns}
        cells += grid(batches, lengths, {rule: {"optim.scaling": rule}}, paper=found)
    cells += tuple(
        Cell(
            at=(str(batch), str(epochs), "sqrt"),
            values={
                "schedule.batch_size": batch,
                "schedule.epochs": epochs,
                "optim.scaling": "sqrt",
            },
        )
        for batch, epochs in _BEYOND
    )

    return Layout(
        axes=(
            Axis(name="batch size (images)", labels=(*batches, "16384", "32768"), log=True),
            Axis(
                name="training length (epochs)",
                labels=tuple(str(epochs) for epochs in (*_EPOCHS_LINEAR, 3200)),
            ),
            _RULE_AXIS,
        ),
        cells=cells,
        note="The paper's values for linear scaling are those of Figure 9, for square-root "
        "scaling those of Table B.1. Those of Figure B.2, beyond batch 8192 and 1,000 epochs, are "
        "not printed.",
    )


def _small() -> Layout:
    batches = [Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2)]
    lengths = [Fraction(1), Fraction(2), Fraction(4)]
    found: dict[tuple[str, ...], float] = {}
    for batch, length, rule in itertools.product(batches, lengths, _RULES):
        value = _TOP1[int(4096 * batch), int(100 * length), rule]
        found[f"x {batch}", f"x {length}", rule] = value

    return Layout(
        axes=(
            Axis(
                name="batch size (times the preset's)",
                labels=tuple(f"x {batch}" for batch in batches),
                log=True,
            ),
            Axis(
                name="training length (times the preset's epochs)",
                labels=tuple(f"x {length}" for length in lengths),
                log=True,
            ),
            _RULE_AXIS,
        ),
        cells=grid(
            {f"x {batch}": {"schedule.batch_size": Times(float(batch))} for batch in batches},
            {f"x {length}": {"schedule.epochs": Times(float(length))} for length in lengths},
            {rule: {"optim.scaling": rule} for rule in _RULES},
            paper=found,
        ),
        note="The preset's batch size stands for the paper's default of 4096, its epochs for the "
        "paper's 100; the paper's values are those at the same multiple. The two rules agree at "
        "the preset's batch size (optim.anchor_batch_size), as the paper's agree at 4096.",
    )


_BATCHES = tuple(str(batch) for batch in _FIGURE_9)
_MULTIPLES = ("x 1/4", "x 1/2", "x 1", "x 2")


def _linear(batches: tuple[str, ...], epochs: str) -> tuple[Place, ...]:
    return tuple((batch, epochs, "linear") for batch in batches)


def _larger_is_better(batches: tuple[str, ...], epochs: str) -> tuple[Comparison, ...]:
    places, half = _linear(batches, epochs), len(batches) // 2
    return beats(places[-1], places[0]), beats(places[half:], places[:half])


def _gap_shrinks(batches: tuple[str, ...], few: str, many: str) -> tuple[Comparison, ...]:
    early, late, half = _linear(batches, few), _linear(batches, many), len(batches) // 2
    return (
        wider_gap((early[-1], early[0]), (late[-1], late[0])),
        wider_gap((early[half:], early[:half]), (late[half:], late[:half])),
    )


def _longer_is_better(batches: tuple[str, ...], few: str, many: str) -> tuple[Comparison, ...]:
    return tuple(
        beats(long, short)
        for long, short in zip(_linear(batches, many), _linear(batches, few), strict=True)
    )


def _linear_pair(*places: tuple[str, str]) -> tuple[Place, ...]:
    return tuple((batch, epochs, "linear") for batch, epochs in places)


def _narrower_in_top5(large: Place, small: Place) -> Comparison:
    apart = f"{' · '.join(large)} - {' · '.join(small)}"
    return Comparison(
        label=f"({apart} in linear_top1) > (the same in linear_top5)",
        terms=(
            Term(at=large, weight=1.0),
            Term(at=small, weight=-1.0),
            Term(at=large, weight=-1.0, metric="linear_top5"),
            Term(at=small, weight=1.0, metric="linear_top5"),
        ),
    )


def _sqrt_is_better(batches: tuple[str, ...], lengths: tuple[str, ...]) -> tuple[Comparison, ...]:
    return tuple(
        beats((batch, epochs, "sqrt"), (batch, epochs, "linear"))
        for batch in batches
        for epochs in lengths
    )


BATCH_SIZE = Ablation(
    name="batch-size",
    title="Batch size, training length and learning-rate scaling",
    question="When does a large batch matter, and does the learning-rate rule explain it?",
    source="Figure 9 and Table B.1",
    paper=_paper(),
    small=_small(),
    figure="lines",
    claims=(
        Claim(
            statement="With few epochs (100), larger batches have a significant advantage under "
            "linear scaling.",
            source="section 5.2, Figure 9",
            paper=_larger_is_better(_BATCHES, "100"),
            small=_larger_is_better(_MULTIPLES, "x 1"),
        ),
        Claim(
            statement="With more epochs the gap between batch sizes decreases or disappears.",
            source="section 5.2, Figure 9",
            paper=_gap_shrinks(_BATCHES, "100", "1000"),
            small=_gap_shrinks(_MULTIPLES, "x 1", "x 4"),
        ),
        Claim(
            statement="Longer training improves accuracy at every batch size.",
            source="section 5.2, Figure 9",
            paper=_longer_is_better(_BATCHES, "100", "1000"),
            small=_longer_is_better(_MULTIPLES, "x 1", "x 4"),
        ),
        Claim.paper_only(
            "A larger batch takes fewer epochs, and fewer steps, to a given accuracy.",
            "section 5.2, Figure 9",
            # Each of the first has fewer of both.
            *(
                beats(*_linear_pair(early, late))
                for early, late in (
                    (("1024", "200"), ("256", "400")),
                    (("4096", "100"), ("256", "300")),
                    (("4096", "200"), ("512", "400")),
                )
            ),
            silent="From a quarter to twice its own batch size the paper's numbers do not show it.",
        ),
        Claim(
            statement="In top-5 the gap between batch sizes is smaller than in top-1.",
            source="appendix B.1, Figure B.1",
            paper=(_narrower_in_top5(("8192", "100", "linear"), ("256", "100", "linear")),),
            small=(_narrower_in_top5(("x 2", "x 1", "linear"), ("x 1/4", "x 1", "linear")),),
        ),
        Claim.paper_only(
            f"Accuracy saturates with a batch of 8192: larger ones are within {_SATURATED:g} point "
            "(our bound).",
            "appendix B.1, Figure B.2",
            *(
                similar((batch, "800", "sqrt"), ("8192", "800", "sqrt"), within=_SATURATED)
                for batch in ("16384", "32768")
            ),
            silent="No multiple of a small preset's batch stands for 8192 images.",
        ),
        Claim.paper_only(
            "There, training longer, to 3,200 epochs, still improves accuracy significantly.",
            "appendix B.1, Figure B.2",
            beats(("8192", "3200", "sqrt"), ("8192", "800", "sqrt")),
            silent="It is said of batch 8192, at which accuracy saturates.",
        ),
        Claim(
            statement="Square-root scaling is better than linear at small batches and few epochs.",
            source="appendix B.1, Table B.1",
            paper=_sqrt_is_better(_BATCHES[:2], ("100", "200")),
            small=_sqrt_is_better(_MULTIPLES[:2], ("x 1", "x 2")),
            asked_where=(WITH_LARS,),
        ),
    ),
)
