"""Whether claims hold, by paired seeds. Pure."""

from orchestrator.verdicts.claims import (
    ClaimVerdict,
    Judged,
    Values,
    Verdict,
    cells_needed,
    judge,
    looks_up_to,
)

__all__ = ["ClaimVerdict", "Judged", "Values", "Verdict", "cells_needed", "judge", "looks_up_to"]
