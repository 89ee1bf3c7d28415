"""A second: what a run is told to use of its machine, against what it does use."""

import time
from pathlib import Path

import pytest
import torch

from workloads.runs import machine_use
from workloads.runs.machine_use import MachineUse

CPU = torch.device("cpu")


def test_cpu_is_a_share_of_all_threads_and_idle_time_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, busy = [10.0, 14.0, 15.0], [1.0, 3.0, 3.0]
    monkeypatch.setattr(machine_use.time, "monotonic", lambda: wall.pop(0))
    monkeypatch.setattr(machine_use.time, "process_time", lambda: busy.pop(0))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    use = MachineUse(CPU)
    assert use.since()["system/cpu_utilization_percentage"] == 25.0, "2 of 4 s, of two threads"
    assert use.since()["system/cpu_utilization_percentage"] == 0.0


def test_memory_is_what_this_process_holds() -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")
    used = MachineUse(CPU).since()
    (held,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    kilobytes = float(held.split()[1])
    assert used["system/memory_usage_megabytes"] == pytest.approx(kilobytes / 1024, rel=0.1)
    assert used.keys() == {"system/cpu_utilization_percentage", "system/memory_usage_megabytes"}


def test_gpu_is_the_mean_of_what_its_driver_says_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine_use, "SECONDS_BETWEEN_SAMPLES", 0.001)
    told = [40.0, 60.0, 80.0]

    def share() -> float | None:
        return told.pop(0) if told else None  # the driver tells no more

    with MachineUse(CPU, share) as use:
        while use._thread.is_alive():
            time.sleep(0.001)
        assert use.since()["system/gpu_utilization_percentage"] == 60.0
        assert "system/gpu_utilization_percentage" not in use.since()
