"""Milliseconds: thresholds and slopes as weighted sums of cells, against curves whose threshold is
known; and what the ablations of single conditions ask.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from search_spaces import ABLATIONS, Comparison
from search_spaces.claims import Place
from search_spaces.two_layer_cnn.thresholds import octaves, slope, weighted
from workloads.two_layer_cnn.presets import preset
from workloads.two_layer_cnn.run import run
from workloads.two_layer_cnn.spec import TwoLayerSpec

BASE = preset("gaussian-patches")
COUNTS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def specs(name: str, base: TwoLayerSpec = BASE) -> dict[Place, TwoLayerSpec]:
    """The specification of every cell."""
    ablation = ABLATIONS[name]
    points = zip(ablation.small.cells, ablation.points("small"), strict=True)
    return {cell.at: base.with_values(point) for cell, point in points}


def total(comparison: Comparison, values: Mapping[Place, float]) -> float:
    return math.fsum(term.weight * values[term.at] for term in comparison.terms)


# Thresholds


def test_octaves_are_those_to_the_middle_of_a_step() -> None:
    weights = octaves(COUNTS)
    for last in range(len(COUNTS) - 1):
        errors = [50.0 if index <= last else 0.0 for index in range(len(COUNTS))]
        found = sum(weights[count] * error for count, error in zip(COUNTS, errors, strict=True))
        middle = math.sqrt(COUNTS[last] * COUNTS[last + 1])
        assert found == pytest.approx(math.log2(middle / 2))


def test_octaves_find_where_a_smooth_curve_is_half_way_down() -> None:
    def error(count: float, threshold: float) -> float:
        return 50 / (1 + (count / threshold) ** 3)

    weights = octaves(COUNTS)
    for threshold in (10, 14, 20, 25):
        found = sum(weight * error(count, threshold) for count, weight in weights.items())
        assert 2 * 2**found == pytest.approx(threshold, rel=0.03)


def test_a_slope_is_that_of_least_squares() -> None:
    ratios = (0.15, 0.2, 0.3, 0.5)
    values = np.random.default_rng(0).normal(size=4)
    found = sum(
        weight * value for weight, value in zip(slope(ratios).values(), values, strict=True)
    )
    assert found == pytest.approx(float(np.polyfit(np.log2(ratios), values, 1)[0]))


def test_sums_add_up_and_what_cancels_is_left_out() -> None:
    assert weighted((1, {("a",): 2.0, ("b",): 1.0}), (-2, {("a",): 1.0, ("c",): 3.0})) == {
        ("b",): 1.0,
        ("c",): -6.0,
    }


def errors_of(threshold: Callable[[TwoLayerSpec], float]) -> dict[Place, float]:
    """An error for each cell of the ablation, by how many labels its setting needs."""
    return {
        at: 50 / (1 + (spec.data.labels / threshold(spec)) ** 4)
        for at, spec in specs("label-threshold").items()
    }


def as_proven(spec: TwoLayerSpec) -> float:
    """Theorems 4.2 and 4.3, with 2 and 3 as constants."""
    if spec.pretrain.method == "simclr":
        return 3.0
    return 2 / spec.data.signal_to_noise**spec.network.power


def slower(spec: TwoLayerSpec) -> float:
    """The same, a whole power less, and with a threshold after pre-training that moves, too."""
    return as_proven(spec) * 4 * spec.data.signal_to_noise


def holding(values: Mapping[Place, float]) -> list[bool]:
    """Which of the claims on slopes hold."""
    return [
        all(total(comparison, values) > comparison.bound for comparison in claim.small)
        for claim in ABLATIONS["label-threshold"].claims[:3]
    ]


def test_the_claims_on_slopes_are_true_of_the_theorems_and_false_of_other_powers() -> None:
    assert holding(errors_of(as_proven)) == [True, True, True]
    assert holding(errors_of(slower)) == [False, False, False]


@pytest.mark.parametrize(("which", "expected"), [(0, -3), (1, -4), (2, 0)])
def test_what_is_compared_is_the_fitted_slope(which: int, expected: int) -> None:
    low, high = ABLATIONS["label-threshold"].claims[which].small
    found = total(low, errors_of(as_proven))
    assert found == pytest.approx(expected, abs=0.2)
    assert total(high, errors_of(as_proven)) == pytest.approx(-found)
    assert (low.bound, high.bound) == (expected - 0.5, -(expected + 0.5))


def test_the_factor_by_which_labels_are_saved_is_asked_of_neighbouring_ratios() -> None:
    values = errors_of(as_proven)
    comparisons = ABLATIONS["label-threshold"].claims[3].small
    ratios = (0.2, 0.25, 0.3, 0.4, 0.5)
    for comparison, low, high in zip(comparisons, ratios, ratios[1:], strict=False):
        # log2 of the ratio of two factors, each 2 / SNR^3 over the same 3
        assert total(comparison, values) == pytest.approx(3 * math.log2(high / low), abs=0.15)
    assert len(comparisons) == 4


def test_thresholds_of_direct_training_lie_within_the_counts_of_labels() -> None:
    """With enough of the curve on both sides: what lies beyond counts as 50 and as 0 %."""
    direct = [spec for spec in specs("label-threshold").values() if spec.pretrain.method == "none"]
    assert {spec.data.labels for spec in direct} >= {2, 1024}
    for spec in direct:
        assert 4 * 2 < as_proven(spec) < 1024 / 4


# Single conditions


def test_a_hundredth_of_the_first_scale_costs_as_many_steps_as_the_eigenvalue_says() -> None:
    """lambda_1 = 2 eta ||mu||^2 / tau (Lemma 5.2)."""
    first = 2 * BASE.pretrain_rate * BASE.data.signal_norm**2 / BASE.pretrain.temperature
    steps = math.log(100) / math.log(1 + first)
    (claim,) = [
        claim for claim in ABLATIONS["initial-scale"].claims if "each hundredth" in claim.statement
    ]
    bounds = {abs(comparison.bound) for comparison in claim.small}
    assert sorted(bounds) == pytest.approx([steps - 2, steps + 2], abs=0.05)
    for comparison in claim.small:
        smaller, larger = sorted(float(term.at[1]) for term in comparison.terms)
        assert larger / smaller == pytest.approx(100)
        assert {term.metric for term in comparison.terms} == {"pretrain_steps"}


def test_filters_that_begin_at_the_scale_at_which_they_would_stop_take_no_step() -> None:
    tiny = {"data.unlabeled": 10}
    by_place = specs("initial-scale", BASE.with_values(tiny))
    steps = {
        at: given["pretrain_steps"]
        for at, given in zip(by_place, run(list(by_place.values())), strict=True)
    }
    assert steps["0.2", "1e-3"] == steps["0.4", "1e-3"] == 0
    assert steps["0.2", "1e-10"] > steps["0.2", "1e-8"] > steps["0.2", "1e-6"] > 0


def test_pretraining_takes_the_steps_that_are_asked_for() -> None:
    small = {"data.unlabeled": 10, "data.dimension": 50, "data.test": 2, "finetune.max_steps": 1}
    by_place = specs("pretraining-steps", BASE.with_values(small))
    for (_, steps), given in zip(by_place, run(list(by_place.values())), strict=True):
        assert given["pretrain_steps"] == int(steps)


def test_the_dimension_is_asked_of_generated_inputs_whatever_the_preset() -> None:
    for base in ("gaussian-patches", "digit-patches"):
        found = {spec.data.dim for spec in specs("patch-dimension", preset(base)).values()}
        assert found == {30, 100, 300, 1000, 3000}


def test_both_halves_of_the_filters_have_the_right_sign_as_often_as_the_page_says() -> None:
    """(1 - 2^-m)^2 by trying all signs of 2m filters, of which the first m are F_+."""
    for filters in (1, 2, 3):
        signs = (np.indices((2,) * (2 * filters)).reshape(2 * filters, -1) * 2) - 1
        right = (signs[:filters] > 0).any(0) & (signs[filters:] < 0).any(0)
        assert right.mean() == pytest.approx((1 - 2.0**-filters) ** 2)


def test_fresh_views_are_held_against_twice_the_inputs_at_the_same_ratio() -> None:
    for claim in ABLATIONS["fresh-views"].claims[1:]:
        for comparison in claim.small:
            fresh, fixed = (term.at for term in comparison.terms)
            assert (fresh[0], fixed[0]) == ("fresh in each step", "fixed")
            assert fresh[1] == fixed[1]
            assert 2 * int(fresh[2]) == int(fixed[2])
    by_place = specs("fresh-views")
    assert {at[0]: spec.pretrain.views for at, spec in by_place.items()} == {
        "fixed": "fixed",
        "fresh in each step": "fresh",
    }


def test_curves_of_fixed_and_fresh_views_differ_by_a_factor_of_two_in_inputs() -> None:
    fixed, fresh = (dict(overlay.points) for overlay in ABLATIONS["fresh-views"].overlays)
    assert fixed[1.0] == pytest.approx((1 + 1 / 2) ** -0.5)
    assert fresh[1.0] == pytest.approx((1 + 1 / 4) ** -0.5)
    assert all(fresh[found] > fixed[found] for found in fixed)
