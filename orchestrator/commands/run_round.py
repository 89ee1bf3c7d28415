"""What runs a round of sweeps, for the driver's loop."""

from collections.abc import Collection, Sequence
from typing import Protocol

from orchestrator.live.live_sweep import LiveSweep
from orchestrator.plan import Plan
from orchestrator.plan.rounds import Outcome
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.tracking.recorder import Recorders

__all__ = ["RunRound"]


class RunRound(Protocol):
    """A function that runs what is missing of some plans, as `orchestrator.sweep.run` does."""

    def __call__(
        self,
        plans: Sequence[Plan],
        storage: Storage,
        recorder: Recorders,
        progress: LiveSweep,
        *,
        records: Sequence[RunRecord],
        given_up: Collection[str],
        concurrent: int,
        max_failures: int,
        shared_storage: bool,
    ) -> Outcome: ...
