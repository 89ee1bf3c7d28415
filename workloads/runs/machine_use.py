"""How much of the machine a run uses while it trains: CPU, memory, GPU.

Two system calls an epoch; on a GPU a question to its driver once a second. Names begin with
`system/`, by which MLflow and W&B tell them from results.
"""

import ctypes
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import torch

__all__ = ["NAMES", "GpuShare", "MachineUse", "share_of_gpu"]

CPU, MEMORY = "system/cpu_utilization_percentage", "system/memory_usage_megabytes"
GPU, GPU_MEMORY = "system/gpu_utilization_percentage", "system/gpu_memory_usage_megabytes"
NAMES = (CPU, MEMORY, GPU, GPU_MEMORY)
SECONDS_BETWEEN_SAMPLES = 1.0
MEGABYTE = 2**20
OF_THE_DRIVER = "libnvidia-ml.so.1"

GpuShare = Callable[[], float | None]


class MachineUse:
    """What this process uses, from one call of `since` to the next; for a `with` block.

    Of a run with several workers it is what the first one uses.
    """

    def __init__(self, device: torch.device, gpu_share: GpuShare | None = None) -> None:
        """Measure a process that computes on `device`; `gpu_share` is in percent."""
        self._device = device
        on_gpu = device.type == "cuda"
        self._gpu_share = gpu_share or (share_of_gpu(device) if on_gpu else None)
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="gpu use", daemon=True)
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def __enter__(self) -> Self:
        if self._gpu_share is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def since(self) -> dict[str, float]:
        """Return the mean use since the last call, and the memory that is held now.

        CPU is in percent of the threads of torch: 100 where all of them are busy all the time. GPU
        is the percent of time in which it has work, of whichever process. What cannot be measured
        is left out.
        """
        wall, cpu = time.monotonic(), time.process_time()
        used: dict[str, float] = {}
        if wall > self._wall:
            share = (cpu - self._cpu) / (wall - self._wall) / torch.get_num_threads()
            used[CPU] = round(100 * share, 1)
        self._wall, self._cpu = wall, cpu
        used[MEMORY] = round(_resident() / MEGABYTE, 1)
        if self._device.type == "cuda":
            used[GPU_MEMORY] = round(torch.cuda.memory_reserved(self._device) / MEGABYTE, 1)
        samples, self._samples = self._samples, []
        if samples:
            used[GPU] = round(sum(samples) / len(samples), 1)
        return used

    def _sample(self) -> None:
        assert self._gpu_share is not None, "the thread is started with one only"
        while not self._stop.wait(SECONDS_BETWEEN_SAMPLES):
            share = self._gpu_share()
            if share is None:
                return
            self._samples.append(share)


def share_of_gpu(device: torch.device) -> GpuShare | None:
    """Return what asks the driver for how much of the last moment a GPU had work.

    None where there is no driver that tells. It is asked by NVML's C interface, which comes with
    each driver; nvmlDeviceGetUtilizationRates in https://docs.nvidia.com/deploy/nvml-api.
    """
    with suppress(OSError, AttributeError):
        nvml = ctypes.CDLL(OF_THE_DRIVER)
        handle = ctypes.c_void_p()
        # by what does not change with CUDA_VISIBLE_DEVICES
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)):
            return None

        def share() -> float | None:
            rates = (ctypes.c_uint * 2)()  # of the GPU, of its memory's bandwidth
            failed = nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates))
            return None if failed else float(rates[0])

        return share
    return None


def _resident() -> float:
    """The bytes of memory that this process holds, where it cannot be told the most so far."""
    with suppress(OSError), open("/proc/self/statm") as file:
        return float(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most) * (1 if sys.platform == "darwin" else 1024)
