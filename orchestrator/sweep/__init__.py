"""Runs cells through Ray Tune: all of a plan, or the more promising ones of a search."""

from orchestrator.resources import concurrent_cells, fitted_resources
from orchestrator.sweep.cells import Outcome, finished_records, run

__all__ = ["Outcome", "concurrent_cells", "finished_records", "fitted_resources", "run"]
