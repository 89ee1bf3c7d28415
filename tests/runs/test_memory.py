"""Milliseconds: what is said of a run that was short of memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads.distributed.worker import Worker
from workloads.runs import cell
from workloads.runs.cell import run_cell
from workloads.runs.local_jobs import LocalJob
from workloads.runs.memory import line_on_lost, memory_line, short_of_memory, was_killed
from workloads.simclr.presets import preset

ADVICE = (
    "less is needed with schedule.chunk=16 or schedule.batch_size below 32 or precision=bf16 or "
    "fewer runs at once (--max-concurrent; --at-once of a plan)"
)


def too_large() -> RuntimeError:
    """What torch raises for more than any host has."""
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    return raised.value


def test_errors_of_memory_are_told_from_others() -> None:
    for error in (too_large(), MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")):
        assert short_of_memory(error)
    assert not short_of_memory(RuntimeError("shapes differ"))
    assert not short_of_memory(ValueError("out of memory"))
    assert was_killed(-9)
    assert not was_killed(1)


def test_a_run_that_is_short_of_memory_fails_with_what_needs_less(
    tmp_path: Path, tiny: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = preset("shapes").with_values(tiny(precision="fp32"))
    job = LocalJob("a run", "simclr", spec.fingerprint(), spec.tree(), tmp_path)

    def short(*_: Any) -> None:
        raise too_large()

    monkeypatch.setattr(cell._Run, "_results", short)
    record = run_cell(job, Worker.here("cpu"), None, lambda _: None)
    assert record is not None
    assert record.status == "failed"
    assert not record.diverged
    assert record.error_line == f"out of memory; {ADVICE}"


def test_advice_names_what_a_run_can_change() -> None:
    tree = {"schedule": {"batch_size": 33, "chunk": None}, "precision": "bf16"}
    assert "schedule.chunk" not in memory_line(tree)
    assert "precision" not in memory_line(tree)
    assert "schedule" not in memory_line({"width": 3})


@pytest.mark.parametrize(
    ("said", "begins"),
    [
        ("Task was killed due to the node running low on memory.", "out of memory; "),
        ("(1) the process was killed by the OOM killer due to high", "its process was killed, "),
        ("ValueError: shapes differ", ""),
    ],
)
def test_what_ray_says_of_a_lost_process_is_understood(said: str, begins: str) -> None:
    line = line_on_lost({"schedule": {"batch_size": 32}}, said)
    assert line.startswith(begins)
    assert bool(line) == bool(begins)
