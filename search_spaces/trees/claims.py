"""Claims as a plain tree: what each states, and its comparisons in the language of claims."""

from collections.abc import Mapping, Set
from typing import get_args

from search_spaces.ablation import Ablation, Scale
from search_spaces.claim_language import LanguageError, claim_texts, read_comparisons
from search_spaces.claims import UNTRAINED, Claim, Comparison, Place
from search_spaces.layout import Layout
from search_spaces.scope import Where
from search_spaces.trees.reading import Piece, shown
from search_spaces.trees.values import conditions_in, where_tree

__all__ = ["claim_tree", "claims_in"]

CLAIM_KEYS = ("statement", "source", "holds", "paper", "small", "silent", "asked_where")
MOST_NAMED = 12  # cells in a message
SCALES: tuple[Scale, ...] = get_args(Scale)

Layouts = Mapping[Scale, Layout | None]


def claims_in(
    piece: Piece, layouts: Layouts, *, source: str, metric: str, untrained: bool
) -> tuple[Claim, ...]:
    """Read claims on cells that are compared by `metric`; `source` is theirs unless they say it.

    A text alone is a claim that is stated by itself.
    """
    if not isinstance(piece.value, list | tuple):
        piece.say("is to be a list of claims")
        return ()
    reading = _Reading(layouts, source, metric, untrained)
    found = [claim for one in piece.items() if (claim := reading.claim(one))]
    statements = [claim.statement for claim in found]
    if twice := sorted({one for one in statements if statements.count(one) > 1}):
        piece.say(f"claims something twice: {'; '.join(twice)}")
    return tuple(found)


class _Reading:
    """What claims are read against."""

    def __init__(self, layouts: Layouts, source: str, metric: str, untrained: bool) -> None:
        self._layouts, self._source, self._metric = layouts, source, metric
        self._untrained = untrained

    def claim(self, piece: Piece) -> Claim | None:
        before = len(piece.problems)
        if isinstance(piece.value, str):
            statement: str | None = piece.value
            source, silent = self._source, ""
            holds = dict.fromkeys(SCALES, piece)
            where: tuple[Where, ...] = ()
        else:
            parts = piece.mapping(CLAIM_KEYS)
            holds = {scale: parts[scale] for scale in SCALES if scale in parts}
            if "holds" in parts:
                if holds:
                    piece.say("has holds, which is for both scales, and one of a scale")
                holds = dict.fromkeys(SCALES, parts["holds"])
            if not holds and isinstance(piece.value, Mapping):
                piece.say("needs holds: what must be true, such as `holds: 0.1 > 0.5`")
            own = next(iter(holds.values()), piece)
            statement = parts["statement"].text() if "statement" in parts else _stated(own)
            source = parts["source"].text() or "" if "source" in parts else self._source
            silent = parts["silent"].text() or "" if "silent" in parts else ""
            where = conditions_in(parts["asked_where"]) if "asked_where" in parts else ()

        found = {
            scale: self._comparisons(holds[scale], scale) if scale in holds else ()
            for scale in SCALES
        }
        if len(piece.problems) > before or None in self._layouts.values():
            return None
        return piece.attempt(
            lambda: Claim(
                statement=statement or "",
                source=source,
                paper=found["paper"],
                small=found["small"],
                silent=silent,
                asked_where=where,
            )
        )

    def _comparisons(self, piece: Piece, scale: Scale) -> tuple[Comparison, ...]:
        layout = self._layouts[scale]
        if layout is None:  # what is wrong with it is said, and claims on it mean nothing
            return ()
        pieces = piece.items() if isinstance(piece.value, list | tuple) else [piece]
        cells = {cell.at for cell in layout.cells}
        known = cells | {UNTRAINED} if self._untrained else cells
        return tuple(
            comparison
            for one in pieces
            for comparison in self._read(one, layout, cells)
            if _is_there(comparison, known, one)
        )

    def _read(self, piece: Piece, layout: Layout, cells: Set[Place]) -> tuple[Comparison, ...]:
        """What a text asks for; nothing, and its problem, if it is no claim."""
        if not isinstance(piece.value, str):
            piece.say(f"is to be a text such as `0.1 > 0.5`, not {shown(piece.value)}")
            return ()
        try:
            return read_comparisons(piece.value, layout.axes, cells, self._metric)
        except LanguageError as error:
            piece.say(f"{shown(piece.value)}, {error}")
            return ()


def _stated(piece: Piece) -> str:
    """What a claim says where no statement does: its first comparison."""
    match piece.value:
        case str(text) | [str(text), *_]:
            return text
        case _:
            return ""


def _is_there(comparison: Comparison, known: Set[Place], piece: Piece) -> bool:
    """Whether the question has the cells that are compared; says it where it has not."""
    absent = list(dict.fromkeys(term.at for term in comparison.terms if term.at not in known))
    if not absent:
        return True
    named = ", ".join(repr(" · ".join(at)) for at in absent)
    cells = ", ".join(" · ".join(at) for at in sorted(known)[:MOST_NAMED])
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    piece.say(f"{named}: no such cell; there are {cells}{more}")
    return False


def claim_tree(claim: Claim, ablation: Ablation) -> dict[str, object]:
    """Write a claim of an ablation, as `claims_in` reads it."""
    tree: dict[str, object] = {"statement": claim.statement}
    if claim.source != ablation.source:
        tree["source"] = claim.source
    of_scale: dict[Scale, tuple[Comparison, ...]] = {"paper": claim.paper, "small": claim.small}
    written = {
        scale: claim_texts(comparisons, ablation.layout(scale).axes)
        for scale, comparisons in of_scale.items()
    }
    if written["paper"] == written["small"]:
        tree["holds"] = written["paper"]
    else:
        tree |= {scale: found for scale, found in written.items() if found}
    if claim.silent:
        tree["silent"] = claim.silent
    if claim.asked_where:
        tree["asked_where"] = [where_tree(one) for one in claim.asked_where]
    return tree
