"""The marks of processes that do the runs of a plan file in the folder of a storage."""

from orchestrator.storage.files import Storage
from workloads.runs.in_use import MARKS, InUse

__all__ = ["is_marked"]


def is_marked(storage: Storage, fingerprint: str) -> bool:
    """Tell whether a process that does the runs of a plan file does this one."""
    if not (storage.is_local and storage.exists(MARKS)):
        return False
    marks = InUse(storage.local_path())
    try:
        return not marks.take(fingerprint)
    finally:
        marks.close()
