"""Runs cells through Ray Tune: all of a plan, or the more promising ones of a search."""

from orchestrator.sweep.cells import Outcome, concurrent_cells, finished_records, fitted_resources, run

__all__ = ["Outcome", "concurrent_cells", "finished_records", "fitted_resources", "run"]
