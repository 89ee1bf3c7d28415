"""Runs in MLflow as those who write them know them."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CellRun", "ParentRun", "Status"]

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class ParentRun:
    """The run of a sweep, under which those of its cells lie."""

    experiment_id: str
    run_id: str
    sweep_id: str


@dataclass(frozen=True)
class CellRun:
    """The run of one cell.

    Of one that has ended, `epochs` says of how many epochs its curve is whole; None where an
    earlier version ended it, and did not say. `is_shown` is False where one named its metrics
    otherwise.
    """

    experiment_id: str
    run_id: str
    fingerprint: str
    epochs: int | None = None
    is_shown: bool = True
