"""Milliseconds: a part of a question is its cells and claims at some labels, counted by hand."""

import pytest

from search_spaces import ABLATIONS, UNTRAINED, Ablation
from search_spaces.ablation import Scale
from search_spaces.part import part_of

SCALES: tuple[Scale, ...] = ("paper", "small")


def _halves(ablation: Ablation, scale: Scale) -> list[dict[str, tuple[str, ...]]]:
    """Some parts: of each axis by itself the first labels, and the last of all axes together."""
    axes = ablation.layout(scale).axes
    first = [{axis.name: axis.labels[: (len(axis.labels) + 1) // 2]} for axis in axes]
    return [*first, {axis.name: axis.labels[len(axis.labels) // 2 :] for axis in axes}]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("ablation", ABLATIONS.values(), ids=lambda one: one.name)
def test_cells_are_those_at_the_labels_and_claims_those_with_all_of_their_cells(
    ablation: Ablation, scale: Scale
) -> None:
    whole = ablation.layout(scale)
    for only in _halves(ablation, scale):
        there = [
            cell
            for cell in whole.cells
            if all(
                cell.at[number] in only.get(axis.name, axis.labels)
                for number, axis in enumerate(whole.axes)
            )
        ]
        if not there:  # a sparse layout
            with pytest.raises(ValueError, match="no cell"):
                part_of(ablation, scale, only)
            continue
        part = part_of(ablation, scale, only)
        assert list(part.layout(scale).cells) == there

        places = {UNTRAINED, *(cell.at for cell in there)}
        for before, after in zip(ablation.claims, part.claims, strict=True):
            terms = [term.at for one in before.comparisons(scale) for term in one.terms]
            kept = before.comparisons(scale) if places.issuperset(terms) else ()
            assert after.comparisons(scale) == kept
            assert after.statement == before.statement


def test_a_claim_that_is_not_asked_names_a_cell_that_is_left_out() -> None:
    part = part_of(ABLATIONS["head-depth"], "small", {"linear layers of the head": ("0", "2")})
    for claim in part.claims:
        if not claim.comparisons("small"):
            assert claim.why_not_asked("small").startswith("not asked here: cell ")
            assert claim.why_not_asked("small").endswith(" is left out by --only")
    line, *claims = part.not_asked("small")
    assert "2 of 5 cells" in line
    assert len(claims) == sum(not claim.comparisons("small") for claim in part.claims)


def test_all_labels_are_the_whole_question_and_a_part_of_a_part_is_one_of_the_whole() -> None:
    ablation = ABLATIONS["few-augmentations"]
    first, second = (axis.name for axis in ablation.small.axes)
    labels = ablation.small.axes[0].labels
    assert part_of(ablation, "small", {first: labels}) is ablation
    assert part_of(ablation, "small", {}) is ablation
    part = part_of(ablation, "small", {first: ("crop",)})
    assert part.whole is ablation
    assert part_of(part, "small", {second: ("color",)}).only == {second: ("color",)}
    assert part_of(part, "small", {}) is ablation


def test_labels_keep_the_order_of_their_axis() -> None:
    part = part_of(
        ABLATIONS["temperature"], "small", {"l2 norm, temperature": ["no, 10", "yes, 1"]}
    )
    assert part.only == {"l2 norm, temperature": ("yes, 1", "no, 10")}
    assert part.small.axes[0].labels == ("yes, 1", "no, 10")


def test_unknown_axes_and_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="no axis"):
        part_of(ABLATIONS["temperature"], "small", {"temperature": ("1",)})
    with pytest.raises(ValueError, match="has no"):
        part_of(ABLATIONS["temperature"], "small", {"l2 norm, temperature": ("yes, 2",)})


def test_words_alone_are_no_logarithmic_axis() -> None:
    ablation = ABLATIONS["head"]
    axis = ablation.small.axes[1]
    assert axis.log
    part = part_of(ablation, "small", {axis.name: ("width of h",)})
    assert part.small.axes[1].positions() == (0.0,)
