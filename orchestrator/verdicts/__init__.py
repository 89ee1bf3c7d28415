"""Whether claims hold, by paired seeds. Pure."""

from orchestrator.verdicts.claims import ClaimVerdict, cells_needed, judge
from orchestrator.verdicts.looks import Look, Looks, looks_up_to, merged, next_look
from orchestrator.verdicts.q_values import with_q_values
from orchestrator.verdicts.spread import Spread, spread_of
from orchestrator.verdicts.t_test import Judged, Lost, Values, Verdict

__all__ = [
    "ClaimVerdict",
    "Judged",
    "Look",
    "Looks",
    "Lost",
    "Spread",
    "Values",
    "Verdict",
    "cells_needed",
    "judge",
    "looks_up_to",
    "merged",
    "next_look",
    "spread_of",
    "with_q_values",
]
