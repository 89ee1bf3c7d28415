"""A question as a plain tree, as files hold it: written by people, and by us to be read again.

`ablation_of(tree_of(ablation))` is the ablation. People may leave out what has a default, and give
axes whose values make the grid in place of cells.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args

from search_spaces.ablation import AXES_OF, Ablation, Figure, Overlay, Scale, Varied
from search_spaces.layout import Layout
from search_spaces.trees.claims import claim_tree, claims_in
from search_spaces.trees.layout import LAYOUT_KEYS, layout_in, layout_tree
from search_spaces.trees.reading import Keys, Piece, QuestionError
from search_spaces.trees.values import values_in, values_tree

__all__ = [
    "BASE_KEYS",
    "KEYS",
    "OVERLAY_KEYS",
    "OWN",
    "Base",
    "Keys",
    "QuestionError",
    "ablation_of",
    "base_of",
    "tree_of",
]

T = TypeVar("T")
NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
OWN = "own question"  # the source of a question that is no paper's
BASE_KEYS = ("preset", "presets", "set")
KEYS = (
    "name",
    "title",
    "question",
    "source",
    *BASE_KEYS,
    "workload",
    "setting",
    "extension",
    "fixed",
    *LAYOUT_KEYS,
    "scales",
    "metric",
    "tuned_by",
    "counts_if",
    "untrained",
    "vary",
    "claims",
    "figure",
    "against",
    "overlays",
)
EXAMPLES = {"name": "my-question", "question": "Which temperature is best?"}
SETTINGS = ("imagenet-paper", "cifar10-paper")
OVERLAY_KEYS = ("label", "points", "only")
SCALES: tuple[Scale, ...] = get_args(Scale)
FIGURES: dict[int, Figure] = {1: "table", 2: "heatmap", 3: "maps"}  # by the number of axes
_DEFAULT = {one.name: one.default for one in fields(Ablation)} | {"extension": True, "source": OWN}
METRICS = {"two-layer-cnn": "test_error"}  # of a question that names none; elsewhere linear_top1
_TEXTS = ("title", "question", "source", "workload", "metric", "tuned_by", "counts_if", "against")


@dataclass(frozen=True)
class Base:
    """The recipes that a question is asked on: presets, and fields that are set on each.

    No preset: the workload's default.
    """

    presets: tuple[str, ...] = ()
    values: Mapping[str, object] | None = None


def base_of(tree: Mapping[str, Any]) -> Base:
    """Read which recipes a question is to be asked on. Raises QuestionError with every problem."""
    pieces, owner = _pieces(tree)
    return _checked(_base(pieces), owner)


def ablation_of(tree: Mapping[str, Any]) -> Ablation:
    """Read a question. Raises QuestionError with everything that is wrong with it."""
    pieces, owner = _pieces(tree)
    _base(pieces)
    name = pieces["name"].text() if "name" in pieces else None
    for key, example in EXAMPLES.items():
        if key not in pieces:
            owner.say(f"needs a {key}, such as `{key}: {example}`")
    layouts = _layouts(pieces, owner)
    given = {"source": OWN, "extension": True, "title": name, **_given(pieces)}
    given.setdefault("metric", METRICS.get(given.get("workload", ""), _DEFAULT["metric"]))
    if "claims" in pieces:
        given["claims"] = claims_in(
            pieces["claims"],
            layouts,
            source=given["source"],
            metric=given["metric"],
            untrained=given.get("untrained", True),
        )
    if layouts["paper"] is not None:
        drawn = "points" if "against" in given else FIGURES.get(len(layouts["paper"].axes), "table")
        given.setdefault("figure", drawn)
    _check_together(pieces, given, layouts, name)
    if owner.problems:
        raise QuestionError(list(dict.fromkeys(owner.problems)))
    made = owner.attempt(lambda: Ablation(**{"claims": (), **given, "name": name}, **layouts))  # type: ignore[arg-type]
    return _checked(made, owner)


def _check_together(
    pieces: Mapping[str, Piece],
    given: Mapping[str, Any],
    layouts: Mapping[Scale, Layout | None],
    name: str | None,
) -> None:
    """Say where it stands what the parts of a question have against each other."""
    if name is not None and not re.fullmatch(NAME, name):
        pieces["name"].say(f"{name!r}: is to be lower-case words and numbers joined by hyphens")
    axes = {len(layout.axes) for layout in layouts.values() if layout is not None}
    drawn: Figure | None = given.get("figure")
    if "figure" in pieces and drawn is not None and not axes <= set(AXES_OF[drawn]):
        fitting = [figure for figure, numbers in AXES_OF.items() if axes <= set(numbers)]
        pieces["figure"].say(
            f"a {drawn} cannot have {max(axes)} axes; drawn can be {', '.join(fitting)}"
        )
    if "figure" in pieces and drawn is not None and (drawn == "points") != ("against" in given):
        pieces["figure"].say("points, and only points, are drawn `against:` another metric")
    for layout in layouts.values():
        for cell in layout.cells if layout is not None else ():
            own = {*cell.values}.union(*cell.candidates)
            for field in sorted(own & given.get("fixed", {}).keys()):
                pieces["fixed"].at(field, None).say("is set by cells, too")


def _given(pieces: Mapping[str, Piece]) -> dict[str, Any]:
    """What stands in a tree that neither layouts nor claims are made of."""
    given: dict[str, Any] = {
        key: text for key in _TEXTS if key in pieces and (text := pieces[key].text())
    }
    for key in ("extension", "untrained"):
        if key in pieces and (truth := pieces[key].truth()) is not None:
            given[key] = truth
    for key, choices in (("setting", SETTINGS), ("figure", get_args(Figure))):
        if key in pieces and (choice := pieces[key].one_of(choices)):
            given[key] = choice
    if "vary" in pieces:
        given["vary"] = _varied(pieces["vary"])
    if "fixed" in pieces:
        given["fixed"] = values_in(pieces["fixed"])
    if "overlays" in pieces:
        read = [_overlay(one) for one in pieces["overlays"].items()]
        given["overlays"] = tuple(one for one in read if one is not None)
    return given


def tree_of(ablation: Ablation) -> dict[str, Any]:
    """Write a question, with every cell at each scale."""
    tree: dict[str, Any] = {"name": ablation.name}
    for key in (*_TEXTS, "setting", "extension", "untrained", "figure"):
        value = getattr(ablation, key)
        # which metric is the default is another matter for each workload
        if value != _DEFAULT.get(key) or (key == "metric" and "workload" in tree):
            tree[key] = value
    further: dict[str, Any] = {
        "vary": list(ablation.vary),
        "fixed": values_tree(ablation.fixed),
        "overlays": [_overlay_tree(one) for one in ablation.overlays],
    }
    tree |= {key: value for key, value in further.items() if value}

    paper, small = layout_tree(ablation.paper), layout_tree(ablation.small)
    alike = {key: value for key, value in paper.items() if small.get(key) == value}
    apart = {
        scale: {key: value for key, value in layout.items() if key not in alike}
        for scale, layout in (("paper", paper), ("small", small))
    }
    tree |= alike
    if any(apart.values()):
        tree["scales"] = {scale: layout for scale, layout in apart.items() if layout}
    if ablation.claims:
        tree["claims"] = [claim_tree(one, ablation) for one in ablation.claims]
    return {key: tree[key] for key in KEYS if key in tree}


def _pieces(tree: Mapping[str, Any]) -> tuple[dict[str, Piece], Piece]:
    owner = Piece(tree, (), [])
    return owner.mapping(KEYS), owner


def _checked(made: T | None, owner: Piece) -> T:
    if owner.problems or made is None:
        raise QuestionError(list(dict.fromkeys(owner.problems)))
    return made


def _base(pieces: Mapping[str, Piece]) -> Base:
    presets = tuple(
        name for key in ("preset", "presets") if key in pieces for name in pieces[key].texts()
    )
    if "preset" in pieces and "presets" in pieces:
        pieces["presets"].say("stands for preset where there are several; give one of both")
    if "preset" in pieces and not isinstance(pieces["preset"].value, str):
        pieces["preset"].say("is to be one name; several are `presets: [...]`")
    if len(set(presets)) != len(presets):
        pieces["presets"].say("names one twice")
    return Base(presets, values_tree(values_in(pieces["set"])) if "set" in pieces else {})


def _varied(piece: Piece) -> tuple[Varied, ...]:
    """What each seed draws anew; the seed itself goes without saying."""
    known = ("seed", *get_args(Varied))
    pieces = piece.items() if isinstance(piece.value, list | tuple) else [piece]
    found = {name for one in pieces if (name := one.one_of(known))}
    return tuple(name for name in get_args(Varied) if name in found)


def _overlay(piece: Piece) -> Overlay | None:
    before = len(piece.problems)
    parts = piece.mapping(OVERLAY_KEYS)
    if missing := [key for key in OVERLAY_KEYS[:2] if key not in parts]:
        if isinstance(piece.value, Mapping):
            piece.say(f"needs {' and '.join(missing)}")
        return None
    label, points = parts["label"].text(), list[tuple[float, float]]()
    for one in parts["points"].items():
        numbers = [number.number() for number in one.items()]
        match numbers:
            case [float(x), float(y)]:
                points.append((x, y))
            case _:
                one.say("is to be two numbers, [x, y]")
    only = parts["only"].texts() if "only" in parts else ()
    if len(piece.problems) > before or label is None:
        return None
    return piece.attempt(lambda: Overlay(label=label, points=tuple(points), only=only))


def _overlay_tree(overlay: Overlay) -> dict[str, object]:
    tree: dict[str, object] = {
        "label": overlay.label,
        "points": [list(point) for point in overlay.points],
    }
    return tree | ({"only": list(overlay.only)} if overlay.only else {})


def _layouts(pieces: Mapping[str, Piece], owner: Piece) -> dict[Scale, Layout | None]:
    """The layout of each scale: what both have, with what each has of its own."""
    shared = {key: pieces[key] for key in LAYOUT_KEYS if key in pieces}
    own = pieces["scales"].mapping(SCALES) if "scales" in pieces else {}
    if not own:
        layout = layout_in(shared, owner)
        return dict.fromkeys(SCALES, layout)
    if "axes" not in shared and (bare := [scale for scale in SCALES if scale not in own]):
        pieces["scales"].say(f"has no {bare[0]}, and no axes stand beside it for both scales")
        return dict.fromkeys(SCALES)
    return {
        scale: layout_in(
            shared | (own[scale].mapping(LAYOUT_KEYS) if scale in own else {}),
            own.get(scale, owner),
        )
        for scale in SCALES
    }
