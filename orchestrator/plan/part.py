"""The part of a question that `--only` asks for: from what was typed to labels of axes. Pure."""

import re
from collections.abc import Iterator, Sequence

from orchestrator.errors import PlanError
from orchestrator.plan.kept import KeptPlan
from search_spaces import Ablation, Axis, Layout
from search_spaces.ablation import Scale
from search_spaces.part import part_of
from workloads.spelling import did_you_mean

__all__ = ["asked_part", "check_only", "is_sweep_of", "read_only"]

_PIECE = re.compile(r'\s*(?:"([^"]*)"|([^,]*))\s*(?:,|$)')
Found = dict[str, tuple[str, ...]]


def asked_part(ablation: Ablation, scale: Scale, texts: Sequence[str]) -> Ablation:
    """Return the part of an ablation that `--only` names; all of it where nothing is named.

    Raises one PlanError with every problem.
    """
    if not texts:
        return ablation
    layout = (ablation.whole or ablation).layout(scale)
    only = read_only(texts, layout)
    try:
        return part_of(ablation, scale, only)
    except ValueError as error:
        raise PlanError([f"--only {' '.join(texts)}: {error}"]) from None


def check_only(ablations: Sequence[Ablation], texts: Sequence[str]) -> None:
    """Raise PlanError unless `--only` names labels that a scale of a single ablation has."""
    if not texts or not ablations:
        return
    if len(ablations) > 1:
        names = ", ".join(one.name for one in ablations)
        raise PlanError([f"--only {texts[0]}: is asked of one ablation, not of {names}"])
    try:
        asked_part(ablations[0], "small", texts)
    except PlanError:
        asked_part(ablations[0], "paper", texts)


def is_sweep_of(ablation: Ablation, texts: Sequence[str], plan: KeptPlan) -> bool:
    """Tell whether a kept plan is of the part that `--only` names; of the whole without it.

    A scale that lacks the labels has no such sweep.
    """
    try:
        only = asked_part(ablation, plan["scale"], texts).only
    except PlanError:
        return False
    return {name: list(labels) for name, labels in only.items()} == plan.get("only", {})


def read_only(texts: Sequence[str], layout: Layout) -> Found:
    """Read `crop,color` or `AXIS=crop,color`, each a text, as labels by the name of their axis.

    An axis may be named by its beginning. Labels without one belong to the axis that has all of
    them, or to every axis with the same labels. Double quotes keep a comma within a label; they are
    needed only where another label would be read. Raises one PlanError with every problem.
    """
    found: Found = {}
    problems = []
    for text in texts:
        try:
            of_text = _read(text, layout.axes)
        except ValueError as error:
            problems.append(f"--only {text}: {error}")
            continue
        if twice := [name for name in of_text if name in found]:
            problems.append(f"--only {text}: {twice[0]} is there twice; give its labels together")
        found |= of_text
    if problems:
        raise PlanError(problems)
    return found


def _read(text: str, axes: Sequence[Axis]) -> Found:
    """The labels of one text. Raises ValueError."""
    name, equals, labels = text.partition("=")
    if equals and (axis := _axis_named(name.strip(), axes)):
        return {axis.name: _labels(labels, [axis])}
    if equals and name.strip() and not any("=" in label for axis in axes for label in axis.labels):
        known = ", ".join(axis.name for axis in axes)
        near = did_you_mean(name.strip(), [axis.name for axis in axes])
        raise ValueError(f"{name.strip()!r} begins no axis, or several{near} (the axes: {known})")

    every = _labels(text, axes)
    one_for_all = [axes_alike for axes_alike in _alike(axes) if {*every} <= {*axes_alike[0].labels}]
    if len(one_for_all) == 1:
        return {axis.name: every for axis in one_for_all[0]}

    found: dict[str, list[str]] = {}
    for label in every:
        having = [axes_alike for axes_alike in _alike(axes) if label in axes_alike[0].labels]
        if len(having) > 1:
            names = ", ".join(axis.name for alike in having for axis in alike)
            raise ValueError(f"{label} is a label of several axes ({names}); write AXIS=LABELS")
        for axis in having[0]:
            found.setdefault(axis.name, []).append(label)
    return {name: tuple(of_axis) for name, of_axis in found.items()}


def _alike(axes: Sequence[Axis]) -> list[list[Axis]]:
    """The axes by their labels: those that have the same ones are taken together."""
    found: dict[tuple[str, ...], list[Axis]] = {}
    for axis in axes:
        found.setdefault(axis.labels, []).append(axis)
    return [*found.values()]


def _axis_named(name: str, axes: Sequence[Axis]) -> Axis | None:
    """The axis of this name, or the only one that begins so."""
    for axis in axes:
        if axis.name == name:
            return axis
    near = [axis for axis in axes if name and axis.name.casefold().startswith(name.casefold())]
    return near[0] if len(near) == 1 else None


def _labels(text: str, axes: Sequence[Axis]) -> tuple[str, ...]:
    """The labels in a text, a label with commas before its pieces. Raises ValueError."""
    known = {label for axis in axes for label in axis.labels}
    pieces = [*_pieces(text)]
    if not pieces:
        raise ValueError(f"names no label {_listed(axes)}")
    found, unknown, start = list[str](), list[str](), 0
    while start < len(pieces):
        ends = range(len(pieces), start, -1)
        joined = {end: ", ".join(pieces[start:end]) for end in ends}
        end = next((end for end in ends if joined[end] in known), start + 1)
        (found if joined[end] in known else unknown).append(joined[end])
        start = end
    if unknown:
        problems = [f"no label {one!r}{did_you_mean(one, known)}" for one in unknown]
        raise ValueError(f"{', '.join(problems)} {_listed(axes)}")
    return tuple(dict.fromkeys(found))


def _pieces(text: str) -> Iterator[str]:
    """What stands between commas, without quotes; nothing of what is empty."""
    for quoted, plain in _PIECE.findall(text):
        if piece := quoted or plain.strip():
            yield piece


def _listed(axes: Sequence[Axis]) -> str:
    names = "; ".join(
        f"{' and '.join(axis.name for axis in alike)}: "
        + ", ".join(f'"{label}"' if "," in label else label for label in alike[0].labels)
        for alike in _alike(axes)
    )
    return f"(the labels of {names})"
