"""What helps against what Ray met while it started, and how busy this machine is."""

import errno
import os
import resource

from orchestrator.cluster.short_folder import ray_folder
from workloads.plural import counted

__all__ = ["is_too_slow", "load", "mend"]

# What Ray says where a process of its own was not up in time.
TOO_SLOW = ("timed out during startup", "timed out waiting", "timed out after")
PROCESSES = ("Resource temporarily unavailable", "can't start new thread")


def is_too_slow(error: Exception) -> bool:
    """Tell whether the machine was too busy for a start, which another one may get over."""
    text = str(error).lower()
    return any(said in text for said in TOO_SLOW)


def load() -> str:
    """Say how busy this machine is: `load 9.1 on 2 CPUs`."""
    return f"load {os.getloadavg()[0]:.1f} on {counted(os.cpu_count() or 1, 'CPU')}"


def mend(error: Exception) -> str:
    """Return what helps against what Ray met while it started; nothing where that is not known."""
    text, number = str(error), getattr(error, "errno", None)
    if number == errno.ENOSPC or "No space left" in text:
        return f"; there is no room in {ray_folder()}: set RAY_TMPDIR to a folder with room"
    if number == errno.EMFILE or "Too many open files" in text:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"; this process may open {limit} files: `ulimit -n 65536` allows more"
    if number == errno.EAGAIN or any(said in text for said in PROCESSES):
        limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
        return f"; this user may have {limit} processes and threads: `ulimit -u` sets how many"
    if is_too_slow(error):
        return f"; the machine is too busy ({load()}): try again, or with fewer other programs"
    return ""
