"""Milliseconds: the CPUs that a process may use, by affinity and by the quota of its cgroups."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workloads import cpus
from workloads.cpus import quota_of_cgroups, usable_cpus


def written(folder: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "self", folder / "fs"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"self": "0::/job\n", "fs/job/cpu.max": "150000 100000\n"}, 1.5),
        ({"self": "0::/job\n", "fs/job/cpu.max": "max 100000\n"}, None),
        # of a group above
        ({"self": "0::/a/b\n", "fs/a/cpu.max": "400000 100000", "fs/a/b/cpu.max": "max 1"}, 4.0),
        ({"self": "0::/a/b\n", "fs/a/cpu.max": "4 1", "fs/a/b/cpu.max": "3 1"}, 3.0),
        # in a container the path is the host's, and its own group is mounted as the root
        ({"self": "0::/docker/1f2e\n", "fs/cpu.max": "200000 100000\n"}, 2.0),
        ({"self": "0::/../job\n", "fs/job/cpu.max": "2 1"}, 2.0),
        # version 1
        (
            {
                "self": "4:cpu,cpuacct:/job\n2:memory:/x\n",
                "fs/cpu,cpuacct/job/cpu.cfs_quota_us": "250000\n",
                "fs/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "self": "4:cpu:/\n",
                "fs/cpu/cpu.cfs_quota_us": "-1\n",
                "fs/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"self": "0::/job\n", "fs/job/cpu.max": "nonsense"}, None),
        ({"self": "0::/job\n"}, None),
    ],
    ids=str,
)
def test_the_quota_is_the_smallest_of_the_groups(
    files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    assert quota_of_cgroups(*written(tmp_path, files)) == expected


def test_a_system_without_cgroups_has_no_quota(tmp_path: Path) -> None:
    assert quota_of_cgroups(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(("quota", "expected"), [("150000 100000", 1), ("20000 100000", 1)])
def test_a_part_of_a_cpu_is_none_and_one_is_always_left(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, mount = written(tmp_path, {"self": "0::/\n", "fs/cpu.max": quota})
    monkeypatch.setattr(cpus, "PROCESS", process)
    monkeypatch.setattr(cpus, "CGROUPS", mount)
    assert usable_cpus() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_a_process_that_is_bound_to_one_cpu_uses_one() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from orchestrator.commands.check import local_shape\n"
        "from workloads.cpus import usable_cpus\n"
        "from workloads.datasets.encoded import decoders\n"
        "print(usable_cpus(), local_shape().nodes[0][0], decoders()._max_workers)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["1", "1.0", "1"]
