"""Claims as a plain tree: texts in the language of claims, or their terms one by one."""

from collections.abc import Mapping, Set
from typing import get_args

from search_spaces.ablation import Ablation, Scale
from search_spaces.claims import UNTRAINED, Claim, Comparison, Event, Place, Term
from search_spaces.layout import Layout
from search_spaces.scope import Where
from search_spaces.tree_reading import Piece
from search_spaces.value_tree import conditions_in, where_tree

__all__ = ["claim_tree", "claims_in"]

CLAIM_KEYS = ("statement", "source", "holds", "paper", "small", "silent", "asked_where")
COMPARISON_KEYS = ("label", "terms", "bound", "relation", "event", "margin")
TERM_KEYS = ("at", "weight", "metric")
EVENT_KEYS = ("side", "value")
MOST_NAMED = 12  # cells in a message
SCALES: tuple[Scale, ...] = get_args(Scale)

Layouts = Mapping[Scale, Layout | None]


def claims_in(piece: Piece, layouts: Layouts, *, source: str, untrained: bool) -> tuple[Claim, ...]:
    """Read claims; `source` is theirs unless they say another one.

    A text alone is a claim that is stated by its comparison.
    """
    if not isinstance(piece.value, list | tuple):
        piece.say("is to be a list of claims")
        return ()
    reading = _Reading(layouts, source, untrained)
    found = [claim for one in piece.items() if (claim := reading.claim(one))]
    statements = [claim.statement for claim in found]
    if twice := sorted({one for one in statements if statements.count(one) > 1}):
        piece.say(f"claims something twice: {'; '.join(twice)}")
    return tuple(found)


class _Reading:
    """What claims are read against."""

    def __init__(self, layouts: Layouts, source: str, untrained: bool) -> None:
        self._layouts, self._source, self._untrained = layouts, source, untrained

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
        known = {cell.at for cell in layout.cells} | ({UNTRAINED} if self._untrained else set())
        return tuple(
            comparison
            for one in pieces
            for comparison in _read(one)
            if _is_there(comparison, known, one)
        )


def _stated(piece: Piece) -> str:
    """What a claim says where no statement does: its first comparison."""
    match piece.value:
        case str(text) | [str(text), *_] | {"label": str(text)} | [{"label": str(text)}, *_]:
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


def _read(piece: Piece) -> tuple[Comparison, ...]:
    if isinstance(piece.value, str):
        piece.say("is to be written term by term, with `label:` and `terms:`")
        return ()
    comparison = _term_by_term(piece)
    return () if comparison is None else (comparison,)


def _term_by_term(piece: Piece) -> Comparison | None:
    before = len(piece.problems)
    parts = piece.mapping(COMPARISON_KEYS)
    if missing := [key for key in COMPARISON_KEYS[:2] if key not in parts]:
        if isinstance(piece.value, Mapping):
            piece.say(f"needs {' and '.join(missing)}")
        return None
    label = parts["label"].text()
    terms = [term for one in parts["terms"].items() if (term := _term(one))]
    bound = parts["bound"].number() if "bound" in parts else 0.0
    relation = parts["relation"].one_of(("above", "within")) if "relation" in parts else "above"
    margin = parts["margin"].number() if "margin" in parts else None
    event = _event(parts["event"]) if "event" in parts else None
    if len(piece.problems) > before or label is None or bound is None:
        return None
    return piece.attempt(
        lambda: Comparison(
            label=label,
            terms=tuple(terms),
            bound=bound,
            relation="within" if relation == "within" else "above",
            event=event,
            margin=margin,
        )
    )


def _term(piece: Piece) -> Term | None:
    parts = piece.mapping(TERM_KEYS)
    if "at" not in parts:
        if isinstance(piece.value, Mapping):
            piece.say("needs at")
        return None
    at, metric = parts["at"].texts(), parts["metric"].text() if "metric" in parts else None
    weight = parts["weight"].number() if "weight" in parts else 1.0
    if weight is None:
        return None
    return piece.attempt(lambda: Term(at=at, weight=weight, metric=metric))


def _event(piece: Piece) -> Event | None:
    parts = piece.mapping(EVENT_KEYS)
    side = parts["side"].one_of(("above", "below")) if "side" in parts else "above"
    value = parts["value"].number() if "value" in parts else 0.5
    if side is None or value is None:
        return None
    return Event(side="below" if side == "below" else "above", value=value)


def claim_tree(claim: Claim, ablation: Ablation) -> dict[str, object]:
    """Write a claim of an ablation, as `claims_in` reads it."""
    tree: dict[str, object] = {"statement": claim.statement}
    if claim.source != ablation.source:
        tree["source"] = claim.source
    of_scale: dict[Scale, tuple[Comparison, ...]] = {"paper": claim.paper, "small": claim.small}
    written = {
        scale: [_comparison_tree(one) for one in comparisons]
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


def _comparison_tree(comparison: Comparison) -> object:
    terms = [
        {"at": list(term.at) if len(term.at) > 1 else term.at[0], "weight": term.weight}
        | ({"metric": term.metric} if term.metric else {})
        for term in comparison.terms
    ]
    tree: dict[str, object] = {"label": comparison.label, "terms": terms}
    if comparison.bound:
        tree["bound"] = comparison.bound
    if comparison.relation != "above":
        tree["relation"] = comparison.relation
    if comparison.event is not None:
        tree["event"] = {"side": comparison.event.side, "value": comparison.event.value}
    if comparison.margin is not None:
        tree["margin"] = comparison.margin
    return tree
