"""The modules of own parts that lie in a folder of this machine, on their way to a cluster."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from orchestrator.provenance import OUR_PACKAGES
from workloads.part_source import local_modules, modules_named

__all__ = ["imported_modules", "pack_modules"]


def imported_modules() -> list[str]:
    """Return the folder or file of each module that this process took a part from.

    What a distribution brought is not among them: it has to be installed on the cluster.
    """
    return [str(place) for place in local_modules() if place.name not in OUR_PACKAGES]


def pack_modules(texts: Iterable[str], target: Path) -> None:
    """Copy the modules of the working directory that texts name as parts into a folder."""
    for place in modules_named(texts, Path.cwd()):
        if place.name in OUR_PACKAGES:
            continue
        if place.is_file():
            shutil.copy(place, target)
        else:
            kept = shutil.ignore_patterns("__pycache__")
            shutil.copytree(place, target / place.name, ignore=kept)
