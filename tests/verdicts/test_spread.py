"""Milliseconds to seconds: what the cells of a sweep say together, by formulas written plainly."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

from orchestrator.verdicts import Spread, Values, judge, spread_of
from search_spaces import ABLATIONS, UNTRAINED
from search_spaces.claims import Claim, Comparison, Place, above, beats, contrast

AUGMENTATIONS = Path(__file__).parents[2] / "docs/results/augmentations-cifar10/report.json"
Columns = Mapping[Place, Mapping[int, float]]


def cell(number: int) -> Place:
    return (f"cell {number}",)


def sweep(
    cells: int, seeds: int, rng: np.random.Generator, *, missing: float = 0.0, shared: float = 3.0
) -> Columns:
    effects = rng.normal(50, shared, seeds)
    return {
        cell(number): {
            seed: float(effects[seed] + rng.normal())
            for seed in range(seeds)
            if rng.random() >= missing
        }
        for number in range(cells)
    }


def values(columns: Columns) -> Values:
    return {(at, None): column for at, column in columns.items()}


def spread(columns: Columns) -> Spread:
    return spread_of(values(columns), dict.fromkeys(columns, "m"))


def one_claim(comparison: Comparison) -> Claim:
    return Claim.alike("a statement", "a section", comparison)


# The fit


@pytest.mark.parametrize("cells", range(5, 60))
def test_two_seeds_of_any_number_of_cells_tell_the_spread(cells: int) -> None:
    """Their degrees of freedom are the fewest that do, and no rounding takes one away."""
    columns = {
        cell(number): {0: 50.0 + number / 7, 1: 53.1 + number / 7 + (-1) ** number}
        for number in range(cells)
    }
    pooled = spread(columns).of(beats(cell(0), cell(1)))
    assert pooled is not None
    assert pooled.df == pytest.approx(cells - 1)


@pytest.mark.parametrize(("cells", "seeds", "missing"), [(5, 3, 0.0), (7, 6, 0.25), (12, 4, 0.3)])
def test_the_variance_is_that_of_a_linear_model_of_cells_and_seeds(
    cells: int, seeds: int, missing: float
) -> None:
    columns = sweep(cells, seeds, np.random.default_rng(cells), missing=missing)
    used = {at: column for at, column in columns.items() if len(column) > 1}
    rows = [(at, seed, value) for at, column in used.items() for seed, value in column.items()]
    design = np.array(
        [
            [float(at == other) for other in used] + [float(seed == n) for n in range(seeds)]
            for at, seed, _ in rows
        ]
    )
    y = np.array([value for _, _, value in rows])
    hat = design @ np.linalg.pinv(design)
    residuals, df = y - hat @ y, len(y) - np.linalg.matrix_rank(design)
    found = spread(columns).pooled("m")
    assert found is not None
    assert found.cells == len(used)
    assert found.df == pytest.approx(df)
    assert found.variance == pytest.approx(residuals @ residuals / df)
    for at, variance, own_df in zip(used, found.variances, found.dfs, strict=True):
        mine = np.array([row[0] == at for row in rows])
        assert own_df == pytest.approx((1 - np.diag(hat))[mine].sum())
        assert variance == pytest.approx((residuals[mine] ** 2).sum() / own_df)


def test_the_distribution_of_variances_is_found_again() -> None:
    """Cells' variances drawn from a scaled inverse chi-square with so many degrees of freedom."""
    rng = np.random.default_rng(0)
    for df in (4.0, 10.0):
        variances = df / rng.chisquare(df, 400)
        columns = {
            cell(number): dict(enumerate(rng.normal(0, math.sqrt(variance), 6).tolist()))
            for number, variance in enumerate(variances)
        }
        found = spread(columns).pooled("m")
        assert found is not None
        assert found.prior_df == pytest.approx(df, rel=0.35)
        assert found.equal_p < 0.01


def test_equal_variances_are_found_equal_as_often_as_chance_says() -> None:
    rng = np.random.default_rng(1)
    found = [spread(sweep(10, 4, rng)).pooled("m") for _ in range(200)]
    low = [one.equal_p < 0.1 for one in found if one]
    assert stats.binom.sf(sum(low) - 1, len(low), 0.1) > 1e-3
    assert sum(low) > 0


