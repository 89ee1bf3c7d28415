"""Milliseconds: claims as comparisons, and whether the paper's own numbers bear out what it
claims.
"""

from collections.abc import Callable
from typing import get_args

import pytest

from search_spaces import ABLATIONS, UNTRAINED, Ablation, Claim, Comparison, Term
from search_spaces.ablation import Scale
from search_spaces.claims import (
    Event,
    Group,
    above,
    beats,
    contrast,
    more_often,
    rate_above,
    similar,
    wider_gap,
)

SCALES = get_args(Scale)
EVERY_LAYOUT = [
    pytest.param(a, scale, id=f"{name}-{scale}")
    for name, a in ABLATIONS.items()
    if a.claims
    for scale in SCALES
]

# Claims that can be asked, comparisons, and those of them that the paper has numbers for: paper,
# small.
COUNTS = {
    "augmentations": ((5, 108, 97), (5, 108, 97)),  # contrastive accuracies are not reported
    "color-strength": ((5, 11, 11), (5, 11, 11)),
    "encoder": ((4, 11, 11), (3, 8, 0)),
    "head": ((5, 17, 17), (3, 9, 9)),
    "probes": ((4, 10, 8), (3, 9, 8)),  # nor is linear evaluation of g(h)
    "losses": ((2, 6, 6), (2, 6, 6)),
    "temperature": ((4, 12, 12), (4, 12, 12)),
    "batch-size": ((8, 21, 17), (5, 13, 12)),  # nor Figures B.1 and B.2
    "contrastive-gains": ((2, 2, 1), (2, 2, 0)),
    "few-labels": ((5, 9, 9), (2, 3, 3)),
    "transfer": ((10, 59, 59), (2, 3, 0)),
    "flip-and-blur": ((2, 2, 2), (2, 2, 1)),  # nor without both
    "broader-augmentation": ((1, 3, 3), (1, 2, 2)),
    "all-labels": ((4, 10, 10), (1, 1, 0)),
    "supervised": ((5, 14, 14), (3, 5, 5)),
    "linear-and-finetuned": ((3, 10, 0), (3, 7, 0)),  # nor Figures B.5 and B.6
    "batch-temperature": ((7, 22, 3), (4, 15, 0)),  # nor are the figures' values printed
    "few-augmentations": ((5, 39, 31), (5, 39, 31)),
    "shortcuts": ((5, 10, 0), (5, 10, 0)),  # the paper has no such images
    "label-complexity": ((10, 82, 0), (10, 82, 0)),  # theorems have none
    "label-threshold": ((4, 10, 0), (4, 10, 0)),
    "activation-power": ((3, 22, 0), (3, 22, 0)),
    "unlabeled-data": ((5, 9, 0), (5, 9, 0)),
    "signal-to-noise": ((5, 26, 0), (5, 26, 0)),
    "top-eigenvalue": ((2, 27, 0), (2, 27, 0)),
    "initial-scale": ((5, 24, 0), (5, 24, 0)),
    "pretraining-steps": ((5, 19, 0), (5, 19, 0)),
    "filter-count": ((3, 13, 0), (3, 13, 0)),
    "patch-dimension": ((5, 11, 0), (5, 11, 0)),
    "pretraining-controls": ((3, 14, 0), (3, 14, 0)),
    "fresh-views": ((3, 18, 0), (3, 18, 0)),
}

# of a paper
SOURCES = ("section ", "appendix ", "Table ", "Figure ", "Theorem", "Lemma ", "Condition ")

# Comparisons that the paper's own numbers contradict: (ablation, scale, label).
EXCEPTIONS: set[tuple[str, Scale, str]] = set()


def estimate(ablation: Ablation, scale: Scale, comparison: Comparison) -> float | None:
    """The comparison's sum of the paper's values; None where it lacks one."""
    cells = {cell.at: cell for cell in ablation.layout(scale).cells}
    total = 0.0
    for term in comparison.terms:
        cell = cells[term.at]
        compared = term.metric in (None, ablation.metric_of(cell))
        value = cell.paper if compared else cell.paper_more.get(term.metric or "")
        if value is None:
            return None
        total += term.weight * value
    return total


def holds(comparison: Comparison, value: float) -> bool:
    return (
        value > comparison.bound
        if comparison.relation == "above"
        else abs(value) <= comparison.bound
    )


def asked(ablation: Ablation, scale: Scale) -> list[Comparison]:
    return [comparison for claim in ablation.claims for comparison in claim.comparisons(scale)]


# The paper's claims on its own numbers ------------------------------------------------------------


