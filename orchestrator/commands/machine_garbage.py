"""What of this machine nobody needs any more: folders of killed processes, decoded images."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.cluster.short_folder import places
from orchestrator.storage.garbage import Garbage, GarbageKind
from workloads.datasets import default_cache
from workloads.local_files import Lock

__all__ = ["on_this_machine", "remove_here"]

# As `orchestrator.scratch` and the tracking store name them, and versions before did.
SCRATCH = ("simclr-orch-scratch-*", ".simclr-orch-scratch-*", "simclr-orch-tune-*")
SHORT = ("scr-*", ".scr-*")


def on_this_machine(kinds: Iterable[GarbageKind]) -> list[Garbage]:
    """List abandoned temporary files of this user, and the cache of decoded images."""
    wanted, found = {*kinds}, list[Garbage]()
    if "temporary" in wanted:
        temporary = Path(tempfile.gettempdir())
        folders = [(temporary, pattern) for pattern in SCRATCH]
        folders += [(place, pattern) for place in places(os.environ) for pattern in SHORT]
        there = {path for place, pattern in folders for path in place.glob(pattern)}
        found += [
            _garbage("temporary", path, "of a process that was killed")
            for path in sorted(there)
            if _is_ours(path) and path.is_dir()
        ]
        found += [
            _garbage("temporary", path, "a lock that nobody holds")
            for path in sorted(temporary.glob(f"simclr-orch-{os.getuid()}-*.lock"))
        ]
    if "cache" in wanted:
        found += [
            _garbage("cache", path, "decoded images")
            for path in sorted(default_cache().glob("*"))
            if (path / "entry.json").is_file()
        ]
    return [one for one in found if _is_free(one)]


def _garbage(kind: GarbageKind, path: Path, reason: str) -> Garbage:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    status = [file.lstat() for file in files if file.is_symlink() or file.exists()]
    size = sum(one.st_size for one in status)
    # An entry of the cache is read, and not written, when it is used.
    newest = max((max(one.st_mtime, one.st_atime) for one in status), default=0.0)
    return Garbage(kind, str(path), size, newest, reason, files=max(1, len(files) - 1))


def _is_ours(path: Path) -> bool:
    return not path.is_symlink() and path.lstat().st_uid == os.getuid()


def _is_free(one: Garbage) -> bool:
    with _held(one) as held:
        return held


@contextmanager
def _held(one: Garbage) -> Iterator[bool]:
    """Hold what is to be removed as its user would; False where somebody does."""
    path = Path(one.name)
    if one.kind == "cache":
        path = path.with_name(f"{path.name}.lock")
    try:
        if path.is_dir():
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield True
            finally:
                os.close(descriptor)
        else:
            with Lock(path) as lock:
                yield lock.try_to_take() and lock.is_in_place()
    except OSError:  # held, or gone
        yield False


def remove_here(one: Garbage) -> bool:
    """Remove a file or folder of this machine; False where somebody uses it again. Raises OSError.

    What is being removed bears another name by then, so that a kill leaves no half of an entry.
    """
    with _held(one) as held:
        if not held:
            return False
        path = Path(one.name)
        if path.is_dir():
            if one.kind == "cache":
                path = path.rename(path.with_name(f"{path.name}.partial"))
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        return True
