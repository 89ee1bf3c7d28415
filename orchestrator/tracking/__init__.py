"""Sweeps in MLflow. The only place that knows it; it is imported when a store is first reached."""

from orchestrator.tracking.dashboard import Dashboard, start_dashboard
from orchestrator.tracking.opened import CellRun, ParentRun, Status
from orchestrator.tracking.tracker import Tracker

__all__ = ["CellRun", "Dashboard", "ParentRun", "Status", "Tracker", "start_dashboard"]
