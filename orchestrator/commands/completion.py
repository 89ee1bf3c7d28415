"""Names for a shell to complete: of ablations, presets, fields and sweeps, read in milliseconds."""

import os
from pathlib import Path

from orchestrator.errors import OrchestratorError

__all__ = ["ablation_names", "field_names", "preset_names", "sweep_names"]


def ablation_names(incomplete: str) -> list[str]:
    """List the ablations whose names begin so, and `all`."""
    from search_spaces import every_ablation

    return _beginning(incomplete, ["all", *every_ablation()])


def preset_names(incomplete: str) -> list[str]:
    """List the presets whose names begin so."""
    from workloads.catalog import every_preset

    return _beginning(incomplete, list(every_preset()))


def field_names(incomplete: str) -> list[str]:
    """List the fields that begin so, each with the sign that stands before its value."""
    from workloads.catalog import every_workload

    fields = dict.fromkeys(
        field
        for workload in every_workload()
        for field in next(iter(workload.presets.values()))().flat()
    )
    return _beginning(incomplete, [f"{field}=" for field in fields])


def sweep_names(incomplete: str) -> list[str]:
    """List what has a sweep in the storage, if that is a folder of this machine."""
    # every command imports this module before its first line: settings stand on pydantic
    from orchestrator.settings import read_settings
    from workloads.spec import SpecError

    try:
        storage = read_settings({}, os.environ, Path.cwd()).storage
        folders = [one.name for one in (Path(storage) / "sweeps").iterdir() if one.is_dir()]
    except (OSError, OrchestratorError, SpecError):
        return []
    return _beginning(incomplete, sorted(folders))


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
