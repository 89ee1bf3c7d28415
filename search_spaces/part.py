"""A part of a question: the cells at some labels of its axes, and the claims that they can answer.

The cells are those of the whole question, value by value, so that both share their runs. A claim is
asked of a part if the part has every cell that it compares: of fewer it would be another claim.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from search_spaces.ablation import Ablation, Overlay, Scale
from search_spaces.claims import Claim, Place
from search_spaces.layout import Axis, Layout

__all__ = ["part_of"]

Labels = Mapping[str, Collection[str]]  # of some axes, by their names


def part_of(ablation: Ablation, scale: Scale, only: Labels) -> Ablation:
    """Return the part of an ablation, at a scale, that has these labels of these axes.

    It is the ablation itself where nothing is left out. The other scale stays whole. Raises
    ValueError for unknown axes and labels, and where no cell is left.
    """
    whole = ablation.whole or ablation
    layout = whole.layout(scale)
    _check(layout, only)
    kept = {
        axis.name: tuple(label for label in axis.labels if label in only[axis.name])
        for axis in layout.axes
        if axis.name in only and not set(axis.labels) <= set(only[axis.name])
    }
    if not kept:
        return whole

    part = _layout(layout, kept)
    if part is None:
        raise ValueError("no cell has these labels together")
    without = {cell.at for cell in layout.cells} - {cell.at for cell in part.cells}
    return replace(
        whole,
        title=f"{whole.title} (a part)",
        paper=part if scale == "paper" else whole.paper,
        small=part if scale == "small" else whole.small,
        claims=tuple(_claim(claim, scale, without) for claim in whole.claims),
        overlays=tuple(_overlays(whole, part)),
        only=kept,
        whole=whole,
    )


def _check(layout: Layout, only: Labels) -> None:
    axes = {axis.name: axis for axis in layout.axes}
    if unknown := [name for name in only if name not in axes]:
        raise ValueError(f"no axis {unknown!r}; there are {[*axes]!r}")
    for name, labels in only.items():
        if lacking := [label for label in labels if label not in axes[name].labels]:
            raise ValueError(f"axis {name!r}: has no {lacking!r}, but {axes[name].labels!r}")


def _layout(layout: Layout, kept: Labels) -> Layout | None:
    """The cells at these labels; None where there are none."""

    def stays(at: Place) -> bool:
        named = zip(at, layout.axes, strict=True)
        return all(label in kept.get(axis.name, (label,)) for label, axis in named)

    cells = tuple(cell for cell in layout.cells if stays(cell.at))
    if not cells or len(cells) == len(layout.cells):
        return layout if cells else None
    labels = "; ".join(f"{name}: {', '.join(some)}" for name, some in kept.items())
    line = (
        f"A part of the question, {len(cells)} of {len(layout.cells)} cells, by --only ({labels})."
    )
    return replace(
        layout,
        axes=tuple(_axis(axis, kept) for axis in layout.axes),
        cells=cells,
        note=f"{layout.note} {line}".strip(),
        left_out=(*layout.left_out, line),
    )


def _axis(axis: Axis, kept: Labels) -> Axis:
    labels = tuple(label for label in axis.labels if label in kept.get(axis.name, (label,)))
    has_number = any(_is_number(label) for label in labels)
    return replace(axis, labels=labels, log=axis.log and has_number)


def _is_number(label: str) -> bool:
    return label.removeprefix("x ")[:1].isdigit()


def _claim(claim: Claim, scale: Scale, without: Collection[Place]) -> Claim:
    """The claim, not asked where it compares a cell that is left out."""
    compared = (term.at for one in claim.comparisons(scale) for term in one.terms)
    lost = next((at for at in compared if at in without), None)
    if lost is None:
        return claim
    return replace(claim, not_here=f"cell {' · '.join(lost)} is left out by --only")


def _overlays(whole: Ablation, part: Layout) -> Iterable[Overlay]:
    """The predictions that belong to a map that is still drawn."""
    maps = part.axes[2].labels if len(part.axes) > 2 else ()
    for overlay in whole.overlays:
        if not maps or not overlay.only or set(overlay.only) & set(maps):
            yield overlay
