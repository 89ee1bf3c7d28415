"""Which runs share a process: those that their workload trains together, in as many packs as run at
once. Pure.
"""

import math
from collections.abc import Mapping, Sequence

from workloads.workload import (
    AnyWorkload,
    Specification,
    TrainedTogether,
)

__all__ = ["packed"]

Names = tuple[str, ...]


def packed(workload: AnyWorkload, runs: Mapping[str, Specification], places: int) -> list[Names]:
    """Every run, by its fingerprint, in one pack; a workload that trains runs alone has a pack for
    each.

    Runs that share work stay together, and packs of about equal cost occupy all `places`.
    """
    if not isinstance(workload, TrainedTogether):
        return [(name,) for name in runs]
    rooms: dict[str, dict[str, list[str]]] = {}
    for name, spec in runs.items():
        sharing = rooms.setdefault(workload.together(spec), {})
        sharing.setdefault(workload.shared(spec), []).append(name)
    costs = {
        room: {
            tuple(names): workload.cost([runs[name] for name in names])
            for names in sharing.values()
        }
        for room, sharing in rooms.items()
    }
    whole = sum(sum(units.values()) for units in costs.values())
    order = {name: place for place, name in enumerate(runs)}
    packs: list[Names] = []
    for units in costs.values():
        count = math.ceil(places * sum(units.values()) / whole - 0.5) if whole else 1
        packs += [
            tuple(sorted(names, key=order.__getitem__))
            for names in _divided(units, max(1, min(count, len(units))))
        ]
    return packs


def _divided(units: Mapping[Names, float], count: int) -> list[Sequence[str]]:
    """Longest processing time first (Graham 1969): the most expensive unit left goes to the pack
    that costs least so far.
    """
    packs: list[list[str]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for names, cost in sorted(units.items(), key=lambda unit: -unit[1]):
        lightest = loads.index(min(loads))
        packs[lightest] += names
        loads[lightest] += cost
    return [pack for pack in packs if pack]
