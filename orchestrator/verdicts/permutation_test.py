"""Two models on the same test examples: which is better, or is it chance (as in B.8)?

The permutation test takes the two models as exchangeable: of each example, which outcome came from
which model is decided by a coin, and p is the share of such draws whose difference is at least as
large as the one that was seen. Only examples on which the outcomes differ matter. With one label an
example a coin decides which model is right, so that the draws are binomial and the test is
McNemar's exact one up to the number of draws. An example with several labels is swapped as a whole,
because its decisions depend on each other.

All of this answers for other test examples. Both models are taken as they are: what another seed
would have given is not in it, and takes runs with other seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from orchestrator.errors import PlanError
from workloads.bootstrap import bootstrap_interval
from workloads.evaluation_result import Predictions

__all__ = [
    "LEVEL",
    "PERMUTATIONS",
    "PairedComparison",
    "PairedVerdict",
    "adjusted",
    "compare_predictions",
    "holm",
    "paired_verdict",
]

LEVEL = 0.05
PERMUTATIONS = 100_000
SEED = 0

PairedVerdict = Literal["better", "worse", "tied"]


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """One model against another on n examples; all but counts and p in percent.

    `difference` is one - other, and `interval` its 95 % interval. An accuracy is the share of right
    classes; with several labels an example, the share of right decisions for or against a class,
    which is also what the counts of `only_one_right` and `only_other_right` are of, and then there
    is no McNemar's `p_exact`. `p_holm` is `p_permutation`, corrected when several results are
    compared at once (`adjusted`).
    """

    n: int
    accuracy_one: float
    accuracy_other: float
    difference: float
    interval: tuple[float, float]
    only_one_right: int
    only_other_right: int
    p_permutation: float
    p_exact: float | None
    p_holm: float

    @property
    def verdict(self) -> PairedVerdict:
        """Whether the one is better, worse, or not to be told from the other at the 5 % level."""
        return paired_verdict(self.difference, self.p_holm)


def paired_verdict(difference: float, p: float) -> PairedVerdict:
    """Return what a difference and its p-value say at the 5 % level."""
    if p > LEVEL:
        return "tied"
    return "better" if difference > 0 else "worse"


def compare_predictions(one: Predictions, other: Predictions) -> PairedComparison:
    """Test whether one model is better than another on the same examples.

    Raises PlanError when their labels differ, so that the examples cannot be the same.
    """
    if not np.array_equal(one.labels, other.labels):
        sizes = " and ".join(str(len(each.labels)) for each in (one, other))
        raise PlanError(
            [
                "the two models were tested on different examples: their labels differ "
                f"({sizes} of them)"
            ]
        )

    counted = _rows(one.labels >= 0)
    # never where a label is -1
    right = [_rows(each.predicted == each.labels) for each in (one, other)]
    ahead, decisions = right[0].sum(1) - right[1].sum(1), counted.sum(1)
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    p = _permutation_p(ahead)
    return PairedComparison(
        n=len(ahead),
        accuracy_one=100 * float(right[0].sum() / decisions.sum()),
        accuracy_other=100 * float(right[1].sum() / decisions.sum()),
        difference=100 * float(ahead.sum() / decisions.sum()),
        interval=_interval(ahead, decisions),
        only_one_right=only[0],
        only_other_right=only[1],
        p_permutation=p,
        p_exact=_mcnemar_p(*only) if one.labels.ndim == 1 else None,
        p_holm=p,
    )


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for how many there are, by Holm's step-down procedure (1979).

    Below alpha, the chance of any false finding among all of them is at most alpha.
    """
    order = sorted(range(len(p)), key=p.__getitem__)
    found, least = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[index]))
        found[index] = least
    return found


def adjusted(comparisons: Mapping[str, PairedComparison]) -> dict[str, PairedComparison]:
    """Return the same comparisons with `p_holm` for all of them together, which verdicts go by."""
    corrected = holm([one.p_permutation for one in comparisons.values()])
    return {
        name: replace(one, p_holm=p)
        for (name, one), p in zip(comparisons.items(), corrected, strict=True)
    }


def _rows(outcomes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One row an example [N, C], C being 1 where an example has one label."""
    return outcomes.reshape(len(outcomes), -1)


def _permutation_p(ahead: NDArray[np.int64]) -> float:
    """The two-sided p; `ahead` [N] is by how many right decisions the one leads on each example.

    A swap turns the sign of an example's lead. Of the examples with equal leads the number that
    keep their sign is binomial, so that it is enough to draw these numbers.
    """
    generator = np.random.default_rng(SEED)
    drawn = np.zeros(PERMUTATIONS, np.int64)
    for lead, examples in zip(
        *np.unique(np.abs(ahead[ahead != 0]), return_counts=True), strict=True
    ):
        drawn += lead * (2 * generator.binomial(examples, 0.5, PERMUTATIONS) - examples)
    return (1 + int((np.abs(drawn) >= abs(ahead.sum())).sum())) / (1 + PERMUTATIONS)


def _mcnemar_p(only_one: int, only_other: int) -> float:
    discordant = only_one + only_other
    return float(binomtest(only_one, discordant).pvalue) if discordant else 1.0


def _interval(ahead: NDArray[np.int64], decisions: NDArray[np.int64]) -> tuple[float, float]:
    """Of the difference in %, by drawing examples with both their outcomes."""
    kinds, examples = np.unique(np.stack([ahead, decisions], 1), axis=0, return_counts=True)

    def difference(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        total = counts @ kinds[:, 1]
        nan = np.full(len(counts), np.nan)
        drawn: NDArray[np.float64] = np.divide(
            100 * (counts @ kinds[:, 0]), total, out=nan, where=total > 0
        )
        return drawn

    return bootstrap_interval(examples, difference)