def test_what_knows_too_little_is_not_pooled() -> None:
    rng = np.random.default_rng(2)
    few = sweep(4, 3, rng)
    assert spread(few).pooled("m") is None
    assert spread(sweep(8, 1, rng)).pooled("m") is None
    steady = {cell(n): dict.fromkeys(range(4), 50.0 + n) for n in range(8)}
    assert spread(steady).pooled("m") is None
    # Cells that are one run are one cell, and the untrained encoder is none.
    more = {**few, ("copy",): few[cell(0)], UNTRAINED: few[cell(1)]}
    assert spread(more).pooled("m") is None
    columns = sweep(8, 3, rng)
    mixed = spread_of(values(columns), {at: f"metric {at == cell(0)}" for at in columns})
    assert mixed.of(beats(cell(0), cell(1))) is None
    assert mixed.of(beats(cell(2), cell(1))) is not None


# What a comparison takes of it


def squeezed(columns: Columns, weights: Mapping[Place, float], bound: float) -> tuple[float, float]:
    """t and its degrees of freedom for equally many seeds in every cell, as means.py states it."""
    table = np.array([list(column.values()) for column in columns.values()])
    cells, n = table.shape
    known = spread(columns).pooled("m")
    assert known is not None
    w = np.array([weights.get(at, 0.0) for at in columns])
    effects = table.mean(0) - table.mean()
    own = np.var(w @ table - w.sum() * effects, ddof=1)
    prior = known.variance * (w @ w - w.sum() ** 2 / cells)
    rest = (known.prior_df * prior + (n - 1) * own) / (known.prior_df + n - 1)
    df = min(known.prior_df + n - 1, (cells - 1) * (n - 1))
    of_seeds = w.sum() ** 2 * np.var(effects, ddof=1)
    both = rest + of_seeds
    df = both**2 / (rest**2 / df + of_seeds**2 / (n - 1)) if abs(w.sum()) > 1e-9 else df
    return (w @ table.mean(1) - bound) / math.sqrt(both / n), df


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.parametrize(
    "comparison",
    [
        beats(cell(0), cell(1)),
        beats(cell(0), (cell(1), cell(2), cell(3))),
        contrast("gap", {cell(0): 1, cell(1): -1, cell(2): -1, cell(3): 1}),
        above(cell(0), 49.5),
    ],
    ids=["two", "mean", "gap", "bound"],
)
def test_a_comparison_is_squeezed_to_what_the_sweep_says(comparison: Comparison, n: int) -> None:
    columns = sweep(9, n, np.random.default_rng(n))
    weights = {term.at: term.weight for term in comparison.terms}
    t, df = squeezed(columns, weights, comparison.bound)
    claim = one_claim(comparison)
    one = judge(claim, "small", values(columns), spread=spread(columns)).judged[0]
    assert one.test == "moderated t"
    assert one.df == pytest.approx(df)
    assert one.p == pytest.approx(stats.t.sf(t, df))
    assert one.estimate is not None
    assert one.low is not None
    error = (one.estimate - comparison.bound) / t
    assert one.low == pytest.approx(one.estimate - stats.t.isf(0.05, df) * error)


def test_three_seeds_are_judged_where_the_sweep_knows_the_spread_and_five_where_not() -> None:
    rng = np.random.default_rng(3)
    for n in range(2, 7):
        columns = {at: dict(column) for at, column in sweep(8, n, rng).items()}
        columns[cell(0)] = {seed: value + 20 for seed, value in columns[cell(0)].items()}
        claim = one_claim(beats(cell(0), cell(1)))
        pooled = judge(claim, "small", values(columns), spread=spread(columns))
        alone = judge(claim, "small", values(columns))
        assert pooled.verdict == ("reproduced" if n >= 3 else "undecided")
        assert alone.verdict == ("reproduced" if n >= 5 else "undecided")
        assert ("seen, not judged: fewer than 3 seeds" in pooled.sentence) == (n < 3)
        assert ("seen, not judged: fewer than 5 seeds" in alone.sentence) == (n < 5)


