"""Milliseconds: what the spaces of the two-layer study ask. Two tests run tiny cells in one
process.
"""

import itertools
import math
import sys

import pytest
from scipy.stats import binom

from search_spaces import ABLATIONS, Comparison
from search_spaces.two_layer_cnn.theorems import OF_RATES, below, fails, learns
from workloads.two_layer_cnn.contrastive import predicted_alignment
from workloads.two_layer_cnn.presets import preset
from workloads.two_layer_cnn.run import run
from workloads.two_layer_cnn.spec import TwoLayerSpec

SPACES = {
    name: ablation for name, ablation in ABLATIONS.items() if ablation.workload == "two-layer-cnn"
}
LABELS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TINY = {
    "data.dimension": 20,
    "data.labels": 4,
    "data.unlabeled": 6,
    "data.test": 2,
    "finetune.max_steps": 1,
}

# Test error that a separate implementation measured, a row for each SNR, a column for each number
# of labels.
SEPARATE: dict[str, dict[str, tuple[float, ...]]] = {
    "SimCLR pre-training": {
        "0.1": (0.232, 0.203, 0.2, 0.15, 0.005, 0, 0, 0, 0, 0),
        "0.15": (0.019, 0.009, 0.032, 0, 0, 0, 0, 0, 0, 0),
        "0.2": (0,) * 10,
        "0.3": (0,) * 10,
        "0.4": (0,) * 10,
    },
    "direct": {
        "0.1": (0.501, 0.502, 0.498, 0.496, 0.5, 0.499, 0.495, 0.49, 0.501, 0.504),
        "0.15": (0.502, 0.502, 0.498, 0.496, 0.5, 0.499, 0.494, 0.489, 0.18, 0.136),
        "0.2": (0.504, 0.503, 0.498, 0.495, 0.497, 0.489, 0.435, 0.221, 0, 0),
        "0.3": (0.507, 0.499, 0.49, 0.486, 0.397, 0.215, 0.008, 0, 0, 0),
        "0.4": (0.501, 0.482, 0.44, 0.403, 0.055, 0.001, 0, 0, 0, 0),
    },
}


def by_place(name: str, of: str = "gaussian-patches") -> dict[tuple[str, ...], TwoLayerSpec]:
    """The specification of every cell."""
    ablation = SPACES[name]
    specs = [preset(of).with_values(point) for point in ablation.points("small")]
    return {cell.at: spec for cell, spec in zip(ablation.small.cells, specs, strict=True)}


def claim(name: str, beginning: str) -> tuple[Comparison, ...]:
    """What the claim that begins so compares."""
    (found,) = [claim for claim in SPACES[name].claims if claim.statement.startswith(beginning)]
    return found.small


def places(comparisons: tuple[Comparison, ...]) -> list[tuple[str, ...]]:
    return [term.at for comparison in comparisons for term in comparison.terms]


# What all have in common --------------------------------------------------------------------------


def test_both_scales_ask_the_same_and_the_paper_has_no_number() -> None:
    assert len(SPACES) == 14
    for ablation in SPACES.values():
        assert ablation.paper == ablation.small
        assert [claim.paper for claim in ablation.claims] == [
            claim.small for claim in ablation.claims
        ]
        assert {cell.paper for cell in ablation.small.cells} == {None}
        assert {cell.candidates for cell in ablation.small.cells} == {()}
        assert "ours are the preset's" in ablation.small.note


@pytest.mark.parametrize("name", SPACES)
def test_what_is_drawn_and_claimed_is_among_the_results(name: str) -> None:
    """Every cell at a size of no meaning."""
    ablation, specs = SPACES[name], by_place(name)
    results = dict(
        zip(
            specs,
            run([spec.with_values({**TINY, "pretrain.max_steps": 1}) for spec in specs.values()]),
            strict=True,
        )
    )
    for at, result in results.items():
        asked = {ablation.metric, ablation.counts_if, ablation.against} - {None}
        assert asked <= result.keys()
        named = {
            term.metric
            for one in ablation.claims
            for c in one.small
            for term in c.terms
            if term.at == at
        }
        assert named - {None} <= result.keys()


