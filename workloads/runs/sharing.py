"""Which runs were trained alike, and differ only in how they are evaluated. Pure.

Training is not repeated for those.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from workloads.run_record import RunRecord
from workloads.spec import SpecError
from workloads.workload import (
    AnyTrainedAlone,
    AnyWorkload,
    Specification,
    TrainedAlone,
)

__all__ = ["Sharing", "shared"]

Specs = Mapping[str, Specification]


@dataclass(frozen=True)
class Sharing:
    """The sharing of training among wanted runs, by fingerprint.

    `lent` has whose trained state a run takes, `first` the runs that start, and `waiting` for which
    one each of the others waits.
    """

    lent: Mapping[str, str]
    first: tuple[str, ...]
    waiting: Mapping[str, str]

    @property
    def only_evaluated(self) -> frozenset[str]:
        """The runs that are not trained themselves."""
        return frozenset((*self.lent, *self.waiting))


def shared(
    workload: AnyWorkload,
    wanted: Specs,
    records: Iterable[RunRecord],
    *,
    has_state: Callable[[RunRecord], bool],
    is_search: bool = False,
) -> Sharing:
    """Find how the wanted runs share training with each other and with the runs of `records`.

    `has_state` tells whether a run's state after its last epoch can still be had. A search shares
    nothing: it compares scores after each epoch, which a state that is there already does not have.
    """
    if is_search or not isinstance(workload, TrainedAlone):
        return Sharing({}, tuple(wanted), {})

    hows = {name: workload.trained_as(spec) for name, spec in wanted.items()}
    asked_for = {how for how in hows.values() if how is not None}
    seeds = {spec.seed for spec in wanted.values()}
    # to read a specification takes longer than to see that its seed is of no use
    alike = (record for record in records if record.spec.get("seed") in seeds)
    donors = _donors(workload, asked_for, alike, has_state)
    lent = {name: donors[how] for name, how in hows.items() if how in donors}

    trains: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for name, how in hows.items():
        if how is not None and how not in donors and trains.setdefault(how, name) != name:
            waiting[name] = trains[how]
    return Sharing(lent, tuple(name for name in wanted if name not in waiting), waiting)


def _donors(
    workload: AnyTrainedAlone,
    hows: set[str],
    records: Iterable[RunRecord],
    has_state: Callable[[RunRecord], bool],
) -> dict[str | None, str]:
    """Find the run that did each training that is asked for, where one did."""
    found: dict[str | None, str] = {}
    for record in records if hows else ():
        # Weights from elsewhere have a specification, too, but it is not how they were trained.
        if record.status == "stopped" or record.weights is not None:
            continue
        if record.workload != workload.name:
            continue

        try:
            spec = workload.read(record.spec)
        except SpecError:  # of a version with other fields
            continue

        how = workload.trained_as(spec)
        # Code that gives other results gives other fingerprints: what it trained is not lent to
        # today's.
        current = spec.fingerprint() == record.fingerprint
        if how in hows and how not in found and current and has_state(record):
            found[how] = record.state_of
    return found