def test_equal_values_are_values_like_others_where_other_cells_have_a_spread() -> None:
    columns = {
        at: dict(column) for at, column in sweep(8, 3, np.random.default_rng(4), shared=0.5).items()
    }
    columns[cell(0)] = dict.fromkeys(range(3), 100.0)
    claim = one_claim(above(cell(0), 90))
    assert judge(claim, "small", values(columns), spread=spread(columns)).verdict == "reproduced"
    near = one_claim(above(cell(0), 99.8))
    assert judge(near, "small", values(columns), spread=spread(columns)).verdict == "undecided"
    assert judge(claim, "small", values(columns)).verdict == "undecided"


def test_a_comparison_that_varies_more_than_the_sweep_is_judged_by_itself() -> None:
    columns = {at: dict(column) for at, column in sweep(20, 4, np.random.default_rng(5)).items()}
    for seed, change in enumerate((30.0, -30.0, 25.0, -20.0)):
        columns[cell(0)][seed] += change
    one = judge(
        one_claim(beats(cell(0), cell(1))), "small", values(columns), spread=spread(columns)
    ).judged[0]
    differences = [columns[cell(0)][seed] - columns[cell(1)][seed] for seed in range(4)]
    assert one.test == "paired t, as it varies more than the sweep"
    assert one.p == pytest.approx(stats.ttest_1samp(differences, 0, alternative="greater").pvalue)


def test_a_look_knows_no_later_seed() -> None:
    columns = sweep(8, 6, np.random.default_rng(6))
    first = {at: {seed: column[seed] for seed in range(3)} for at, column in columns.items()}
    comparison = beats(cell(0), cell(1))
    assert spread(columns).of(comparison, before=3) == spread(first).of(comparison)


# The committed values


def test_figure_five_on_cifar10_would_hold_with_the_spread_of_its_49_cells() -> None:
    """Two seeds are seen and not judged; what a third is likely to show is calculated here."""
    report = json.loads(AUGMENTATIONS.read_text())
    columns = {tuple(one["at"]): dict(enumerate(one["values"][:2])) for one in report["cells"]}
    known = spread_of(values(columns)).pooled(None)
    assert known is not None
    assert (known.cells, known.df) == (49, pytest.approx(48))
    assert known.sd == pytest.approx(0.71, abs=0.005)
    assert known.prior_df == pytest.approx(48)  # as many as there are: no cell differs
    assert known.equal_p > 0.3

    largest: list[float] = []
    for claim in ABLATIONS["augmentations"].claims:
        asked = claim.comparisons("small")
        if any(term.metric for one in asked for term in one.terms):
            continue
        found = judge(claim, "small", values(columns), spread=spread_of(values(columns)))
        assert found.verdict == "undecided"
        assert "seen, not judged: fewer than 3 seeds" in found.sentence
        ps = []
        for one in asked:
            means = {at: float(np.mean(list(column.values()))) for at, column in columns.items()}
            estimate = sum(term.weight * means[term.at] for term in one.terms)
            squares = sum(term.weight**2 for term in one.terms)
            t = (estimate - one.bound) / math.sqrt(known.variance * squares / 2)
            ps.append(stats.t.sf(t, known.df))
        largest.append(max(ps))
        if len(asked) == 80:
            assert max(ps) == pytest.approx(5e-5, rel=0.2)
    assert sorted(largest)[-1] == pytest.approx(0.039, abs=0.002)
    assert len(largest) == 3


def test_the_inverse_of_trigamma() -> None:
    """Trigamma as the integral of t e^(-xt) / (1 - e^-t)."""
    from orchestrator.verdicts.spread import _inverse_trigamma

    for x in (0.05, 0.7, 3.0, 40.0):
        whole = integrate.quad(lambda t, x=x: t * math.exp(-x * t) / -math.expm1(-t), 0, math.inf)
        assert _inverse_trigamma(whole[0]) == pytest.approx(x, rel=1e-4)
    assert _inverse_trigamma(1e8) == pytest.approx(1e-4)
    assert _inverse_trigamma(1e-8) == pytest.approx(1e8)
    assert special.polygamma(1, _inverse_trigamma(0.3)) == pytest.approx(0.3)