@pytest.mark.parametrize(("ablation", "scale"), EVERY_LAYOUT)
def test_the_papers_numbers_bear_out_its_claims(ablation: Ablation, scale: Scale) -> None:
    comparisons = asked(ablation, scale)
    found = [
        (comparison, value)
        for comparison in comparisons
        if (value := estimate(ablation, scale, comparison)) is not None
    ]
    wrong = {
        (ablation.name, scale, comparison.label)
        for comparison, value in found
        if not holds(comparison, value)
    }
    assert wrong == {
        exception for exception in EXCEPTIONS if exception[:2] == (ablation.name, scale)
    }
    claims = [claim for claim in ablation.claims if claim.comparisons(scale)]
    assert (len(claims), len(comparisons), len(found)) == COUNTS[ablation.name][SCALES.index(scale)]


def test_every_ablation_of_the_paper_claims_something_and_says_where() -> None:
    of_the_papers = {name for name, ablation in ABLATIONS.items() if not ablation.extension}
    assert of_the_papers | {"few-augmentations", "shortcuts", "fresh-views"} == COUNTS.keys()
    for ablation in ABLATIONS.values():
        for claim in ablation.claims:
            assert any(
                word in claim.source
                for word in (
                    "section ",
                    "appendix ",
                    "Table ",
                    "Figure ",
                    "Theorem",
                    "Lemma ",
                    "Condition ",
                )
            ), claim.source
            assert claim.statement.endswith("."), claim.statement


@pytest.mark.parametrize(
    ("name", "label", "points"),
    [
        ("augmentations", "crop · color > crop · sobel", 56.3 - 46.0),
        (
            "color-strength",
            "(SimCLR · 1 - SimCLR · 1/8) > (supervised · 1 - supervised · 1/8)",
            3.6 + 1.3,
        ),
        (
            "encoder",
            "(ResNet-50 · 1 · supervised 90-epoch - ResNet-50 · 1 · SimCLR 1000-epoch) > "
            "(ResNet-50 · 2 · supervised 90-epoch - ResNet-50 · 2 · SimCLR 1000-epoch)",
            7.2 - 3.6,
        ),
        (
            "encoder",
            "(ResNet-50 · 2 · supervised 90-epoch - ResNet-50 · 2 · SimCLR 1000-epoch) > "
            "(ResNet-50 · 4 · supervised 90-epoch - ResNet-50 · 4 · SimCLR 1000-epoch)",
            3.6 - 1.9,
        ),
        ("probes", "rotation · h > rotation · g(h)", 67.6 - 25.6),
        ("losses", "NT-Xent > NT-Logistic (semi-hard)", 63.9 - 57.9),
        ("temperature", "no, 100 > yes, 0.1 in contrastive_accuracy", 92.1 - 87.8),
        (
            "batch-size",
            "(8192 · 100 · linear - 256 · 100 · linear) > (8192 · 1000 · linear - 256 · 1000 "
            "· linear)",
            7.3 - 1.9,
        ),
        (
            "batch-size",
            "4096 · 100 · linear > 256 · 300 · linear",
            64.6 - 63.6,
        ),
        (
            "contrastive-gains",
            "(SimCLR · 4096 · long - SimCLR · 4096 · short) > "
            "(supervised · 4096 · long - supervised · 4096 · short)",
            4.7 - 1.1,
        ),
        (
            "encoder",
            "ResNet-50 · 4 · SimCLR 1000-epoch = ResNet-50 · 1 · supervised 90-epoch ± 0.5",
            0.0,
        ),
        (
            "all-labels",
            "pre-trained, broader · 4 · 100 > from scratch · 4 · 100",
            80.4 - 78.4,
        ),
        ("transfer", "Food · tuned · ResNet-50 (4x) > Food · tuned S · ResNet-50 (4x)", 0.7),
        ("batch-temperature", "0.5 · 1024 · 1000 > supervised · 1024 · 1000 - 2", 94.0 - 95.1),
        ("few-labels", "SimCLR (4x) · 1 > 85 in finetune_1_top5", 85.8),
        ("flip-and-blur", "flip and blur > no flip", 1.1),
        ("broader-augmentation", "broader · 1 > default · 1", 0.7),
        (
            "supervised",
            "mean of {crop, +color, +color+blur} · 90 · ResNet-50 > mean of {crop, +color, "
            "+color+blur} · 500 · ResNet-50 - 1",
            75.8 - 229.4 / 3,
        ),
    ],
)
def test_the_size_of_a_difference_in_the_papers_numbers(
    name: str, label: str, points: float
) -> None:
    (comparison,) = [
        comparison for comparison in asked(ABLATIONS[name], "paper") if comparison.label == label
    ]
    assert estimate(ABLATIONS[name], "paper", comparison) == pytest.approx(points)


