"""Runs cells through Ray Tune: all of a plan, or the more promising ones of a search."""

from orchestrator.sweep.run import Outcome, run

__all__ = ["Outcome", "run"]
