"""Where a command's sweeps are recorded, each place by a way of its own that holds up nobody."""

from collections.abc import Callable, Sequence

from orchestrator.logs import Carrier, Place, SweepLog
from orchestrator.logs.sweep_log import Status
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan
from orchestrator.storage import Storage

__all__ = ["Outboxes"]

LEAVING_PATIENCE = 5.0  # seconds for what places are owed, of whoever wants to leave


class Outboxes:
    """The outboxes of all places that a command records its sweeps in."""

    def __init__(self, storage: Storage, warn: Callable[[str], None]) -> None:
        """Have none yet; `warn` prints a line."""
        self._storage, self._warn = storage, warn
        self._carriers: dict[str, Carrier] = {}  # by what people call the place
        self._begun: list[SweepLog] = []

    def begin(self, places: Sequence[Place], plan: Plan, kept: KeptPlan) -> list[SweepLog]:
        """Begin a sweep in its places, without waiting for one that is down or slow.

        Raises TrackingError where MLflow refuses it: nothing has started yet.
        """
        return [self._begun_in(place, plan, kept) for place in places]

    def _begun_in(self, place: Place, plan: Plan, kept: KeptPlan) -> SweepLog:
        if (carrier := self._carriers.get(place.label)) is None:
            carrier = self._carriers[place.label] = Carrier(place.label, self._warn)
        outbox = carrier.outbox(place, plan, self._storage)
        outbox.begin(kept)
        carrier.wait_for_begin(outbox)
        self._begun.append(outbox)
        return outbox

    def finish(self, status: Status) -> None:
        """Leave word in all places that the sweeps end without a report, those that go on."""
        for outbox in self._begun:
            outbox.finish(status, {})

    def leave(self, status: Status) -> None:
        """Hand over what is quickly done, where a command ends before its sweeps."""
        self.finish(status)
        for carrier in self._carriers.values():
            carrier.settle(limit=LEAVING_PATIENCE)
            carrier.close()

    def abandon(self) -> None:
        """Hand over nothing more: another process has the sweeps now."""
        for carrier in self._carriers.values():
            carrier.close()

    def hand_over(self, say: Callable[[str], None]) -> list[str]:
        """Hand over all, waiting for a place that is slow; return the names of those that fail.

        What they are still owed is said.
        """
        unrecorded = []
        for label, carrier in sorted(self._carriers.items()):
            carrier.settle()
            if carrier.failure:
                unrecorded.append(label)
                owed = carrier.owed or "a part"
                say(f"{label} is still owed {owed}: {carrier.failure}; a rerun hands it over")
            carrier.close()
        return unrecorded
