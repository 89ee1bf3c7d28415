"""Where Tune keeps files of its own while a sweep runs."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchestrator.errors import StorageError
from orchestrator.plan import Plan
from orchestrator.scratch import scratch_folder
from orchestrator.storage import Storage

__all__ = ["own_files_of"]


@contextmanager
def own_files_of(plan: Plan, storage: Storage, *, shared: bool) -> Iterator[str]:
    """Give the folder for files of Tune's own, which nobody needs afterwards.

    Where other machines write there, too, it is in the storage: the driver's, or that of one that
    was killed, is removed in the end.
    """
    if not shared:
        with scratch_folder() as scratch:
            yield str(scratch)
        return
    folder = f"ray-tune/{plan.sweep_id}"
    try:
        yield storage.path(folder)
    finally:
        with suppress(StorageError):  # which would hide why the sweep ended
            storage.delete(folder)
