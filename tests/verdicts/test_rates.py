"""Milliseconds: rates against scipy's exact tests, and what lost runs count as."""

from collections.abc import Iterable

import numpy as np
import pytest
from scipy import stats

from orchestrator.verdicts import Judged, Looks, Lost, Values, judge
from search_spaces.claims import (
    Claim,
    Comparison,
    Event,
    Place,
    above,
    beats,
    more_often,
    rate_above,
)
from workloads.quantity import percent

A, B = ("a",), ("b",)
PERCENT = {(at, None): percent("accuracy") for at in (A, B)}


def judged(comparison: Comparison, values: Values, lost: Lost | None = None) -> Judged:
    claim = Claim.alike("a statement", "a section", comparison)
    return judge(claim, "small", values, lost=lost).judged[0]


def flags(at: Place, yes: int, no: int) -> Values:
    return {(at, "converged"): dict(enumerate([1.0] * yes + [0.0] * no))}


CONVERGED = rate_above(A, 0.9, metric="converged")


@pytest.mark.parametrize(
    ("yes", "no", "verdict"),
    [
        (5, 0, "undecided"),
        (28, 0, "undecided"),
        (29, 0, "reproduced"),
        (44, 1, "undecided"),
        (46, 1, "reproduced"),
        (1, 2, "contradicted"),
        (2, 1, "undecided"),
        (2, 2, "undecided"),
    ],
)
def test_a_rate_is_tested_by_the_binomial(yes: int, no: int, verdict: str) -> None:
    one = judged(CONVERGED, flags(A, yes, no))
    n = yes + no
    assert one.verdict == verdict
    assert one.estimate == yes / n
    assert one.p == pytest.approx(stats.binomtest(yes, n, 0.9, alternative="greater").pvalue)
    exact = stats.binomtest(yes, n, 0.9)
    both = exact.proportion_ci(0.9, method="exact")
    assert (one.low, one.high) == pytest.approx((both.low, both.high))
    less = stats.binomtest(yes, n, 0.9, alternative="less").pvalue
    assert (verdict == "contradicted") == (less <= 0.05)


def test_five_of_five_say_how_many_more_would_do() -> None:
    assert judged(CONVERGED, flags(A, 5, 0)).more_seeds == 24
    some = judged(rate_above(A, 0.5, metric="converged"), flags(A, 7, 3))
    assert some.more_seeds is not None
    n = 10 + some.more_seeds

    def power(n: int) -> float:
        enough = next(k for k in range(n + 1) if stats.binom.sf(k - 1, n, 0.5) <= 0.05)
        return float(stats.binom.sf(enough - 1, n, 0.7))

    assert power(n) >= 0.8
    assert all(power(fewer) < 0.8 for fewer in range(11, n))


def test_a_wrong_rate_is_reproduced_at_the_level_only_whatever_the_looks() -> None:
    rng, claim = np.random.default_rng(0), Claim.alike("s", "t", CONVERGED)
    looks, wrong, trials = Looks((20, 29, 40, 60)), 0, 400
    for _ in range(trials):
        column = dict(enumerate((rng.random(60) < 0.89).astype(float).tolist()))
        wrong += (
            judge(claim, "small", {(A, "converged"): column}, looks=looks).verdict == "reproduced"
        )
    assert stats.binom.sf(wrong - 1, trials, 0.05) > 1e-3


@pytest.mark.parametrize(("only_a", "only_b", "both"), [(5, 0, 3), (4, 0, 9), (9, 1, 0), (0, 6, 1)])
def test_two_rates_are_compared_by_the_runs_that_differ(
    only_a: int, only_b: int, both: int
) -> None:
    ours = [1.0] * only_a + [0.0] * only_b + [1.0] * both
    theirs = [0.0] * only_a + [1.0] * only_b + [1.0] * both
    values: Values = {
        (A, "converged"): dict(enumerate(ours)),
        (B, "converged"): dict(enumerate(theirs)),
    }
    one = judged(more_often(A, B, metric="converged"), values)
    greater = stats.binomtest(only_a, only_a + only_b, alternative="greater").pvalue
    less = stats.binomtest(only_a, only_a + only_b, alternative="less").pvalue
    assert one.p == pytest.approx(greater)
    assert one.estimate == pytest.approx((only_a - only_b) / len(ours))
    expected = "reproduced" if greater <= 0.05 else "contradicted" if less <= 0.05 else "undecided"
    assert one.verdict == expected


def test_runs_that_do_the_same_say_nothing_on_which_does_it_more_often() -> None:
    values: Values = {(at, "converged"): dict.fromkeys(range(6), 1.0) for at in (A, B)}
    one = judged(more_often(A, B, metric="converged"), values)
    assert (one.verdict, one.more_seeds, one.note) == (
        "undecided",
        None,
        "the same with every seed",
    )


