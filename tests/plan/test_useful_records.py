"""Milliseconds: a plan reads the records that it can learn from, and builds no network twice."""

from typing import Any

import pytest

from orchestrator.plan.estimate import MEASURED
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.useful import useful_records
from workloads.simclr import encoder
from workloads.simclr.spec import EncoderSpec

MACHINE = {
    "workers": 1,
    "gpu": False,
    "threads": 1,
    "device": "cpu",
    "precision": "bf16",
    "torch": "2.11",
}


def record(number: int, **more: Any) -> RunRecord:
    values: dict[str, Any] = {
        "name": f"run {number}",
        "fingerprint": f"{number:020x}",
        "status": "finished",
        "spec": {"seed": 7},
        "history": [{"epoch": 1.0}],
        "ended": f"2026-11-28T10:{number:02d}:00+00:00",
        "total_seconds": 9.0,
        "machine": MACHINE,
    }
    return RunRecord(**(values | more))


def test_records_are_of_the_seeds_and_the_newest_that_tell_a_speed(tmp_path: Any) -> None:
    storage = Storage(str(tmp_path))
    count = MEASURED + 9
    records = [
        *(record(number) for number in range(count)),
        record(50, spec={"seed": 3}, ended="2026-01-01T00:00:00+00:00"),
        record(51, workload="two-layer-cnn", spec={"seed": 3}),
        record(
            52, machine=MACHINE | {"workers": 2, "gpu": True}, ended="2026-01-01T00:00:00+00:00"
        ),
        record(53, status="failed", error="nan"),
    ]
    for one in records:
        RunFolder(storage, one.fingerprint).write_record(one)
    found = {int(one.fingerprint, 16) for one in useful_records(storage, "simclr", {3})}
    assert found == {*range(count - MEASURED, count), 50, 52}


def test_an_encoder_is_built_once_to_count_its_multiply_adds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = encoder.multiply_adds(EncoderSpec(architecture="convnet", width=0.375), 24)
    monkeypatch.delattr(encoder, "build")
    assert encoder.multiply_adds(EncoderSpec(architecture="convnet", width=0.375), 24) == first
