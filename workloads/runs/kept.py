"""Checkpoints of a run as files: the newest is `checkpoint.pt`, before it `checkpoint-1.pt`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from workloads.checkpoint import decode, encode
from workloads.run_record import Metrics

__all__ = [
    "CHECKPOINT",
    "Checkpoint",
    "checkpoint_bytes",
    "checkpoint_files",
    "damaged_checkpoint_files",
    "older_checkpoint",
    "read_checkpoint",
]

CHECKPOINT = "checkpoint.pt"
_CHECKPOINTS = re.compile(r"checkpoint(?:-([1-9]\d*))?\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """The state from which a run continues, its curves so far, and the seconds that it took.

    `trained_by` names the run that lends its state to one that only evaluates it. `threads` are
    those of a process that trained it, None in checkpoints that do not say. Within an epoch,
    `step` of its steps are done, and have taken `under_way` seconds.
    """

    state: dict[str, Any]
    history: list[Metrics] = field(default_factory=list)
    elapsed: float = 0.0
    trained_by: str | None = None
    threads: int | None = None
    under_way: float = 0.0
    step: int = 0


def older_checkpoint(number: int) -> str:
    """Return the name of the checkpoint so many before the newest: `checkpoint-1.pt`."""
    return f"checkpoint-{number}.pt" if number else CHECKPOINT


def checkpoint_files(names: Iterable[str]) -> list[str]:
    """Return those names of files in a run's folder that are checkpoints, the newest first."""
    numbers = {name: _CHECKPOINTS.fullmatch(name) for name in names}
    found = {name: int(match[1] or 0) for name, match in numbers.items() if match}
    return sorted(found, key=lambda name: found[name])


def damaged_checkpoint_files(names: Iterable[str]) -> list[str]:
    """Return those names of files in a run's folder that are checkpoints set aside as damaged."""
    return sorted(
        name
        for name in names
        if _CHECKPOINTS.fullmatch(name.partition(".damaged")[0]) and ".damaged" in name
    )


def checkpoint_bytes(kept: Checkpoint) -> bytes:
    """Return the content of the file of a checkpoint."""
    tree = {"state": kept.state, "history": kept.history, "elapsed": kept.elapsed}
    if kept.threads is not None:
        tree["threads"] = kept.threads
    if kept.step:
        tree |= {"under_way": kept.under_way, "step": kept.step}
    return encode(tree)


def read_checkpoint(data: bytes) -> Checkpoint:
    """Read what `checkpoint_bytes` was given. Raises whatever damaged files lead to."""
    kept = decode(data)
    state, history = kept["state"], kept["history"]
    if not (isinstance(state, dict) and isinstance(state.get("epoch"), int)):
        raise ValueError("holds no state of a run")
    if not (isinstance(history, list) and all(isinstance(each, dict) for each in history)):
        raise ValueError("holds no curves of a run")
    threads = kept.get("threads")
    if not (threads is None or isinstance(threads, int)):
        raise ValueError("does not say how many threads have trained it")
    under_way, step = kept.get("under_way", 0.0), kept.get("step", 0)
    if not (isinstance(under_way, float) and isinstance(step, int)):
        raise ValueError("does not say how much of an epoch is done")
    return Checkpoint(
        state,
        history,
        float(kept["elapsed"]),
        threads=threads,
        under_way=under_way,
        step=step,
    )