@pytest.mark.parametrize("name", SPACES)
def test_values_on_the_axes_are_those_of_the_specification(name: str) -> None:
    """A label that is a number is what some field of its cell is set to, but for what the axis
    names otherwise.
    """
    fields = {
        "signal-to-noise ratio": lambda spec: spec.data.signal_to_noise,
        "labels": lambda spec: spec.data.labels,
        "labels among 256 inputs": lambda spec: spec.data.labels,
        "unlabeled inputs": lambda spec: spec.data.unlabeled,
        "power q of the activation": lambda spec: spec.network.power,
        "correlation of the views' noise": lambda spec: spec.data.view_correlation,
        "scale of the first filters, sigma_0": lambda spec: spec.pretrain.initial_std,
        "steps of pre-training": lambda spec: spec.pretrain.max_steps,
        "filters m of each of F_+ and F_-": lambda spec: spec.network.filters,
        "dimension d of a patch": lambda spec: spec.data.dimension,
    }
    for at, spec in by_place(name).items():
        for label, axis in zip(at, SPACES[name].small.axes, strict=True):
            if axis.name in fields and label[0].isdigit():
                assert fields[axis.name](spec) == float(label)
            else:
                direct = label == "none (direct)" or label.startswith("direct")
                assert direct == (spec.pretrain.method == "none")


@pytest.mark.parametrize(
    ("name", "at"),
    [("label-complexity", ("0.2", "1024", "direct")), ("unlabeled-data", ("0.1", "1000"))],
)
def test_cells_with_more_inputs_than_images_run_on_a_small_set(
    name: str, at: tuple[str, str]
) -> None:
    """The digits 0 and 1 are 360 images, test images among them."""
    spec = by_place(name, "digit-patches")[at].with_values(
        {"data.test": 2, "pretrain.max_steps": 1, "finetune.max_steps": 1}
    )
    (result,) = run([spec])
    assert math.isfinite(result["training_loss"])


# Labels -------------------------------------------------------------------------------------------


def test_label_complexity_is_the_whole_grid_of_both_arms() -> None:
    found = {
        (spec.data.signal_to_noise, spec.data.labels, spec.pretrain.method)
        for spec in by_place("label-complexity").values()
    }
    assert found == {*itertools.product((0.1, 0.15, 0.2, 0.3, 0.4), LABELS, ("simclr", "none"))}
    assert {spec.data.unlabeled for spec in by_place("label-complexity").values()} == {250}
    assert (SPACES["label-complexity"].figure, SPACES["label-complexity"].counts_if) == (
        "maps",
        "converged",
    )


def test_direct_training_fails_below_1_and_learns_from_4_over_the_power_of_the_ratio() -> None:
    edges = {
        ratio: (fails(ratio)[-1], learns(ratio)[:1])
        for ratio in ("0.1", "0.15", "0.2", "0.3", "0.4")
    }
    assert edges == {
        "0.1": ("512", ()),
        "0.15": ("256", ()),
        "0.2": ("64", ("512",)),
        "0.3": ("32", ("256",)),
        "0.4": ("8", ("64",)),
    }
    assert (fails("0.3", 4)[-1], learns("0.3", 4)[0]) == ("64", "512")
    assert (fails("0.2")[0], learns("0.2")[-1]) == ("2", "1024")


def test_the_drawn_threshold_is_2_over_the_cube_of_the_ratio_within_its_axes() -> None:
    ((overlay,), (ratios, labels, _)) = (
        SPACES["label-complexity"].overlays,
        SPACES["label-complexity"].small.axes,
    )
    assert overlay.only == ("direct",)
    assert "2 / SNR^3" in overlay.label
    for count, ratio in overlay.points:
        assert count == pytest.approx(2 / ratio**3)
        assert float(labels.labels[0]) <= count <= float(labels.labels[-1])
        assert float(ratios.labels[0]) <= ratio <= float(ratios.labels[-1])
    assert [round(count) for count, _ in overlay.points] == [1024, 593, 250, 74, 31]


def test_simclr_is_held_against_direct_training_wherever_that_has_too_few_labels() -> None:
    comparisons = claim("label-complexity", "Wherever direct training")
    pairs = {
        tuple(sorted((term.at, term.weight) for term in comparison.terms))
        for comparison in comparisons
    }
    poor = [
        (ratio, n)
        for ratio in ("0.1", "0.15", "0.2", "0.3", "0.4")
        for n in LABELS
        if n < float(ratio) ** -3
    ]
    assert len(poor) == 31
    arms = (("SimCLR pre-training", -1.0), ("direct", 1.0))
    assert pairs == {
        tuple(sorted(((ratio, str(n), arm), weight) for arm, weight in arms)) for ratio, n in poor
    }


