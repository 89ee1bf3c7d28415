"""Milliseconds: where questions are asked, and that claims elsewhere say why they are not."""

from collections.abc import Callable

import pytest

from orchestrator.plan import build
from orchestrator.verdicts import judge
from search_spaces import ABLATIONS, Ablation, Axis, Cell, Layout
from search_spaces.ablation import Scale
from search_spaces.claims import Claim, beats
from search_spaces.scope import Where, unmet
from search_spaces.simclr_paper.conditions import (
    BLUR_ACTS,
    FOR_CIFAR,
    FULL_STRENGTH,
    LOW_TEMPERATURE,
)
from workloads.simclr.presets import preset
from workloads.simclr.views.filters import blur_kernel_size

LARS = Where(field="optim.name", among=("lars",), because="it is claimed with LARS")


# Conditions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "recipe", "met"),
    [
        (LARS, {"optim.name": "lars"}, True),
        (LARS, {"optim.name": "adamw"}, False),
        (LARS, {}, True),
        (Where(field="a", because="b", none_of=("x",)), {"a": "y"}, True),
        (Where(field="a", because="b", none_of=("x",)), {"a": "x"}, False),
        (Where(field="a", because="b", at_least=2), {"a": 2}, True),
        (Where(field="a", because="b", at_least=2), {"a": 1.9}, False),
        (Where(field="a", because="b", at_most=2), {"a": 2}, True),
        (Where(field="a", because="b", at_most=2), {"a": 2.1}, False),
        (Where(field="a", because="b", at_least=2, times="f"), {"a": 10, "f": 0.1}, False),
        (Where(field="a", because="b", at_least=2, times="f"), {"a": 10, "f": 0.2}, True),
        (Where(field="a", because="b", at_least=2, unless="c"), {"a": 3, "c": 1}, False),
        (Where(field="a", because="b", at_least=2, unless="c"), {"a": 3, "c": None}, True),
        (Where(field="a", because="b", at_least=2, unless="c"), {"a": 1, "c": 3}, True),
    ],
)
def test_conditions_on_a_recipe(where: Where, recipe: dict[str, object], met: bool) -> None:
    assert (where.unmet(recipe) == "") is met


def test_an_unmet_condition_says_what_the_paper_has_and_what_the_recipe_has() -> None:
    assert LARS.unmet({"optim.name": "adamw"}) == (
        "it is claimed with LARS; this recipe has optim.name=adamw"
    )
    size = Where(field="size", unless="own", because="it takes 20", at_least=20)
    assert size.unmet({"size": 32, "own": 16}).endswith("this recipe has own=16")
    assert unmet((LARS, size), {"optim.name": "lars", "size": 9}) == (
        "it takes 20; this recipe has size=9"
    )
    own = Where(field="size", because="it takes 20", at_least=20, replaced=True)
    assert own.unmet({"size": 9}) == (
        "it takes 20; the recipe's own setting, which the cells replace, is size=9"
    )


@pytest.mark.parametrize("where", [FOR_CIFAR, FULL_STRENGTH, LOW_TEMPERATURE])
def test_what_cells_replace_is_told_as_the_recipes_own_setting(where: Where) -> None:
    """Every cell of these ablations has a value of its own, beside which the recipe's puzzles."""
    reason = where.unmet({where.field: 0.25})
    assert reason.endswith(f"own setting, which the cells replace, is {where.field}=0.25")


@pytest.mark.parametrize(
    ("build_it", "shown"),
    [
        (lambda: Where(field=" ", because="b", among=("x",)), "needs a field and a reason"),
        (lambda: Where(field="a", because="", among=("x",)), "needs a field and a reason"),
        (lambda: Where(field="a", because="b"), "allows everything"),
    ],
)
def test_conditions_without_sense_are_refused(build_it: Callable[[], object], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        build_it()


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.3])
@pytest.mark.parametrize("side", [8, 16, 19, 20, 24, 32, 224])
def test_blur_is_asked_where_its_kernel_has_more_than_one_pixel(side: int, fraction: float) -> None:
    recipe: dict[str, object] = {"data.image_size": side, "augment.blur.kernel_fraction": fraction}
    assert (BLUR_ACTS.unmet(recipe) == "") is (blur_kernel_size(side, fraction) > 1)


# Ablations on recipes -----------------------------------------------------------------------------

ON_LARS = (LARS,)
A, B, C = ("a",), ("b",), ("c",)


def ablation(*claims: Claim) -> Ablation:
    cells = tuple(
        Cell(at=at, values={"x": at[0]}, asked_where=ON_LARS if at == C else ()) for at in (A, B, C)
    )
    layout = Layout(axes=(Axis(name="x", labels=("a", "b", "c")),), cells=cells, note="A note.")
    return Ablation(
        name="x",
        title="x",
        question="x?",
        source="x",
        paper=layout,
        small=layout,
        figure="table",
        claims=claims,
    )


