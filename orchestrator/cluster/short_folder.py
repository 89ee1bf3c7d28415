"""A place for the files of a local Ray, whose sockets need short paths.

The path of a socket has at most 107 bytes on Linux, and Ray appends some 60 to its folder's. Batch
systems give each job a temporary folder of its own, whose path is long.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import ClusterError
from orchestrator.scratch import scratch_folder

__all__ = ["LONGEST", "folder_for_ray", "places", "ray_folder"]

LONGEST = 40  # bytes of a folder in which Ray's sockets still have paths that a system takes
SHORT = ("/tmp", "/var/tmp", "/dev/shm")


@contextmanager
def folder_for_ray() -> Iterator[str | None]:
    """Give the folder that a local Ray is to use, which is gone afterwards; None for its own.

    Raises ClusterError, which names the variable, where no short folder can be written.
    """
    named = _named(os.environ)
    if named is None or _fits(named[1]):
        yield None
        return

    name, value = named
    tried = [str(Path(value)), *map(str, places(os.environ))]
    for place in tried[1:]:
        if not _fits(place):
            continue
        with scratch_folder(Path(place), prefix="scr-") as folder:
            yield str(folder)
        return
    raise ClusterError(
        f"{name}={value}: is no folder for a local Ray, whose sockets need one that can be written "
        f"and whose path has at most {LONGEST} bytes; {' and '.join(tried[1:])} cannot be used "
        f"either: set RAY_TMPDIR to one that can"
    )


def places(environment: Mapping[str, str]) -> list[Path]:
    """Return the short folders that are tried in turn, the user's own first."""
    own = environment.get("XDG_RUNTIME_DIR")
    return [Path(place) for place in ([own] if own else []) + [*SHORT]]


def _named(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that says where Ray's folder is, and what it says; as Ray reads them."""
    for name in ("RAY_TMPDIR", "TMPDIR"):
        if environment.get(name):
            return name, environment[name]
    return None


def ray_folder() -> str:
    """Return where a local Ray keeps its files, unless another folder is given to it."""
    named = _named(os.environ)
    return named[1] if named else "/tmp"


def _fits(place: str) -> bool:
    return (
        len(os.fsencode(os.path.abspath(place))) <= LONGEST
        and os.path.isdir(place)
        and os.access(place, os.W_OK | os.X_OK)
    )
