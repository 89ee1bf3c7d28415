"""Which runs were trained alike, and differ only in how they are judged: training is not repeated for those. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from workloads.spec import SpecError
from workloads.workload import Specification, TrainedAlone, Workload

__all__ = ["donors", "in_waves"]

Specs = Mapping[str, Specification]


def donors(workload: Workload, wanted: Specs, records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """For each wanted run, by fingerprint, a finished one whose trained state it can be judged from, if there is one."""
    if not isinstance(workload, TrainedAlone) or not any(map(workload.trained_as, wanted.values())):
        return {}
    trained: dict[str, str] = {}
    for record in records:
        # Weights from elsewhere have a specification, too, but it is not how they were trained.
        trained_here = record["status"] == "finished" and "weights" not in record
        if trained_here and record.get("workload", "simclr") == workload.name:
            try:
                how = workload.trained_as(workload.read(record["spec"]))
            except SpecError:  # of a version with other fields
                continue
            if how is not None:
                trained.setdefault(how, record.get("trained_by", record["fingerprint"]))
    found = {name: trained.get(workload.trained_as(spec) or "") for name, spec in wanted.items()}
    return {name: donor for name, donor in found.items() if donor is not None}


def in_waves(workload: Workload, wanted: Specs, trained: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The runs that can start now, and those that wait for one of them to be trained, with the one they wait for.

    `trained` names the runs whose training is done already, as `donors` gives it.
    """
    if not isinstance(workload, TrainedAlone):
        return tuple(wanted), {}
    first: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for name, spec in wanted.items():
        how = workload.trained_as(spec)
        if how is not None and name not in trained and first.setdefault(how, name) != name:
            waiting[name] = first[how]
    return tuple(name for name in wanted if name not in waiting), waiting
