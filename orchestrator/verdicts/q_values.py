"""Many claims at once: q-values of Benjamini and Hochberg (1995)."""

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.verdicts.claims import ClaimVerdict

__all__ = ["with_q_values"]


def with_q_values(verdicts: Iterable[ClaimVerdict]) -> list[ClaimVerdict]:
    """Return the same verdicts with the q-value of each, adjusted over all that have a p.

    Of the claims with a q of at most x, a share of x at most is expected to be wrong.
    """
    found = list(verdicts)
    ordered = sorted(
        ((one.p, index) for index, one in enumerate(found) if one.p is not None), reverse=True
    )
    least = 1.0
    for rank, (p, index) in zip(range(len(ordered), 0, -1), ordered, strict=True):
        least = min(least, p * len(ordered) / rank)
        found[index] = replace(found[index], q=least)
    return found