def test_the_twelve_data_sets_of_table_8_are_five_two_and_five() -> None:
    ahead, behind, tied = (
        list(claim.paper)
        for claim in ABLATIONS["transfer"].claims
        if "section 6" in claim.source and "on average" not in claim.statement
    )
    assert (len(ahead), len(behind), len(tied)) == (5, 2, 5)
    named = {term.at[0] for one in (*ahead, *behind, *tied) for term in one.terms}
    assert len(named) == 12
    linear, tuned = (
        claim for claim in ABLATIONS["transfer"].claims if "appendix B.8.2" in claim.source
    )
    assert (len(linear.paper), len(tuned.paper)) == (12, 9)


def test_fewer_epochs_at_a_larger_batch_are_fewer_steps_too() -> None:
    (claim,) = [claim for claim in ABLATIONS["batch-size"].claims if "fewer" in claim.statement]
    for comparison in claim.paper:
        better, worse = comparison.terms
        (large, few), (small, many) = (map(int, term.at[:2]) for term in (better, worse))
        assert (better.weight, worse.weight) == (1, -1)
        assert few < many
        assert few / large < many / small


def test_crop_and_color_in_either_order_are_held_against_each_of_the_other_40_pairs() -> None:
    (claim,) = [
        claim for claim in ABLATIONS["augmentations"].claims if "stands out" in claim.statement
    ]
    pairs = {
        tuple(sorted((term.at, term.weight) for term in comparison.terms))
        for comparison in claim.small
    }
    labels = ABLATIONS["augmentations"].small.axes[0].labels
    others = {(first, second) for first in labels for second in labels if first != second} - {
        ("crop", "color"),
        ("color", "crop"),
    }
    assert len(others) == 40
    assert pairs == {
        tuple(sorted([(best, 1.0), (other, -1.0)]))
        for best in (("crop", "color"), ("color", "crop"))
        for other in others
    }


def test_sizes_in_points_of_imagenet_are_asked_at_the_papers_scale_only() -> None:
    sized = [
        (ablation.name, comparison.label)
        for ablation in ABLATIONS.values()
        for claim in ablation.claims
        if "points of ImageNet" in claim.silent
        for comparison in claim.paper
    ]
    wide, linear = (
        "{32, 64, 128, 256, 512, 1024, 2048}",
        ("mean of linear · {32, 64, 128, 256, 512, 1024, 2048}"),
    )
    assert sized == [
        ("head", f"mean of non-linear · {wide} > {linear} + 3"),
        ("head", f"mean of non-linear · {wide} > none · 2048 + 10"),
        ("probes", "classes · h > classes · g(h) + 10"),
        ("few-labels", "SimCLR · 1 > supervised · 1 + 20"),
    ]


# Comparisons as sums ------------------------------------------------------------------------------

A, B, C, D = ("a",), ("b",), ("c",), ("d",)


def weights(comparison: Comparison) -> dict[tuple[str, ...], float]:
    return {term.at: term.weight for term in comparison.terms}


@pytest.mark.parametrize(
    ("comparison", "label", "terms", "bound", "relation"),
    [
        (beats(A, B), "a > b", {A: 1, B: -1}, 0, "above"),
        (beats(A, B, by=3), "a > b + 3", {A: 1, B: -1}, 3, "above"),
        (beats(A, B, by=-0.5), "a > b - 0.5", {A: 1, B: -1}, -0.5, "above"),
        (beats((A, B), (C,)), "mean of {a, b} > c", {A: 0.5, B: 0.5, C: -1}, 0, "above"),
        (beats(UNTRAINED, A), "untrained > a", {UNTRAINED: 1, A: -1}, 0, "above"),
        (
            similar(A, (B, C), within=2),
            "a = mean of {b, c} ± 2",
            {A: 1, B: -0.5, C: -0.5},
            2,
            "within",
        ),
        (above(A, 25), "a > 25", {A: 1}, 25, "above"),
        (contrast("x", {A: 2, B: -3}, bound=1), "x", {A: 2, B: -3}, 1, "above"),
        (wider_gap((A, B), (C, D)), "(a - b) > (c - d)", {A: 1, B: -1, C: -1, D: 1}, 0, "above"),
        (wider_gap((A, B), (C, B), by=1), "(a - b) > (c - b) + 1", {A: 1, C: -1}, 1, "above"),
    ],
)
def test_comparisons_are_weighted_sums(
    comparison: Comparison,
    label: str,
    terms: dict[tuple[str, ...], float],
    bound: float,
    relation: str,
) -> None:
    found = (comparison.label, weights(comparison), comparison.bound, comparison.relation)
    assert found == (label, terms, bound, relation)
    assert {term.metric for term in comparison.terms} == {None}


