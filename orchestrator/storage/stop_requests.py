"""Requests that a running sweep, or some of its runs, be stopped: small files in its folder.

Whoever drives the sweep looks for them, and so does each of its workers.
"""

from collections.abc import Iterable

from orchestrator.storage.files import Storage

__all__ = ["ALL", "ask_to_stop", "forget_stops", "is_asked_to_stop", "stop_folder", "stops_asked"]

STOPS = "stop"
ALL = "all"  # in place of a fingerprint


def stop_folder(sweep: str) -> str:
    """Return where the requests to a sweep lie, by the name of its folder."""
    return f"sweeps/{sweep}/{STOPS}"


def ask_to_stop(storage: Storage, sweep: str, fingerprints: Iterable[str]) -> None:
    """Ask that these runs of a sweep be stopped; `ALL` stands for all of it."""
    for name in fingerprints:
        storage.write_bytes(f"{stop_folder(sweep)}/{name}", b"")


def stops_asked(storage: Storage, folders: Iterable[str]) -> frozenset[str]:
    """Return what is asked to stop in the folders of requests of some sweeps."""
    return frozenset(name for folder in folders for name in storage.list(folder))


def is_asked_to_stop(fingerprint: str, asked: Iterable[str]) -> bool:
    """Tell whether a run is among those that are asked to stop."""
    return not {fingerprint, ALL}.isdisjoint(asked)


def forget_stops(storage: Storage, sweep: str) -> None:
    """Delete the requests to a sweep: they were obeyed, or nobody was there to obey them."""
    storage.delete(stop_folder(sweep))