def test_cells_without_a_meaning_are_left_out_with_their_comparisons() -> None:
    whole = ablation(
        Claim.alike("a is best.", "x", beats(A, B), beats(A, C)),
        Claim.alike("b is better.", "x", beats(B, C)),
    )
    assert whole.asked_of({"optim.name": "lars"}) is whole
    assert whole.asked_of({}) is whole

    asked = whole.asked_of({"optim.name": "sgd"})
    assert [cell.at for cell in asked.small.cells] == [A, B]
    assert asked.small.axes == whole.small.axes
    reason = "it is claimed with LARS; this recipe has optim.name=sgd"
    assert asked.small.note == f"A note. Not asked here, 1 of 3 cells: {reason}."
    best, better = asked.claims
    assert [one.label for one in best.comparisons("small")] == ["a > b"]
    assert best.not_here == ""
    assert (better.comparisons("small"), better.not_here) == ((), reason)
    assert asked.not_asked("small") == (
        f"Not asked here, 1 of 3 cells: {reason}.",
        f"not asked here: {reason}: b is better.",
    )
    assert asked.asked_of({"optim.name": "sgd"}) is asked


def test_a_claim_outside_its_setting_has_no_verdict_but_the_reason() -> None:
    whole = ablation(Claim.alike("a is better.", "x", beats(A, B), where=ON_LARS))
    (claim,) = whole.asked_of({"optim.name": "adamw"}).claims
    values = {
        (A, None): dict(enumerate([2.0, 2.1, 2.2, 2.1, 2.0])),
        (B, None): dict.fromkeys(range(5), 1.0),
    }
    verdict = judge(claim, "small", values)
    assert verdict.verdict == "not asked"
    assert verdict.sentence == (
        "not asked here: it is claimed with LARS; this recipe has optim.name=adamw"
    )
    (claim,) = whole.asked_of({"optim.name": "lars"}).claims
    assert judge(claim, "small", values).verdict == "reproduced"


@pytest.mark.parametrize(
    "name", [name for name, one in ABLATIONS.items() if one.workload == "simclr"]
)
def test_everything_is_asked_of_the_papers_own_setting(name: str) -> None:
    one = ABLATIONS[name]
    assert one.asked_of(preset(one.setting).flat()) is one


# By preset: the beginnings of claims that are not asked, and how many cells are left out.
NOT_ASKED: dict[tuple[str, str], tuple[tuple[str, ...], int]] = {
    ("batch-size", "shapes"): (("Square-root scaling",), 0),
    ("batch-size", "cifar10-small"): (("Square-root scaling",), 0),
    ("batch-size", "cifar10"): ((), 0),
    ("color-strength", "textures"): (("Augmentation without benefit",), 0),
    ("color-strength", "cifar10"): (
        (
            "Stronger color distortion improves",
            "AutoAugment",
            "Contrastive learning gains",
            "Augmentation without benefit",
        ),
        0,
    ),
    ("color-strength", "digits"): (
        (
            "Stronger color distortion improves",
            "AutoAugment",
            "Contrastive learning gains",
            "Augmentation without benefit",
        ),
        2,
    ),
    ("temperature", "textures"): ((), 0),
    ("temperature", "shapes"): ((), 0),
    ("temperature", "cifar10-small"): (("With l2 norm, accuracy rises",), 0),
    ("batch-temperature", "cifar10"): ((), 0),
    ("batch-temperature", "textures"): (("After long training",), 0),
    ("flip-and-blur", "cifar10-small"): (("Blur helps",), 0),
    ("flip-and-blur", "digits"): (("Blur helps",), 2),
    ("augmentations", "digits"): (("Averaged over",), 13),
    ("augmentations", "cifar10-small"): ((), 0),
    ("probes", "digits"): ((), 2),
    ("probes", "cifar10"): ((), 0),
    ("supervised", "digits"): (("Supervised learning has no",), 3),
}


@pytest.mark.parametrize(("name", "of"), NOT_ASKED)
def test_what_is_not_asked_of_small_presets(name: str, of: str) -> None:
    statements, cells = NOT_ASKED[name, of]
    plan = build(ABLATIONS[name], preset(of))
    assert plan.ablation is not None
    found = [claim.statement for claim in plan.ablation.claims if claim.not_here]
    assert len(found) == len(statements)
    assert all(map(str.startswith, found, statements))
    left_out = len(ABLATIONS[name].small.cells) - len(plan.ablation.small.cells)
    assert left_out == cells
    places = {cell.at for cell in plan.cells if cell.role == "cell"}
    assert places <= {cell.at for cell in plan.ablation.small.cells}


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_the_bounds_of_no_comparison_are_the_papers_unless_the_claim_says_ours(
    scale: Scale,
) -> None:
    """The paper's own: 3 and 10 points of section 4.2, chance of Table 3, and AMDIM's accuracy."""
    of_the_paper = ("by 3 points", "more than 10 points", "better than by chance", "AMDIM's 91.2")
    for one in ABLATIONS.values():
        if one.workload != "simclr":
            continue
        for claim in one.claims:
            if any(comparison.bound for comparison in claim.comparisons(scale)):
                said = any(words in claim.statement for words in (*of_the_paper, "our bound"))
                assert said, claim.statement
