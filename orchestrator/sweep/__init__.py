"""Runs cells through Ray Tune: all of a plan, or the more promising ones of a search."""

from orchestrator.plan.rounds import Outcome
from orchestrator.sweep.run import run

__all__ = ["Outcome", "run"]
