"""The looks at a sweep's claims, beside its plan: files that are written once and never changed.

Each file holds the looks of one time. So two processes that look at once lose none, in a folder
and in an object store.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.plan.kept_looks import KeptLook, read_looks
from orchestrator.storage.damaged import read_sound
from orchestrator.storage.files import Storage
from workloads.spec import digest

__all__ = ["keep_looks", "kept_looks"]

LOOKS = "looks"


def kept_looks(storage: Storage, name: str, sweep: str) -> list[KeptLook]:
    """Read all looks that were taken at the claims of a sweep; damaged files are set aside."""
    folder = f"sweeps/{name}/{sweep}/{LOOKS}"
    found: list[KeptLook] = []
    for file in storage.list(folder):
        if file.endswith(".json"):
            found += read_sound(storage, f"{folder}/{file}", read_looks) or []
    return found


def keep_looks(storage: Storage, name: str, sweep: str, looks: Sequence[KeptLook]) -> None:
    """Write looks that were taken now. Raises StorageError where nothing can be written."""
    if not looks:
        return
    file = digest({"looks": [dict(look) for look in looks]})[:16]
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    storage.write_json(
        f"sweeps/{name}/{sweep}/{LOOKS}/{file}.json", {"taken": taken, "looks": list(looks)}
    )
