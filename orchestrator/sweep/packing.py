"""Which cells share a process in a sweep: those of a killed one go on from the states of its packs.

What lies there is `running/NAME.pt`, the state of a pack, and `running/packs.json`, which cells a
pack is of: its name alone would not be found again, once some of its cells have ended.
"""

import json
from collections.abc import Mapping, Sequence

from orchestrator.cell.job import CellJob, Pack
from orchestrator.plan import Plan
from orchestrator.storage import Storage
from orchestrator.storage.damaged import read_sound
from orchestrator.storage.sweeps import sweep_folder
from workloads.runs.packs import packed
from workloads.workload import Specification, TrainedTogether

__all__ = ["packs_folder", "packs_of"]

PACKS = "packs.json"


def packs_folder(plan: Plan) -> str:
    """Return the folder, in the storage, where packs keep their states while they run."""
    return f"{sweep_folder(plan)}/running"


def packs_of(
    plan: Plan,
    storage: Storage,
    jobs: Mapping[str, CellJob],
    left: Mapping[str, Specification],
    concurrent: int,
) -> dict[str, Pack]:
    """Put every run that is left into one pack, by the names of the packs.

    `jobs` are also those that have ended: packs that have left a state are again what they were.
    """
    folder = packs_folder(plan)

    def pack(names: Sequence[str]) -> Pack:
        return Pack(tuple(jobs[name] for name in names), folder)

    if not isinstance(plan.workload, TrainedTogether):
        return {name: pack((name,)) for name in left}
    again = [
        pack(names)
        for name, names in _kept(storage, folder).items()
        if jobs.keys() >= {*names} and not left.keys().isdisjoint(names)
        if storage.exists(f"{folder}/{name}.pt")
    ]
    inside = {name for each in again for name in each.fingerprints}
    rest = {name: spec for name, spec in left.items() if name not in inside}
    found = [*again, *map(pack, packed(plan.workload, rest, concurrent))]
    told = {each.name: list(each.fingerprints) for each in found}
    storage.write_json(f"{folder}/{PACKS}", told)
    return {each.name: each for each in found}


def _kept(storage: Storage, folder: str) -> dict[str, list[str]]:
    kept = read_sound(storage, f"{folder}/{PACKS}", _read) or {}
    seen = set[str]()
    found = {}
    for name, names in kept.items():  # a cell is in one pack, whatever a file says
        if seen.isdisjoint(names):
            found[name] = names
            seen.update(names)
    return found


def _read(data: bytes) -> dict[str, list[str]]:
    tree = json.loads(data)
    if not (isinstance(tree, dict) and all(isinstance(names, list) for names in tree.values())):
        raise ValueError("does not say which cells packs are of")
    return {str(name): [str(one) for one in names] for name, names in tree.items()}