def test_the_errors_of_a_separate_implementation_bear_out_the_claims_on_error() -> None:
    errors: dict[tuple[str, ...], float] = {
        (ratio, str(n), arm): 100 * error
        for arm, rows in SEPARATE.items()
        for ratio, row in rows.items()
        for n, error in zip(LABELS, row, strict=True)
    }
    asked = [
        c
        for one in SPACES["label-complexity"].claims
        for c in one.small
        if c.terms[0].metric in (None, "test_error")
    ]
    assert len(asked) == 8 + 6 + 2 + 31 + 2 + 3 + 2
    for comparison in asked:
        total = math.fsum(term.weight * errors[term.at] for term in comparison.terms)
        if comparison.event:
            assert comparison.event.happened(total), comparison.label
        else:
            assert total > comparison.bound, comparison.label


def test_below_is_above_with_the_signs_turned() -> None:
    comparison = below(("a", "b"), 0.06, metric="test_loss")
    (term,) = comparison.terms
    assert (term.at, term.weight, term.metric, comparison.bound) == (
        ("a", "b"),
        -1,
        "test_loss",
        -0.06,
    )
    assert (comparison.label, comparison.relation) == ("a · b < 0.06 in test_loss", "above")


def test_guessing_is_a_loss_of_ln_2_within_a_tenth() -> None:
    events = {
        comparison.event
        for comparison in claim("label-complexity", "Direct training with too few labels overfits")
    }
    values = {event.side: event.value for event in events if event}
    assert values == pytest.approx(
        {"above": math.log(2) - 0.1, "below": math.log(2) + 0.1}, abs=1e-3
    )


def test_what_the_theorems_promise_with_high_probability_is_claimed_of_nine_runs_in_ten() -> None:
    """A claim that says so has rates alone, and a rate stands under such a statement or under one
    on which is more often.
    """
    for ablation in SPACES.values():
        for one in ablation.claims:
            rates = [comparison.event is not None for comparison in one.small]
            said = "9 of 10 runs or more" in one.statement
            assert said or "often" in one.statement or not any(rates), one.statement
            assert all(rates) or not said, one.statement
            assert {c.bound for c in one.small if c.event} <= {0.9, 0.0}
        if any(c.event and c.bound for one in ablation.claims for c in one.small):
            assert "29 seeds" in ablation.small.note
            module = sys.modules[f"search_spaces.two_layer_cnn.{ablation.name.replace('-', '_')}"]
            assert "--seeds 29" in (module.__doc__ or "")


def test_what_images_cannot_meet_is_asked_of_generated_inputs_only() -> None:
    """An error below 1 % or a test loss below 0.06; guesses and orders are asked of all."""
    for ablation in SPACES.values():
        here, there = (
            ablation.asked_of(preset(name).flat()) for name in ("gaussian-patches", "digit-patches")
        )
        assert here == ablation
        for one, asked in zip(ablation.claims, there.claims, strict=True):
            tight = any(
                c.event
                and c.bound
                and c.event.side == "below"
                and c.event.value <= 5
                and "overfits" not in one.statement
                for c in one.small
            )
            generated = "data.name" in ablation.fixed
            assert bool(asked.comparisons("small")) == (generated or not tight), one.statement
            if tight and not generated:
                assert "this recipe has data.name=digits" in asked.why_not_asked("small")


def test_the_number_of_seeds_that_a_rate_needs_is_the_one_that_the_note_says() -> None:
    """The chance of as few failures, or fewer, in n runs that each fail with probability 0.1. A
    first look that nobody planned has 6 / pi^2 of the level.
    """

    def enough(failures: int, level: float = 0.05) -> int:
        return next(n for n in range(1, 99) if binom.cdf(failures, n, 0.1) <= level)

    assert (enough(0), enough(1)) == (29, 46)
    assert enough(0, 0.05 * 6 / math.pi**2) == 34
    assert "34 if all do and nobody planned" in OF_RATES
    assert "29 seeds" in OF_RATES
    assert "46 if one does not" in OF_RATES


def test_a_steeper_activation_is_asked_where_both_thresholds_are_on_the_axis() -> None:
    specs = by_place("activation-power")
    assert {spec.data.signal_to_noise for spec in specs.values()} == {0.3}
    asked = claim("activation-power", "Direct training needs labels in proportion")
    assert [at[:2] for at in places(asked)] == [
        ("3", "32"),
        ("4", "64"),
        ("3", "256"),
        ("4", "512"),
    ]


# Unlabeled inputs ---------------------------------------------------------------------------------


def test_the_drawn_alignment_is_what_the_workload_predicts() -> None:
    (overlay,) = SPACES["signal-to-noise"].overlays
    for unlabeled_snr2, alignment in overlay.points:
        assert alignment == pytest.approx(predicted_alignment(100, math.sqrt(unlabeled_snr2 / 100)))
    found = [
        spec.pretrain_inputs * spec.data.signal_to_noise**2
        for spec in by_place("signal-to-noise").values()
    ]
    assert [min(found), max(found)] == pytest.approx([0.125, 160])
    assert overlay.points[0][0] <= min(found)
    assert max(found) <= overlay.points[-1][0]