def test_a_lost_run_did_not_do_it() -> None:
    few = judged(
        rate_above(A, 0.5, event=Event(side="below", value=1)),
        {(A, None): {0: 0.2, 1: 0.4, 2: 7.0, 3: 0.1}},
        {A: {4: "diverged", 5: "failed"}},
    )
    assert (few.seeds, few.estimate) == ((0, 1, 2, 3, 4, 5), 0.5)


# Lost runs and means


def table(ours: Iterable[float], theirs: Iterable[float]) -> Values:
    return {(A, None): dict(enumerate(ours)), (B, None): dict(enumerate(theirs))}


def without(values: Values, at: Place, *seeds: int) -> Values:
    return {
        key: {seed: one for seed, one in column.items() if key[0] != at or seed not in seeds}
        for key, column in values.items()
    }


def test_survivors_do_not_decide_for_the_side_that_loses_runs() -> None:
    values = table([52.0, 52.3, 51.8, 52.1, 52.2, 51.9], [50.0, 50.2, 50.1, 49.9, 50.3, 50.0])
    claim = Claim.alike("s", "t", beats(A, B))
    assert judge(claim, "small", values).verdict == "reproduced"
    lost: Lost = {A: {5: "diverged"}}
    found = judge(claim, "small", without(values, A, 5), lost=lost)
    assert found.verdict == "reproduced"  # the worst that is seen is 49.9, and 52 is far from that
    worse: Lost = {A: {5: "diverged", 4: "diverged", 6: "collapsed"}}
    found = judge(claim, "small", without(values, A, 4, 5), lost=worse)
    assert found.verdict == "undecided"
    found = judge(claim, "small", without(values, A, 5), lost=lost, quantities=PERCENT)
    assert found.verdict == "undecided"  # 0 % may be what it is
    assert "the runs that were not lost would decide" in found.sentence
    assert "1 of 6 runs of a were lost (diverged)" in found.sentence
    assert found.judged[0].lost == lost
    assert found.p is not None
    assert found.p > 0.05


def test_losses_of_the_other_side_leave_the_verdict_to_the_survivors_and_are_told() -> None:
    values = table([52.0, 52.3, 51.8, 52.1, 52.2, 51.9], [50.0, 50.2, 50.1, 49.9, 50.3, 50.0])
    lost: Lost = {B: {5: "diverged", 6: "failed"}}
    claim = Claim.alike("s", "t", beats(A, B))
    found = judge(claim, "small", without(values, B, 5), lost=lost, quantities=PERCENT)
    assert found.verdict == "reproduced"
    assert "2 of 7 runs of b were lost (1 diverged, 1 failed)" in found.sentence
    # For the contrary it is the better side.
    contrary = Claim.alike("s", "t", beats(B, A))
    found = judge(contrary, "small", without(values, B, 5), lost=lost, quantities=PERCENT)
    assert found.verdict == "contradicted"
    found = judge(
        contrary, "small", without(values, A, 5), lost={A: {5: "diverged"}}, quantities=PERCENT
    )
    assert found.verdict == "undecided"


def test_of_an_error_the_worst_is_the_largest() -> None:
    values = table([4.0, 4.2, 4.1, 3.9, 4.3, 4.0], [2.0, 2.3, 1.8, 2.1, 2.2, 1.9])
    errors = dict.fromkeys(PERCENT, percent("error", better="lower"))
    claim = Claim.alike("s", "t", beats(A, B))  # the error of b is lower
    for at, verdict in ((A, "reproduced"), (B, "undecided")):
        found = judge(
            claim, "small", without(values, at, 5), lost={at: {5: "diverged"}}, quantities=errors
        )
        assert found.verdict == verdict


def test_a_bound_is_not_passed_by_survivors() -> None:
    values = without(table([95.0, 95.2, 95.1, 94.9, 95.3, 95.0], []), A, 3)
    claim = Claim.alike("s", "t", above(A, 90))
    assert judge(claim, "small", values).verdict == "reproduced"
    found = judge(claim, "small", values, lost={A: {3: "collapsed"}}, quantities=PERCENT)
    assert found.verdict == "undecided"


def test_a_cell_that_fails_often_is_not_called_better_once_it_has_failed() -> None:
    """Better by a standard deviation while it survives, and lost in 30 %: the mean is far below.

    Lost runs are worth guessing, which is what the untrained encoder in the sweep is near to.
    """
    rng, trials, claim = np.random.default_rng(1), 400, Claim.alike("s", "t", beats(A, B))
    failed = better = 0
    for trial in range(trials):
        n = 5 + 5 * (trial % 2)
        ours, theirs = rng.normal(51, 0.7, n), rng.normal(50, 0.7, n)
        lost = {seed: "diverged" for seed in range(n) if rng.random() < 0.3}
        if not lost:
            continue
        failed += 1
        values = without(table(ours.tolist(), theirs.tolist()), A, *lost)
        found = judge(claim, "small", values, lost={A: lost}, quantities=PERCENT)
        better += found.verdict == "reproduced"
    assert failed > 200
    assert better == 0
