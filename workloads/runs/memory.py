"""Whether a run ended for want of memory, and what would need less. Pure."""

import signal
from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["killed_line", "line_on_lost", "memory_line", "short_of_memory", "was_killed"]

# what torch's allocators, numpy and Ray's watch over a node's memory say
_SAID = (
    "out of memory",
    "OutOfMemoryError",
    "can't allocate memory",
    "Unable to allocate",
    "running low on memory",
    "memory pressure",
)
# Ray of a process that went without a word, of which a kernel short of memory is one cause
_MAY_BE = "OOM killer"


def short_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that there was too little memory, of a GPU or of the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID)


def was_killed(exit_code: int | None) -> bool:
    """Tell whether a process ended as one does that a kernel ends for its memory."""
    return exit_code == -signal.SIGKILL


def memory_line(spec: Mapping[str, Any]) -> str:
    """Return one sentence on a run that was short of memory, with what would need less.

    `spec` is its whole specification, as plain values.
    """
    return f"out of memory; less is needed with {' or '.join(_advice(spec))}"


def killed_line(spec: Mapping[str, Any]) -> str:
    """Return one sentence on a run whose process was killed, as a kernel does it for memory."""
    return (
        "its process was killed, maybe for its memory (the kernel's log knows); less is needed "
        f"with {' or '.join(_advice(spec))}"
    )


def line_on_lost(spec: Mapping[str, Any], said: str) -> str:
    """Return the fitting one of both by what Ray says of a lost process; empty where none fits."""
    if any(one in said for one in _SAID):
        return memory_line(spec)
    return killed_line(spec) if _MAY_BE in said else ""


def _advice(spec: Mapping[str, Any]) -> list[str]:
    schedule, found = spec.get("schedule", {}), []
    if batch := schedule.get("batch_size"):
        at_once = schedule.get("chunk") or batch
        if "chunk" in schedule and at_once >= 4 and at_once % 2 == 0:
            found.append(f"schedule.chunk={at_once // 2}")
        found.append(f"schedule.batch_size below {batch}")
    if spec.get("precision") == "fp32":
        found.append("precision=bf16")
    return [*found, "fewer runs at once (--max-concurrent; --at-once of a plan)"]
