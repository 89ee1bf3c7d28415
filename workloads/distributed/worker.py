"""The circumstances of a run: the device, the rank among the workers, what the hardware can do."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from threadpoolctl import threadpool_limits

from workloads.distributed.torch_internals import cpu_has_bf16

__all__ = ["Worker", "limit_threads"]


@dataclass(frozen=True)
class Worker:
    """One of `world_size` processes that share a run; with one, collectives are the identity."""

    device: torch.device
    rank: int = 0
    world_size: int = 1
    bf16: bool = False

    @classmethod
    def here(cls, device: str | None = None) -> "Worker":
        """Describe this process: its GPU if it has one, its rank if a process group is set up."""
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        grouped = dist.is_available() and dist.is_initialized()
        return cls(
            device=chosen,
            rank=dist.get_rank() if grouped else 0,
            world_size=dist.get_world_size() if grouped else 1,
            bf16=_has_bf16(chosen),
        )


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # On CPUs without the instructions bf16 is emulated, and several times slower than fp32.
    return device.type == "cpu" and cpu_has_bf16()


def limit_threads(count: int) -> None:
    """Let torch and the numerical libraries use `count` threads in this process."""
    torch.set_num_threads(count)
    # scikit-learn's and numpy's own pools, which do not follow torch's; several cells share a
    # machine.
    threadpool_limits(limits=count)
