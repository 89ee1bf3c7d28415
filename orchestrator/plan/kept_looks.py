"""Looks at the claims of a sweep as the storage keeps them: plain data, as versions differ. Pure.

A look belongs to a comparison of a claim. It is kept once it was taken, with the part of the level
that it had, whoever looked: a round of a sweep, or a command that prints verdicts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.rounds import TakenLooks
from orchestrator.verdicts import ClaimVerdict, Look, merged

__all__ = ["KeptLook", "has_older_looks", "looks_in", "looks_of", "new_looks", "read_looks"]


class KeptLook(TypedDict):
    """One look at one comparison; `plan` are the numbers of seeds of the plan that it was of."""

    claim: str
    comparison: str
    seeds: int
    share: float
    plan: list[int]


def read_looks(data: bytes) -> list[KeptLook]:
    """Read the looks that a file holds. Raises ValueError, KeyError or TypeError for none."""
    return looks_of(json.loads(data)["looks"])


def looks_of(trees: Iterable[Mapping[str, Any]]) -> list[KeptLook]:
    """Read looks from plain data. Raises ValueError, KeyError or TypeError for what is none."""
    looks = [
        KeptLook(
            claim=str(one["claim"]),
            comparison=str(one["comparison"]),
            seeds=int(one["seeds"]),
            share=float(one["share"]),
            plan=[int(n) for n in one["plan"]],
        )
        for one in trees
    ]
    for one in looks:
        _look(one)
    return looks


def looks_in(kept: Iterable[KeptLook]) -> TakenLooks:
    """Put looks in order, by claim and comparison."""
    found: dict[str, dict[str, list[Look]]] = {}
    for one in kept:
        of_claim = found.setdefault(one["claim"], {})
        of_claim.setdefault(one["comparison"], []).append(_look(one))
    return {
        claim: {label: merged(looks) for label, looks in of_claim.items()}
        for claim, of_claim in found.items()
    }


def new_looks(verdicts: Iterable[ClaimVerdict], taken: TakenLooks) -> list[KeptLook]:
    """List the looks that verdicts rest on and that were not taken before."""
    return [
        {
            "claim": verdict.claim.statement,
            "comparison": judged.comparison.label,
            "seeds": look.seeds,
            "share": look.share,
            "plan": list(look.plan),
        }
        for verdict in verdicts
        for judged in verdict.judged
        for look in judged.looks
        if look.seeds not in _seeds_of(taken, verdict.claim.statement, judged.comparison.label)
    ]


def has_older_looks(plan: KeptPlan) -> bool:
    """Tell whether a plan was looked at as it says by a version that kept no looks beside it."""
    return bool(plan.get("looks")) and not plan.get("looks_kept", False)


def _seeds_of(taken: TakenLooks, claim: str, label: str) -> Sequence[int]:
    return [look.seeds for look in taken.get(claim, {}).get(label, ())]


def _look(kept: KeptLook) -> Look:
    return Look(kept["seeds"], kept["share"], tuple(kept["plan"]))