@pytest.mark.parametrize(
    ("beginning", "cells", "least", "most"),
    [
        ("With enough unlabeled", 15, 4, 160),
        ("A cosine of 0.9", 2, 2.5, 2.5),
        ("With too few unlabeled", 3, 0.125, 0.25),
        ("Only n0 SNR^2 matters where it is 2.5 or more", 8, 2.5, 40),
        ("Only n0 SNR^2 matters where it is 0.5 or less", 4, 0.245, 0.5),
    ],
)
def test_claims_on_alignment_are_asked_of_the_cells_in_their_range(
    beginning: str, cells: int, least: float, most: float
) -> None:
    asked = {
        at: int(at[1]) * float(at[0]) ** 2 for at in places(claim("signal-to-noise", beginning))
    }
    assert len(asked) == cells
    assert [min(asked.values()), max(asked.values())] == pytest.approx([least, most])


def test_equal_alignment_is_asked_of_equal_n0_snr2_at_different_ratios() -> None:
    pairs = [
        claim("signal-to-noise", f"Only n0 SNR^2 matters where it is {where}")
        for where in ("2.5", "0.5")
    ]
    for comparison in itertools.chain(*pairs):
        one, other = (term.at for term in comparison.terms)
        assert one[0] != other[0]
        assert int(one[1]) * float(one[0]) ** 2 == pytest.approx(
            int(other[1]) * float(other[0]) ** 2, rel=0.021
        )


def test_nothing_is_fine_tuned_where_only_alignment_is_asked() -> None:
    specs = by_place("signal-to-noise").values()
    assert {(spec.finetune.max_steps, spec.pretrain.method) for spec in specs} == {(0, "simclr")}
    assert (SPACES["signal-to-noise"].counts_if, SPACES["signal-to-noise"].against) == (
        "pretrain_converged",
        "unlabeled_snr2",
    )


def test_the_top_eigenvalue_is_asked_of_the_runs_of_signal_to_noise() -> None:
    asked = {spec.fingerprint() for spec in by_place("top-eigenvalue").values()}
    assert asked == {spec.fingerprint() for spec in by_place("signal-to-noise").values()}
    found = {
        at: int(at[1]) * float(at[0]) ** 2
        for at in places(claim("top-eigenvalue", "The top eigenvalue"))
    }
    assert len(found) == 9
    assert [min(found.values()), max(found.values())] == pytest.approx([10, 160])


def test_no_unlabeled_inputs_are_the_direct_arm() -> None:
    methods = {at[1]: spec.pretrain.method for at, spec in by_place("unlabeled-data").items()}
    assert methods.pop("none (direct)") == "none"
    assert set(methods.values()) == {"simclr"}
    assert {spec.data.labels for spec in by_place("unlabeled-data").values()} == {8}


# Controls -----------------------------------------------------------------------------------------


def test_a_budget_of_256_inputs_is_spent_whole_by_simclr_and_by_direct_training_at_most() -> None:
    for (arm, labels, _), spec in by_place("total-budget").items():
        if arm == "direct":
            assert (spec.pretrain.method, spec.data.labels) == ("none", int(labels))
        else:
            assert spec.data.unlabeled + spec.data.labels == 256
    assert [at for at in by_place("total-budget") if at[1] == "256"] == [
        ("direct", "256", ratio) for ratio in ("0.15", "0.2", "0.3")
    ]


def test_the_controls_share_their_runs_with_the_grid_of_labels() -> None:
    grid = {spec.fingerprint() for spec in by_place("label-complexity").values()}
    controls = {at: spec.fingerprint() for at, spec in by_place("pretraining-controls").items()}
    shared = {at for at, fingerprint in controls.items() if fingerprint in grid}
    assert shared == {
        *itertools.product(("SimCLR pre-training", "direct"), ("2", "8", "32", "128", "512"))
    }
    assert {spec.pretrain.method for spec in by_place("pretraining-controls").values()} == {
        "simclr",
        "pca",
        "simclr-relu",
        "simclr-labeled",
        "none",
    }


def test_whether_runs_converge_is_asked_of_all_runs() -> None:
    asked = [
        (term.metric, c.bound)
        for one in SPACES["pretraining-controls"].claims[:2]
        for c in one.small
        for term in c.terms
    ]
    assert set(asked) == {("converged", 0.9)}
    assert SPACES["pretraining-controls"].counts_if is None
