"""Plan files as tests of their runs need them."""

from collections.abc import Callable
from typing import Any

import pytest

from workloads.runs.plan_file import PlanFile, PlannedRun


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., PlanFile]:
    """A plan of runs with these specifications, of SimCLR unless another workload is named."""

    def make(*specs: Any, workload: str = "simclr", **values: Any) -> PlanFile:
        cells = tuple(
            PlannedRun(
                number=number,
                name=f"cell {number}",
                sweeps=("temperature",),
                seed=spec.seed,
                role="cell",
                fingerprint=spec.fingerprint(),
                spec=spec.tree(),
            )
            for number, spec in enumerate(specs, 1)
        )
        fields: dict[str, Any] = {
            "command": "simclr-orch ablate temperature",
            "git_commit": "abc",
            "versions": {"torch": "2.11.0"},
            "written": "2026-01-01T00:00:00+00:00",
            "cells": cells,
            "sweeps": (),
        }
        return PlanFile(workload=workload, **fields | values)

    return make
