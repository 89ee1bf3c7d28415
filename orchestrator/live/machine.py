"""How busy this machine is: CPUs and memory as Linux tells them, GPUs as `nvidia-smi` does."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.storage.progress import MachineUse

__all__ = ["MachineWatch"]

STAT, MEMORY = Path("/proc/stat"), Path("/proc/meminfo")
GPU_QUERY = (
    "--query-gpu=utilization.gpu,memory.used",
    "--format=csv,noheader,nounits",
)
SECONDS_BETWEEN_GPUS = 5.0  # a process each


class MachineWatch:
    """Tells how busy the machine was since it was last asked; what cannot be told is None."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before = _cpu_times()
        self._smi = shutil.which("nvidia-smi")
        self._gpus: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
        self._asked = -SECONDS_BETWEEN_GPUS

    def use(self) -> MachineUse:
        """Return how busy it was since the last call."""
        times, cpu = _cpu_times(), None
        if times is not None and self._before is not None:
            busy, total = (now - then for now, then in zip(times, self._before, strict=True))
            cpu = busy / total if total > 0 else None
        self._before = times
        if self._smi and self._clock() - self._asked >= SECONDS_BETWEEN_GPUS:
            self._gpus, self._asked = _gpus(self._smi), self._clock()
        used, whole = _memory()
        shares, memory = self._gpus
        return MachineUse(cpu=cpu, memory=used, memory_total=whole, gpus=shares, gpu_memory=memory)


def _cpu_times() -> tuple[float, float] | None:
    """Return the time that all CPUs were busy, and the whole, in ticks."""
    try:
        numbers = [float(each) for each in STAT.read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    idle = sum(numbers[3:5])  # idle and waiting for disks
    return sum(numbers) - idle, sum(numbers)


def _memory() -> tuple[float | None, float | None]:
    """Return used and whole memory in GB."""
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        whole, free = (float(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):
        return None, None
    return (whole - free) / 1e6, whole / 1e6


def _gpus(command: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the share of time that each GPU was busy, and its used memory in GB."""
    try:
        said = subprocess.run(
            [command, *GPU_QUERY], capture_output=True, text=True, timeout=5, check=True
        ).stdout
        pairs = [line.split(",") for line in said.splitlines() if line.strip()]
        shares = tuple(float(share) / 100 for share, _ in pairs)
        return shares, tuple(float(used) / 1000 for _, used in pairs)
    except (OSError, ValueError, subprocess.SubprocessError):
        return (), ()
