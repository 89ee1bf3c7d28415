"""Milliseconds to seconds: verdicts against scipy's tests, tables by hand, and simulated truth."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from scipy import stats

from orchestrator.plan import Ask
from orchestrator.plan.more_seeds import seeds_wanted
from orchestrator.verdicts import (
    ClaimVerdict,
    Looks,
    Quantities,
    Values,
    judge,
    looks_up_to,
    spread_of,
    with_q_values,
)
from search_spaces.claims import (
    UNTRAINED,
    Claim,
    Comparison,
    Place,
    above,
    beats,
    contrast,
    similar,
)
from workloads.quantity import Quantity, percent

A, B, C = ("crop", "color"), ("crop",), ("color",)
LOOKS = (5, 6, 8, 10)


def claims(*comparisons: Comparison) -> Claim:
    return Claim.alike("a statement", "a section", *comparisons)


def table(columns: Mapping[Place, Iterable[float]]) -> Values:
    """Results by seed, from seed 0 on."""
    return {
        (at, None): {seed: float(value) for seed, value in enumerate(column)}
        for at, column in columns.items()
    }


def shifted(differences: Iterable[float]) -> Values:
    """Cells A and B with these differences, under an effect of the seed that both share."""
    pairs = [
        (base + difference, base)
        for seed, difference in enumerate(differences)
        for base in [40 + 7 * math.sin(seed)]
    ]
    return table({A: [ours for ours, _ in pairs], B: [base for _, base in pairs]})


def cells_needed(
    verdicts: Iterable[ClaimVerdict], values: Values, looks: Sequence[int] = LOOKS
) -> set[Place]:
    """The cells that a sweep asks for further seeds, up to the last of its looks."""
    there = {at: len(column) for (at, _), column in values.items()}
    return set(seeds_wanted(verdicts, Ask(1, there), 0, values, {}, looks))


def rate(trials: int, verdict: str, trial: Callable[[], str]) -> float:
    return sum(trial() == verdict for _ in range(trials)) / trials


def at_most(found: float, level: float, trials: int) -> bool:
    """Whether a rate is no evidence against a level, at one in a thousand."""
    return bool(stats.binom.sf(round(found * trials) - 1, trials, level) > 1e-3)


def equals(found: float, level: float, trials: int) -> bool:
    return at_most(found, level, trials) and bool(
        stats.binom.cdf(round(found * trials), trials, level) > 1e-3
    )


# Against scipy


@pytest.mark.parametrize("n", [5, 6, 9])
@pytest.mark.parametrize("level", [0.01, 0.05])
def test_one_comparison_is_a_paired_t_test(n: int, level: float) -> None:
    rng = np.random.default_rng(n)
    seen = set()
    for _ in range(100):
        ours, base = rng.normal(51.0 + rng.normal(0, 2), 1, n), rng.normal(50, 1, n)
        one = judge(claims(beats(A, B)), "small", table({A: ours, B: base}), level=level).judged[0]
        greater = stats.ttest_rel(ours, base, alternative="greater")
        less = stats.ttest_rel(ours, base, alternative="less")
        expected = (
            "reproduced"
            if greater.pvalue < level
            else "contradicted"
            if less.pvalue < level
            else "undecided"
        )
        assert one.verdict == expected
        assert one.estimate == pytest.approx(np.mean(ours - base))
        assert one.low == pytest.approx(greater.confidence_interval(1 - level).low)
        assert one.high == pytest.approx(less.confidence_interval(1 - level).high)
        seen.add(expected)
    assert "undecided" in seen
    assert "reproduced" in seen


def test_of_m_comparisons_the_lower_bound_is_at_alpha_and_the_upper_at_alpha_over_m() -> None:
    columns = {
        A: [52.0, 54.5, 51.0, 53.0, 52.2],
        B: [50.0, 51.0, 50.5, 50.2, 51.1],
        C: [51.0, 51.5, 52.5, 50.0, 51.9],
    }
    claim = claims(beats(A, B, by=1), beats(A, C), above(A, 40))
    for one, sums in zip(
        judge(claim, "small", table(columns)).judged,
        (np.subtract(columns[A], columns[B]), np.subtract(columns[A], columns[C]), columns[A]),
        strict=True,
    ):
        greater = stats.ttest_1samp(sums, 0, alternative="greater").confidence_interval(0.95)
        less = stats.ttest_1samp(sums, 0, alternative="less").confidence_interval(1 - 0.05 / 3)
        assert (one.low, one.high) == pytest.approx((greater.low, less.high))


@pytest.mark.parametrize("n", [5, 8])
def test_within_is_two_one_sided_tests_inside_and_half_of_alpha_over_m_outside(n: int) -> None:
    rng, bound, m = np.random.default_rng(n), 1.0, 2
    claim = claims(similar(A, B, within=bound), above(A, 0))
    seen = []
    for _ in range(150):
        sums = rng.normal(rng.uniform(-3, 3), 0.3, n)
        inside = max(
            stats.ttest_1samp(sums, -bound, alternative="greater").pvalue,
            stats.ttest_1samp(sums, bound, alternative="less").pvalue,
        )
        outside = min(
            stats.ttest_1samp(sums, bound, alternative="greater").pvalue,
            stats.ttest_1samp(sums, -bound, alternative="less").pvalue,
        )
        expected = (
            "reproduced"
            if inside < 0.05
            else "contradicted"
            if outside < 0.05 / (2 * m)
            else "undecided"
        )
        one = judge(claim, "small", shifted(sums)).judged[0]
        assert one.verdict == expected
        assert one.low is not None
        assert one.high is not None
        read = "reproduced" if -bound < one.low and one.high < bound else "undecided"
        assert expected == ("contradicted" if one.low > bound or one.high < -bound else read)
        seen.append(expected)
    assert min(seen.count(verdict) for verdict in ("reproduced", "contradicted", "undecided")) >= 10


def test_a_gain_of_gains_and_a_mean_of_cells_are_weighted_sums_of_each_seed() -> None:
    columns = {
        A: [60.0, 61.0, 63.0],
        B: [50.0, 52.5, 51.0],
        C: [55.0, 54.0, 56.0],
        UNTRAINED: [30.0, 31.5, 30.2],
    }
    values = table(columns)
    gain = contrast("shrinks", {A: 1, B: -1, C: -1, UNTRAINED: 1}, bound=-20)
    one = judge(claims(gain), "small", values).judged[0]
    assert one.estimate == pytest.approx(
        np.mean([60 - 50 - 55 + 30, 61 - 52.5 - 54 + 31.5, 63 - 51 - 56 + 30.2])
    )
    mean = judge(claims(beats(A, (B, C))), "small", values).judged[0]
    assert mean.estimate == pytest.approx(184 / 3 - (153.5 / 3 + 55) / 2)


# Which seeds count


def test_what_a_seed_does_to_every_cell_cancels() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(50, 10, 5)
    columns: dict[Place, Iterable[float]] = {
        A: shared + rng.normal(3, 0.5, 5),
        B: shared + rng.normal(0, 0.5, 5),
    }
    assert judge(claims(beats(A, B)), "small", table(columns)).verdict == "reproduced"
    assert stats.ttest_ind(columns[A], columns[B], alternative="greater").pvalue > 0.1
    columns[B] = np.roll(np.array(columns[B]), 1)
    assert judge(claims(beats(A, B)), "small", table(columns)).verdict == "undecided"


def test_only_seeds_that_all_cells_have_are_paired_whatever_their_order() -> None:
    values: Values = {
        (A, None): {5: 61.0, 40: 60.0, 3: 60.5, 9: 10.0, 41: 60.2, 42: 61.1, 1001: -900.0},
        (B, None): {3: 50.0, 5: 50.2, 1001: 0.0, 40: 50.1, 4: 99.0, 42: 50.9, 41: 50.0},
        (B, "knn_top1"): {9: 0.0},
    }
    one = judge(claims(beats(A, B)), "small", values, looks=Looks((5, 7))).judged[0]
    assert one.seeds == (3, 5, 40, 41, 42)
    assert one.estimate == pytest.approx((10.5 + 10.8 + 9.9 + 10.2 + 10.2) / 5)


def test_a_comparison_of_another_metric_reads_that_metric() -> None:
    values: Values = {
        (A, None): dict(enumerate([1.0, 2.0, 3.0, 1.0, 2.0])),
        (B, None): dict(enumerate([50.0, 52.0, 51.0, 50.0, 50.0])),
        (A, "knn_top1"): dict(enumerate([70.0, 70.1, 70.2, 70.0, 70.1])),
        (B, "knn_top1"): dict(enumerate([60.0, 60.3, 60.1, 60.0, 60.2])),
    }
    assert judge(claims(beats(A, B, metric="knn_top1")), "small", values).verdict == "reproduced"


def test_one_seed_or_none_is_no_verdict() -> None:
    claim = claims(beats(A, B))
    one = judge(claim, "small", table({A: [90.0], B: [10.0]}))
    assert (one.verdict, one.seeds, one.more_seeds) == ("undecided", 1, None)
    assert "one seed has no spread" in one.sentence
    assert one.judged[0].low is None
    lacking: list[Values] = [
        {},
        table({A: [90.0, 91.0]}),
        {(A, None): {0: 1.0}, (B, None): {1: 1.0}},
    ]
    for empty in lacking:
        none = judge(claim, "small", empty)
        assert (none.verdict, none.seeds, none.more_seeds, none.judged[0].estimate) == (
            "undecided",
            0,
            None,
            None,
        )
        assert "no seed has finished all of its cells" in none.sentence


def test_a_claim_without_comparisons_at_a_scale_is_not_asked_and_says_why() -> None:
    claim = Claim(
        statement="s", source="t", paper=(beats(A, B),), small=(), silent="there are too few images"
    )
    verdict = judge(claim, "small", {})
    assert verdict.verdict == "not asked"
    assert verdict.sentence == "not asked at the small scale: there are too few images"
    assert judge(claim, "paper", {}).verdict == "undecided"


# Values without spread


def test_equal_values_say_nothing_of_a_mean_by_themselves() -> None:
    for n in range(2, 12):
        # 3 x 0.1 steps: the differences differ in their last binary digits.
        values = table(
            {A: [50.1 + 0.1 * seed for seed in range(n)], B: [40 + 0.1 * seed for seed in range(n)]}
        )
        verdict = judge(claims(beats(A, B)), "small", values)
        assert (verdict.verdict, verdict.more_seeds, verdict.p) == ("undecided", None, None)
        assert "the same with every seed, which says nothing of a mean" in verdict.sentence


def test_cells_that_are_one_run_do_not_beat_each_other_ever() -> None:
    accuracies = [51.3, 52.1, 49.9, 50.7, 50.2, 53.3]
    values = table({A: accuracies, B: accuracies})
    verdict = judge(claims(beats(A, B)), "small", values)
    assert (verdict.verdict, verdict.more_seeds) == ("undecided", None)
    assert "exactly 0 with every seed" in verdict.sentence
    assert cells_needed([verdict], values) == set()


def test_a_tie_at_a_bound_is_seen_through_rounding() -> None:
    values = table({A: [0.1 + 0.2, 50.3, 60.3], B: [0.3 - 0.1, 50.2, 60.2]})
    verdict = judge(claims(beats(A, B, by=0.1)), "small", values)
    assert verdict.judged[0].tied
    assert verdict.judged[0].estimate == 0.1


def test_two_ties_may_be_chance_and_deserve_another_seed() -> None:
    values = table({A: [50.0, 51.0], B: [50.0, 51.0]})
    verdict = judge(claims(beats(A, B)), "small", values)
    assert not verdict.judged[0].tied
    assert cells_needed([verdict], values) == {A, B}


# How often verdicts are false


def hub(m: int) -> tuple[Claim, list[Place]]:
    """One cell beats m others."""
    others: list[Place] = [(f"cell {index}",) for index in range(m)]
    return claims(*(beats(A, other) for other in others)), others


@pytest.mark.parametrize("n", [5, 8])
@pytest.mark.parametrize(("m", "trials"), [(1, 800), (5, 250), (20, 80)])
def test_false_verdicts_are_as_rare_as_the_level_says(m: int, trials: int, n: int) -> None:
    rng = np.random.default_rng([m, n])
    claim, others = hub(m)

    def trial(truth: Sequence[float]) -> str:
        shared = rng.normal(50, 3, n)
        columns: dict[Place, Iterable[float]] = {A: shared + rng.normal(0, 1, n)}
        columns |= {
            at: shared + rng.normal(-true, 1, n) for at, true in zip(others, truth, strict=True)
        }
        return judge(claim, "small", table(columns)).verdict

    # The claim is wrong by one comparison, barely, and the others are beyond doubt.
    reproduced = rate(trials, "reproduced", lambda: trial([0.0] + [1e4] * (m - 1)))
    assert equals(reproduced, 0.05, trials)
    # The claim is barely right in every comparison.
    contradicted = rate(trials, "contradicted", lambda: trial([0.0] * m))
    assert at_most(contradicted, 0.05, trials)
    assert m > 1 or equals(contradicted, 0.05, trials)


def test_unrelated_comparisons_use_up_the_level_of_a_contradiction() -> None:
    rng, m, n, trials = np.random.default_rng(0), 5, 5, 1000
    pairs: list[tuple[Place, Place]] = [((f"a{index}",), (f"b{index}",)) for index in range(m)]
    claim = claims(*(beats(*pair) for pair in pairs))

    def trial() -> str:
        return judge(
            claim, "small", table({at: rng.normal(50, 1, n) for pair in pairs for at in pair})
        ).verdict

    assert equals(rate(trials, "contradicted", trial), 1 - (1 - 0.05 / m) ** m, trials)


@pytest.mark.parametrize("bound", [0.05, 5.0])
def test_false_verdicts_on_similarity_are_as_rare(bound: float) -> None:
    rng, trials = np.random.default_rng(7), 2500
    claim = claims(similar(A, B, within=bound))

    def trial() -> str:
        return judge(claim, "small", shifted(rng.normal(bound, 1, 5))).verdict

    found = [trial() for _ in range(trials)]
    # Far narrower than the spread, no sample can lie inside, and either side is outside; far wider,
    # one side is.
    reproduced, contradicted = (
        found.count(verdict) / trials for verdict in ("reproduced", "contradicted")
    )
    assert equals(reproduced, 0.05, trials) if bound > 1 else reproduced == 0
    assert at_most(contradicted, 0.05 if bound < 1 else 0.025, trials)


def test_coarse_accuracies_hardly_raise_the_level() -> None:
    rng, trials = np.random.default_rng(3), 3000
    claim = claims(beats(A, B))

    def trial() -> str:
        return judge(
            claim, "small", table({at: 100 * rng.binomial(8, 0.9, 5) / 8 for at in (A, B)})
        ).verdict

    found = [trial() for _ in range(trials)]
    assert at_most(found.count("reproduced") / trials, 0.06, trials)
    assert at_most(found.count("contradicted") / trials, 0.06, trials)


# Looking again as seeds come in


def looked_at(claim: Claim, sums: Sequence[float], looks: tuple[int, ...]) -> str:
    """The first verdict of somebody who looks after every seed from the second on."""
    for n in range(2, len(sums) + 1):
        verdict = judge(claim, "small", shifted(sums[:n]), looks=Looks(looks)).verdict
        if verdict != "undecided":
            return verdict
    return "undecided"


def test_looking_again_and_again_needs_and_keeps_a_schedule() -> None:
    rng, trials = np.random.default_rng(11), 250
    claim, samples = claims(beats(A, B)), rng.normal(0, 1, (trials, 10)).tolist()
    planned = [looked_at(claim, sums, LOOKS) for sums in samples]
    naive = [looked_at(claim, sums, ()) for sums in samples]
    for verdict in ("reproduced", "contradicted"):
        assert at_most(planned.count(verdict) / trials, 0.05, trials)
        assert not at_most(naive.count(verdict) / trials, 0.05, trials)


@pytest.mark.parametrize("m", [5, 20])
def test_looks_keep_the_level_of_claims_with_many_comparisons(m: int) -> None:
    rng, trials = np.random.default_rng([13, m]), 1000 // m
    claim, others = hub(m)

    def trial(first: float) -> str:
        """With data of all looks at hand the verdict is that of the first look that decides."""
        columns: dict[Place, Iterable[float]] = {A: rng.normal(0, 1, 10)}
        columns |= {at: rng.normal(-first * (at != others[0]), 1, 10) for at in others}
        return judge(claim, "small", table(columns), looks=Looks(LOOKS)).verdict

    assert at_most(rate(trials, "reproduced", lambda: trial(1e4)), 0.05, trials)
    assert at_most(rate(trials, "contradicted", lambda: trial(0)), 0.05, trials)


def test_the_shares_of_the_looks_grow_as_squares_and_add_up_to_the_level() -> None:
    sums = [0.3, -1.0, 0.6, 1.1, -0.4, 0.2, 0.9, -0.7, 0.1, -0.3]
    spent = []
    for n in LOOKS:
        one = judge(claims(beats(A, B)), "small", shifted(sums[:n]), looks=Looks(LOOKS)).judged[0]
        assert one.verdict == "undecided"
        assert one.low is not None
        assert len(one.seeds) == n
        distance = (np.mean(sums[:n]) - one.low) / stats.sem(sums[:n])
        spent.append(stats.t.sf(distance, n - 1))
    assert np.cumsum(spent) == pytest.approx([0.05 * (n / 10) ** 2 for n in LOOKS])


def test_the_first_look_that_decides_is_kept_and_seeds_between_looks_wait() -> None:
    claim = claims(beats(A, B))
    clear = [10.0, 10.2, 9.9, 10.1, 9.8]
    first = judge(claim, "small", shifted(clear), looks=Looks(LOOKS))
    assert first.verdict == "reproduced"
    later = judge(claim, "small", shifted([*clear, -90.0, -95.0, -90.0]), looks=Looks(LOOKS))
    assert (later.verdict, later.seeds) == ("reproduced", 5)
    assert judge(claim, "small", shifted(clear[:4]), looks=Looks(LOOKS)).verdict == "undecided"
    sums = [1.0, -1.5, 1.1, 0.3, 0.2, -0.5, 900.0]
    waiting = judge(claim, "small", shifted(sums), looks=Looks(LOOKS)).judged[0]
    assert waiting.seeds == (0, 1, 2, 3, 4, 5)
    assert waiting.estimate == pytest.approx(0.1)


def test_comparisons_are_looked_at_with_the_seeds_that_each_has() -> None:
    columns = {
        A: [60.0, 60.4, 59.9, 60.1, 60.2, 60.3],
        B: [50.0, 50.1, 50.3, 50.0, 50.2],
        C: [60.5, 59.0, 60.9, 60.0, 60.1, 60.6],
    }
    values = table(columns)
    verdict = judge(claims(beats(A, B), beats(A, C)), "small", values, looks=Looks(LOOKS))
    assert [one.verdict for one in verdict.judged] == ["reproduced", "undecided"]
    assert [len(one.seeds) for one in verdict.judged] == [5, 6]
    assert verdict.seeds == 5
    assert cells_needed([verdict], values) == {A, C}


# How many seeds it takes


def test_large_effects_are_found_with_five_seeds_and_small_ones_with_those_of_theory() -> None:
    rng, trials = np.random.default_rng(5), 500
    claim = claims(beats(A, B))

    def trial(effect: float, n: int) -> str:
        return judge(claim, "small", shifted(rng.normal(effect, 1, n))).verdict

    assert rate(trials, "reproduced", lambda: trial(3, 5)) > 0.95
    assert rate(trials, "contradicted", lambda: trial(-3, 5)) > 0.95
    # noncentral t
    assert rate(trials, "reproduced", lambda: trial(1, 8)) == pytest.approx(0.815, abs=0.06)


@pytest.mark.parametrize("looks", [(), LOOKS])
@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("sums", [[1.0, -0.5, 2.0], [-1.0, 0.5, -2.0], [0.2, 1.4, -1.1]])
def test_more_seeds_is_the_least_number_with_power_of_80_percent(
    sums: list[float], m: int, looks: tuple[int, ...]
) -> None:
    sure = [above(A, -bound) for bound in (1e3, 2e3)][: m - 1]
    one = judge(claims(beats(A, B), *sure), "small", shifted(sums), looks=Looks(looks)).judged[0]
    effect = abs(np.mean(sums)) / np.std(sums, ddof=1)

    def power(n: int) -> float:
        before = max((look for look in (0, *looks) if look < min(n, 10)), default=0)
        share = 0.05 * (min(n, 10) ** 2 - before**2) / 100 if looks else 0.05
        level = share if np.mean(sums) > 0 else share / m
        return float(stats.nct.sf(stats.t.isf(level, n - 1), n - 1, effect * math.sqrt(n)))

    numbers = [n for n in range(5, 1000) if not looks or n in looks or n > 10]
    assert one.more_seeds == next(n for n in numbers if power(n) >= 0.8) - 3


@pytest.mark.parametrize(("level", "least", "most"), [(0.05, 0.09, 1.6), (0.0025, 0.5, 8.0)])
def test_the_larger_an_effect_the_fewer_seeds_it_needs(
    level: float, least: float, most: float
) -> None:
    needed = []
    for effect in np.linspace(least, most, 500):
        one = judge(
            claims(beats(A, B)), "small", shifted([effect - 1, effect, effect + 1]), level=level
        ).judged[0]
        assert one.more_seeds is not None
        needed.append(one.more_seeds)
    assert needed == sorted(needed, reverse=True)
    assert needed[0] == pytest.approx(
        ((stats.norm.isf(level) + stats.norm.isf(0.2)) / least) ** 2, abs=5
    )
    assert needed[-1] < 5


def test_more_seeds_decide_more_often_than_not() -> None:
    rng = np.random.default_rng(17)
    decided = {}
    for claim, mean in (
        (claims(beats(A, B)), 0.7),
        (claims(beats(A, B)), -1.5),
        (claims(similar(A, B, within=1)), 0.0),
    ):
        again = []
        for _ in range(250):
            sums = rng.normal(mean, 1, 1100).tolist()
            verdict = judge(claim, "small", shifted(sums[:3]))
            if verdict.more_seeds is not None:
                again.append(
                    judge(claim, "small", shifted(sums[: 3 + verdict.more_seeds])).verdict
                    != "undecided"
                )
        decided[mean] = np.mean(again)
        assert len(again) > 50
    assert min(decided.values()) > 0.65


def test_no_number_of_seeds_is_given_when_the_estimate_is_at_the_bound() -> None:
    verdict = judge(claims(beats(A, B)), "small", shifted([1.0, -1.0, 0.01]))
    assert verdict.more_seeds is None
    assert "more than 1000 more seeds" in verdict.sentence


def test_a_claim_needs_the_seeds_of_its_slowest_comparison_or_of_the_nearest_failure() -> None:
    columns = {
        A: [50.0, 51.0, 52.0, 50.5, 51.5],
        B: [48.9, 51.2, 51.0, 51.0, 51.2],
        C: [48.5, 51.3, 50.0, 51.0, 52.0],
    }
    claim = claims(beats(A, B), beats(A, C), beats(A, B, by=-9))
    verdict = judge(claim, "small", table(columns))
    slow = [one.more_seeds for one in verdict.judged]
    assert [one.verdict for one in verdict.judged] == ["undecided", "undecided", "reproduced"]
    assert slow[0] is not None
    assert slow[1] is not None
    assert verdict.more_seeds == max(slow[0], slow[1])
    failing = judge(claims(*claim.small, beats(B, A), beats(C, A)), "small", table(columns))
    nearest = [one.more_seeds for one in failing.judged[3:]]
    assert all(one.leans == "contradicted" for one in failing.judged[3:])
    assert failing.more_seeds == min(count for count in nearest if count is not None)


def test_seeds_are_needed_only_where_a_claim_is_undecided() -> None:
    columns = {
        A: [60.0, 60.1, 60.3, 60.2, 60.0],
        B: [50.0, 50.3, 50.1, 50.2, 50.0],
        C: [59.0, 60.9, 60.5, 60.0, 60.8],
    }
    values = table(columns)
    holds = judge(claims(beats(A, B)), "small", values)
    fails = judge(claims(beats(B, A), beats(A, C)), "small", values)
    open_ = judge(claims(beats(A, B), beats(A, C)), "small", values)
    never = judge(
        Claim(statement="s", source="t", paper=(beats(A, B),), small=(), silent="too small"),
        "small",
        values,
    )
    assert [verdict.verdict for verdict in (holds, fails, open_, never)] == [
        "reproduced",
        "contradicted",
        "undecided",
        "not asked",
    ]
    assert cells_needed([holds, fails, never], values) == set()
    assert cells_needed([holds, fails, open_, never], values) == {A, C}


def test_after_the_last_look_no_cell_needs_seeds() -> None:
    sums = [0.3, -1.0, 0.6, 1.1, -0.4, 0.2, 0.9, -0.7, 0.1, -0.3]
    some, all_of_them = shifted(sums[:9]), shifted(sums)
    waiting, ended = (
        judge(claims(beats(A, B)), "small", values, looks=Looks(LOOKS))
        for values in (some, all_of_them)
    )
    assert cells_needed([waiting], some) == {A, B}
    assert cells_needed([ended], all_of_them) == set()
    once = judge(claims(beats(A, B)), "small", all_of_them)
    assert cells_needed([once], all_of_them, (*LOOKS, 14)) == {A, B}


@pytest.mark.parametrize(
    ("first", "most", "looks"),
    [
        (3, 8, (3, 4, 6, 8)),
        (3, 3, (3,)),
        (2, 5, (2, 3, 4, 5)),
        (5, 20, (5, 7, 10, 14, 20)),
        (3, 9, (3, 4, 6, 8, 9)),
    ],
)
def test_looks_come_at_growing_numbers_of_seeds_and_end_at_the_most(
    first: int, most: int, looks: tuple[int, ...]
) -> None:
    assert looks_up_to(first, most) == looks
    assert all(later <= 2 * now for now, later in pairwise(looks))


# For people


def test_sentences_say_what_was_measured_and_what_is_missing() -> None:
    claim, both = claims(beats(A, B)), claims(beats(A, B), beats(A, C))
    values = table(
        {
            A: [60.0, 60.4, 62.0, 61.0, 60.2],
            B: [50.0, 50.1, 50.3, 50.2, 50.0],
            C: [58.0, 61.5, 59.0, 62.0, 60.9],
        }
    )
    assert judge(claim, "small", values, paper={A: 64.2, B: 55.0}).sentence == (
        "reproduced at level 5 %: crop · color > crop, measured 10.6 [9.9, 11.3], the paper's 9.2 "
        "(5 seeds)"
    )
    assert judge(both, "small", values).sentence == (
        "undecided at level 5 %: crop · color > color, measured 0.4 [-1.4, 2.8] (5 seeds); "
        "about 114 more seeds would decide; "
        "1 of 2 hold"
    )
    assert judge(claims(beats(B, A), beats(A, C)), "small", values, level=0.1).sentence == (
        "contradicted at level 10 %: not crop > crop · color, measured -10.6 [-11.1, -9.9] "
        "(5 seeds); 1 of 2 comparisons fail"
    )
    assert judge(claims(beats(A, B), beats(C, B)), "small", values).sentence == (
        "reproduced at level 5 %: each of 2 comparisons holds (5 seeds); the least sure: "
        "color > crop, measured 10.2 [8.5, 12.3] (5 seeds)"
    )
    waiting = judge(claim, "small", values, looks=Looks((6, 8))).sentence
    assert "not judged before 6 seeds; about 1 more seed would decide" in waiting


def test_a_claim_says_how_much_of_it_holds_and_how_large_it_is_beside_the_papers() -> None:
    values = table(
        {A: [60.0, 60.4, 62.0, 61.0, 60.2], B: [50.0, 50.1, 50.3, 50.2, 50.0], C: [61.0] * 5}
    )
    paper = {A: 65.0, B: 60.0, C: 50.0}
    claim = claims(beats(A, B), beats(A, C), above(A, 50), beats(A, B, metric="other"))
    found = judge(claim, "small", values, paper=paper)
    assert (found.holding, len(found.judged)) == (2, 4)
    first, second, third, other = found.judged
    assert first.paper == 5
    assert first.of_paper == pytest.approx(np.mean([10, 10.3, 11.7, 10.8, 10.2]) / 5)
    assert second.of_paper is not None
    assert second.of_paper < 0
    assert (third.paper, third.of_paper) == (65, None)
    assert (other.paper, other.of_paper) == (None, None)
    assert judge(claim, "small", values).judged[0].of_paper is None


def test_p_of_a_claim_is_the_largest_of_its_comparisons() -> None:
    rng = np.random.default_rng(4)
    columns: dict[Place, Iterable[float]] = {
        A: rng.normal(52, 1, 6),
        B: rng.normal(51, 1, 6),
        C: rng.normal(50, 1, 6),
    }
    found = judge(claims(beats(A, B), beats(A, C), above(A, 51)), "small", table(columns))
    expected = [
        stats.ttest_rel(columns[A], columns[B], alternative="greater").pvalue,
        stats.ttest_rel(columns[A], columns[C], alternative="greater").pvalue,
        stats.ttest_1samp(list(columns[A]), 51, alternative="greater").pvalue,
    ]
    assert [one.p for one in found.judged] == pytest.approx(expected)
    assert found.p == pytest.approx(max(expected))
    missing = judge(claims(beats(A, B), beats(A, B, metric="other")), "small", table(columns))
    assert missing.p is None


def test_p_over_looks_is_what_the_best_of_them_has_spent() -> None:
    sums = [1.9, -1.0, 0.6, 1.1, -0.4, 0.2, 0.9, -0.7, 0.1, -0.3]
    one = judge(claims(beats(A, B)), "small", shifted(sums), looks=Looks(LOOKS)).judged[0]
    shares = np.diff([0, *(np.array(LOOKS) / 10) ** 2])
    ps = [stats.ttest_1samp(sums[:n], 0, alternative="greater").pvalue for n in LOOKS]
    assert one.verdict == "undecided"
    assert one.p == pytest.approx(min(p / share for p, share in zip(ps, shares, strict=True)))


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    values = table({A: [1.0, 2.0, 1.5, 1.7, 1.2], B: [1.0] * 5})
    one = judge(claims(beats(A, B)), "small", values)
    ps = [0.001, 0.3, 0.04, 0.01, 0.03, 0.8, 0.0]
    found = with_q_values([replace(one, p=p) for p in [*ps, None]])
    assert [each.q for each in found[:-1]] == pytest.approx(stats.false_discovery_control(ps))
    assert found[-1].q is None
    assert with_q_values([]) == []


# Alike


def test_alike_is_two_one_sided_tests_against_the_margin_for_what_is_not_decided() -> None:
    rng, m, margin = np.random.default_rng(1), 2, 1.0
    claim = claims(beats(A, B, margin=margin), above(A, 0))
    seen = []
    for _ in range(400):
        sums = rng.normal(rng.uniform(-1.5, 1.5), 0.4, 6)

        def p(bound: float, side: Literal["greater", "less"], sums: Any = sums) -> float:
            return float(stats.ttest_1samp(sums, bound, alternative=side).pvalue)

        inside = max(p(-margin, "greater"), p(margin, "less"))
        if p(0, "greater") < 0.05:
            expected = "reproduced"
        elif p(0, "less") < 0.05 / m:
            expected = "contradicted"
        else:
            expected = "alike" if inside < 0.05 / m else "undecided"
        found = judge(claim, "small", shifted(sums))
        one = found.judged[0]
        assert one.verdict == expected
        assert found.verdict == expected
        if expected == "alike":
            assert one.low is not None
            assert one.high is not None
            assert -margin < one.low < 0 < one.high < margin
            assert "no more than 1 apart" in found.sentence
        seen.append(expected)
    assert min(map(seen.count, ("reproduced", "contradicted", "alike", "undecided"))) >= 5


def test_accuracies_are_alike_within_a_point_and_other_metrics_where_a_claim_says() -> None:
    equal = shifted([0.1, -0.1, 0.05, -0.02, 0.0, -0.04])
    points = dict.fromkeys(equal, percent("accuracy"))
    nats = dict.fromkeys(equal, Quantity("entropy", "nats"))

    def verdict(comparison: Comparison, quantities: Quantities) -> str:
        return judge(claims(comparison), "small", equal, quantities=quantities).verdict

    assert verdict(beats(A, B), points) == "alike"
    assert verdict(beats(A, B), nats) == "undecided"
    assert verdict(beats(A, B, margin=0.5), nats) == "alike"
    assert verdict(beats(A, B, by=-0.02), points) == "undecided"
    alike = judge(claims(beats(A, B)), "small", equal, quantities=points)
    assert cells_needed([alike], equal) == set()


def test_more_seeds_may_tell_that_sides_are_alike() -> None:
    differences = [1.4, -1.3, 1.6, -1.5, -0.25]
    without, with_margin = (
        judge(claims(beats(A, B, margin=margin)), "small", shifted(differences)).more_seeds
        for margin in (None, 1.0)
    )
    assert without is None
    assert with_margin is not None
    assert 1 <= with_margin <= 60


def test_equal_values_go_on_where_the_sweep_can_tell_them_to_be_alike() -> None:
    rng = np.random.default_rng(3)
    others = {(f"cell {number}",): rng.normal(50, 0.6, 6).tolist() for number in range(8)}
    equal = [50.3, 49.6, 50.1, 50.2, 49.9, 50.4]
    columns = {A: equal, B: equal, **others}

    def judged(seeds: int) -> ClaimVerdict:
        values = table({at: column[:seeds] for at, column in columns.items()})
        spread = spread_of(values, dict.fromkeys(columns, "m"))
        return judge(claims(beats(A, B, margin=1.0)), "small", values, spread=spread)

    few, many = judged(3), judged(6)
    assert (few.verdict, few.judged[0].tied) == ("undecided", False)
    assert few.more_seeds is not None
    assert many.verdict == "alike"


def test_sides_that_differ_by_the_margin_are_called_alike_or_contradicted_at_the_level_only() -> (
    None
):
    rng, trials, m = np.random.default_rng(9), 1000, 2
    claim = claims(beats(A, B, margin=1.0), above(A, 0))

    def trial() -> str:
        return judge(claim, "small", shifted(rng.normal(1.0, 0.6, 6))).verdict

    found = [trial() for _ in range(trials)]
    wrong = (found.count("alike") + found.count("contradicted")) / trials
    assert at_most(wrong, 0.05 / m, trials)
    assert found.count("alike") > 0


# Where a metric ends


def test_intervals_end_where_the_metric_does() -> None:
    claim = claims(above(A, 50), beats(A, B))
    values = table({A: [99.0, 80.0, 99.5, 97.0, 99.9], B: [5.0, 0.1, 30.0, 0.2, 0.5]})
    ends = dict.fromkeys(values, percent("accuracy"))
    single, pair = judge(claim, "small", values, quantities=ends).judged
    assert single.high == 100
    assert pair.high == 100
    free = judge(claim, "small", values).judged
    assert free[0].high is not None
    assert free[0].high > 100
    assert free[0].low == single.low


# Requests without sense


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"crop.*seed 1 is not finite"):
        judge(claims(beats(A, B)), "small", table({A: [1.0, value], B: [1.0, 2.0]}))


@pytest.mark.parametrize(
    ("level", "looks"), [(0.0, ()), (0.5, ()), (0.05, (1, 2)), (0.05, (4, 3)), (0.05, (3, 3))]
)
def test_levels_and_looks_without_sense_are_refused(level: float, looks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"level|looks"):
        judge(claims(beats(A, B)), "small", {}, level=level, looks=Looks(looks))
    with pytest.raises(ValueError, match="at least 2"):
        looks_up_to(1, 5)
    with pytest.raises(ValueError, match="at least 2"):
        looks_up_to(5, 4)
