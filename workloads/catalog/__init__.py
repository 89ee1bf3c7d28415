"""The workloads by name: imports all of them, and is imported only from outside."""

from workloads.catalog.lookup import (
    every_preset,
    every_workload,
    preset_named,
    presets_found,
    workload_named,
    workload_of_preset,
    workload_of_tree,
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
