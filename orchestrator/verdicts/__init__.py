"""Whether claims hold, by paired seeds. Pure."""

from orchestrator.verdicts.claims import ClaimVerdict, judge
from orchestrator.verdicts.judged import Judged, Lost, Quantities, Values, Verdict
from orchestrator.verdicts.looks import Look, Looks, looks_up_to, merged, next_look
from orchestrator.verdicts.q_values import with_q_values
from orchestrator.verdicts.spread import Pooled, Spread, spread_of

__all__ = [
    "ClaimVerdict",
    "Judged",
    "Look",
    "Looks",
    "Lost",
    "Pooled",
    "Quantities",
    "Spread",
    "Values",
    "Verdict",
    "judge",
    "looks_up_to",
    "merged",
    "next_look",
    "spread_of",
    "with_q_values",
]