def test_a_metric_of_its_own_is_named_in_every_term_and_in_the_label() -> None:
    for comparison in (
        beats(A, B, metric="m"),
        similar(A, B, within=1, metric="m"),
        above(A, 0, metric="m"),
        wider_gap((A, B), (C, D), metric="m"),
    ):
        assert {term.metric for term in comparison.terms} == {"m"}
        assert comparison.label.endswith(" in m")


def test_rates_are_of_one_cell_against_a_bound_or_of_two_cells() -> None:
    steady = rate_above(A, 0.9, metric="has_converged")
    assert steady.label == "a: has converged in 90 % of runs or more"
    assert (weights(steady), steady.bound, steady.event) == ({A: 1}, 0.9, Event())
    small = Event(side="below", value=1)
    assert rate_above(A, 0.8, event=small).label == "a: value below 1 in 80 % of runs or more"
    more = more_often(A, B, metric="test_error", event=small)
    assert more.label == "test_error below 1 more often: a than b"
    assert (weights(more), more.bound, more.event) == ({A: 1, B: -1}, 0, small)
    assert [Event().happened(value) for value in (0, 0.5, 1)] == [False, False, True]
    assert [small.happened(value) for value in (0, 1, 2)] == [True, False, False]


@pytest.mark.parametrize(
    ("group", "named"),
    [
        (("a", "x"), "a · x"),
        ((("a", "x"), ("a", "y")), "mean of a · {x, y}"),
        ((("a", "x"), ("b", "x"), ("a", "y"), ("b", "y")), "mean of {a, b} · {x, y}"),
        ((("a", "x"), ("b", "y")), "mean of (a · x; b · y)"),
    ],
)
def test_groups_are_named_by_what_their_cells_share(group: Group, named: str) -> None:
    assert beats(group, ("z", "z")).label == f"{named} > z · z"


# What claims refuse -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "shown"),
    [
        (lambda: Term(at=A, weight=0), "weight 0"),
        (lambda: Term(at=A, weight=float("nan")), "weight nan"),
        (lambda: Comparison(label=" ", terms=(Term(at=A, weight=1),)), "needs a label"),
        (lambda: Comparison(label="x", terms=()), "needs a label and terms"),
        (lambda: contrast("x", {A: 1}, bound=float("inf")), "bound inf"),
        (lambda: similar(A, B, within=0), "bound 0 is none for 'within'"),
        (lambda: beats(A, B, margin=0), "margin 0"),
        (lambda: rate_above(A, 1), "is about rates"),
        (lambda: rate_above(A, 0), "is about rates"),
        (lambda: more_often(A, A), "needs a label and terms"),
        (
            lambda: Comparison(
                label="x",
                terms=(Term(at=A, weight=1),),
                bound=0.5,
                relation="within",
                event=Event(),
            ),
            "is about rates",
        ),
        (lambda: beats((), A), "a cell on each side"),
        (lambda: beats(A, A), "needs a label and terms"),
        (
            lambda: Comparison(label="x", terms=(Term(at=A, weight=1), Term(at=A, weight=2))),
            "names a cell twice",
        ),
        (lambda: Claim.alike(" ", "Table 0", beats(A, B)), "needs both"),
        (lambda: Claim.alike("a beats b", "", beats(A, B)), "needs both"),
        (lambda: Claim.alike("a beats b", "Table 0"), "has no comparison"),
        (lambda: Claim.alike("a beats b", "Table 0", beats(A, B), beats(A, B)), "duplicates"),
        (
            lambda: Claim.paper_only("a beats b", "Table 0", beats(A, B), silent=" "),
            "why it is silent",
        ),
        (
            lambda: Claim(
                statement="a", source="b", paper=(beats(A, B),), small=(beats(A, B),), silent="why"
            ),
            "if and only if",
        ),
    ],
)
def test_nonsense_is_refused_and_shown(build: Callable[[], object], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        build()


def test_a_claim_has_the_comparisons_of_each_scale() -> None:
    claim = Claim(
        statement="a beats b", source="Table 0", paper=(beats(A, B, by=1),), small=(beats(A, B),)
    )
    assert [comparison.bound for scale in SCALES for comparison in claim.comparisons(scale)] == [
        1,
        0,
    ]
    only = Claim.paper_only("a beats b", "Table 0", beats(A, B), silent="no c")
    assert (len(only.comparisons("paper")), only.comparisons("small"), only.silent) == (
        1,
        (),
        "no c",
    )
