"""Which runs share a process: those that their workload trains together. Pure.

There are as many packs as run at once.
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


def packed(workload: AnyWorkload, runs: Mapping[str, Specification], slots: int) -> list[Names]:
    """Divide the runs, by their fingerprints, into packs; those that train alone into one each.

    Runs that share work stay together, and packs of about equal cost occupy all `slots`.
    """
    if not isinstance(workload, TrainedTogether):
        return [(name,) for name in runs]

    rooms: dict[str, dict[str, list[str]]] = {}
    for name, spec in runs.items():
        sharing = rooms.setdefault(workload.together(spec), {})
        sharing.setdefault(workload.shared(spec), []).append(name)

    costs: list[dict[Names, float]] = []
    for sharing in rooms.values():
        units = {}
        for names in sharing.values():
            units[tuple(names)] = workload.cost([runs[name] for name in names])
        costs.append(units)
    whole = sum(sum(units.values()) for units in costs)

    order = {name: position for position, name in enumerate(runs)}
    packs: list[Names] = []
    for units in costs:
        count = math.ceil(slots * sum(units.values()) / whole - 0.5) if whole else 1
        packs += [
            tuple(sorted(names, key=order.__getitem__))
            for names in _divided(units, max(1, min(count, len(units))))
        ]
    return packs


def _divided(units: Mapping[Names, float], count: int) -> list[Sequence[str]]:
    """Give the most expensive unit left to the pack that costs least so far.

    That is longest processing time first (Graham 1969).
    """
    packs: list[list[str]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for names, cost in sorted(units.items(), key=lambda unit: -unit[1]):
        lightest = loads.index(min(loads))
        packs[lightest] += names
        loads[lightest] += cost
    return [pack for pack in packs if pack]
