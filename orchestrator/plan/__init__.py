"""From a question to an explicit list of runs, and what is wanted next. Pure."""

from orchestrator.plan.cells import (
    MAX_SEEDS,
    Ask,
    Plan,
    PlannedCell,
    build,
    build_single,
    by_claims,
    jobs_of,
)

__all__ = [
    "MAX_SEEDS",
    "Ask",
    "Plan",
    "PlannedCell",
    "build",
    "build_single",
    "by_claims",
    "jobs_of",
]
