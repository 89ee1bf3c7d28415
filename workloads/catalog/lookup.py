"""The workloads by name, and their presets."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from workloads.spec import SpecError
from workloads.workload import Specification, TrainedAlone, TrainedTogether, Workload, WorkloadName

__all__ = [
    "every_preset",
    "every_workload",
    "preset_named",
    "workload_named",
    "workload_of_preset",
    "workload_of_tree",
]


def workload_named(name: WorkloadName) -> TrainedAlone | TrainedTogether:
    """The workload of that name, imported when asked for."""
    match name:
        case "simclr":
            from workloads.catalog.simclr import SIMCLR

            return SIMCLR
        case "two-layer-cnn":
            from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN

            return TWO_LAYER_CNN
        case _:
            raise SpecError([f"{name}: no such workload"])


def every_workload() -> Iterator[TrainedAlone | TrainedTogether]:
    """All of them."""
    return (workload_named(name) for name in ("simclr", "two-layer-cnn"))


def workload_of_preset(preset: str) -> Workload | None:
    """The workload that has a preset of that name; None when none has."""
    return next((workload for workload in every_workload() if preset in workload.presets), None)


def workload_of_tree(tree: Mapping[str, Any]) -> Workload:
    """The workload whose specification knows most of a tree's parts, the first of several."""

    def known(workload: Workload) -> int:
        return len(next(iter(workload.presets.values()))().tree().keys() & tree.keys())

    return max(every_workload(), key=known)


def preset_named(name: str) -> Specification:
    """The preset of that name. Raises SpecError that lists the known ones."""
    known = every_preset()
    if name not in known:
        raise SpecError([f"--preset {name}: no such preset; known are {', '.join(known)}"])
    return known[name]()


def every_preset() -> dict[str, Callable[[], Specification]]:
    """The presets of all workloads, by name."""
    return {
        name: build for workload in every_workload() for name, build in workload.presets.items()
    }
