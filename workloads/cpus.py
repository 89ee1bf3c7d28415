"""The CPUs that a process may use: a batch system or a container may give it few of many."""

import os
from pathlib import Path

__all__ = ["quota_of_cgroups", "usable_cpus"]

PROCESS, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """Return how many CPUs this process may use: those of its affinity, within its cgroups' quota.

    A quota of one and a half CPUs counts as one: with two threads each would wait half of the time.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # which macOS has not
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = quota_of_cgroups(PROCESS, CGROUPS)
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def quota_of_cgroups(process: Path, mount: Path) -> float | None:
    """Return the smallest quota, in CPUs, of a process's cgroups and those above; None without one.

    `process` is the file that lists its cgroups, `mount` the folder where their trees are. Reads
    version 2 (`cpu.max`) and version 1 (`cpu.cfs_quota_us`).
    """
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return None

    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            quotas += [_quota(folder, "cpu.max") for folder in _upwards(mount, path)]
        elif "cpu" in controllers.split(","):
            for tree in (mount / controllers, mount / "cpu", mount / "cpu,cpuacct"):
                quotas += [_quota(folder, "cpu.cfs_quota_us") for folder in _upwards(tree, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(tree: Path, path: str) -> list[Path]:
    """The cgroup's folder and all above it; in a container the path may be one of the host's."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [tree.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _quota(folder: Path, name: str) -> float | None:
    try:
        words = (folder / name).read_text().split()
        if name == "cpu.cfs_quota_us":
            words.append((folder / "cpu.cfs_period_us").read_text())
        quota, period = words
        return None if quota in ("max", "-1") else float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
