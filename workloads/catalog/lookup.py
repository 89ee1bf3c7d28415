"""The workloads by name, and their presets: those of this package, and of other distributions.

Another distribution offers one by an entry point of the group `simclr_orch.workloads`, whose name
is the workload's:

    [project.entry-points."simclr_orch.workloads"]
    linear-regression = "my_package.workload:LINEAR_REGRESSION"
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from workloads.spec import SpecError
from workloads.spelling import did_you_mean
from workloads.workload import (
    AnyTrainedAlone,
    AnyTrainedTogether,
    AnyWorkload,
    Specification,
    WorkloadName,
)

__all__ = [
    "every_preset",
    "every_workload",
    "preset_named",
    "presets_found",
    "workload_named",
    "workload_of_preset",
    "workload_of_tree",
]

OWN = ("simclr", "two-layer-cnn")
GROUP = "simclr_orch.workloads"


def workload_named(name: WorkloadName) -> AnyTrainedAlone | AnyTrainedTogether:
    """Return the workload of that name, imported when asked for.

    Raises SpecError that lists the known ones, or says which distribution offers what cannot be
    imported.
    """
    match name:
        case "simclr":
            from workloads.catalog.simclr import SIMCLR

            return SIMCLR
        case "two-layer-cnn":
            from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN

            return TWO_LAYER_CNN
    for point in entry_points(group=GROUP, name=name):
        return _loaded(point)
    raise SpecError([f"workload {name}: is not installed; known are {', '.join(_names())}"])


def _loaded(point: EntryPoint) -> AnyTrainedAlone | AnyTrainedTogether:
    try:
        workload: AnyTrainedAlone | AnyTrainedTogether = point.load()
    except Exception as error:  # whatever its author's code raises
        whose = f"{point.dist.name} {point.dist.version}" if point.dist else "a distribution"
        why = " ".join(str(error).split())
        raise SpecError(
            [
                f"workload {point.name}: entry point {point.value!r} of {whose} cannot be "
                f"imported: {type(error).__name__}: {why}"
            ]
        ) from error
    return workload


def every_workload() -> Iterator[AnyTrainedAlone | AnyTrainedTogether]:
    """Yield all workloads, the default one first."""
    return (workload_named(name) for name in _names())


def workload_of_preset(preset: str) -> AnyWorkload | None:
    """Return the workload that has a preset of that name; None when none has."""
    return next((workload for workload in every_workload() if preset in workload.presets), None)


def workload_of_tree(tree: Mapping[str, Any]) -> AnyWorkload:
    """Return the workload whose specification knows most of a tree's parts."""

    def known(workload: AnyWorkload) -> int:
        return len(next(iter(workload.presets.values()))().tree().keys() & tree.keys())

    return max(every_workload(), key=known)


def preset_named(name: str) -> Specification:
    """Return the preset of that name.

    Raises SpecError that lists the known ones, and says which workloads cannot be imported.
    """
    known, problems = presets_found()
    if name not in known:
        hint = did_you_mean(name, known)
        no_such = f"--preset {name}: no such preset; known are {', '.join(known)}{hint}"
        raise SpecError([no_such, *problems])
    return known[name]()


def every_preset() -> dict[str, Callable[[], Specification]]:
    """Return the presets of all workloads, by name. Raises SpecError for one without its code."""
    known, problems = presets_found()
    if problems:
        raise SpecError(problems)
    return known


def presets_found() -> tuple[dict[str, Callable[[], Specification]], list[str]]:
    """Return the presets that there are, by name, and why those of some workloads are not."""
    found: dict[str, Callable[[], Specification]] = {}
    problems: list[str] = []
    for name in _names():
        try:
            found |= workload_named(name).presets
        except SpecError as error:
            problems += error.problems
    return found, problems


def _names() -> tuple[str, ...]:
    return (*OWN, *sorted(entry_points(group=GROUP).names - {*OWN}))
