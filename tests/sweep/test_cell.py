"""One process: what a cell leaves in the storage, how it continues, and what it says when it
fails.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.cell.job import CellJob
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import Checkpoint
from workloads.distributed.worker import Worker
from workloads.runs.cell import run_cell, start_of
from workloads.simclr.presets import preset
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import RunSpec


class Killed(BaseException):
    """Stands for the death of the process: nothing of ours catches it."""


@pytest.fixture
def job(tiny: Callable[..., dict[str, Any]]) -> Callable[..., CellJob]:
    """A cell of three epochs in a storage, with other fields than `tiny`."""

    def make(storage: Path, **fields: Any) -> CellJob:
        values = tiny(
            **{"schedule__epochs": 3, "precision": "fp32", "checkpoint__every_minutes": 0} | fields
        )
        spec: RunSpec = preset("shapes").with_values(values)
        return CellJob("a cell", "simclr", spec.fingerprint(), spec.tree(), str(storage))

    return make


def run(one: CellJob, kept: Checkpoint | None = None, *, die_after: int | None = None) -> RunRecord:
    seen: list[dict[str, float]] = []

    def report(metrics: dict[str, float]) -> None:
        seen.append(metrics)
        if die_after is not None and metrics["epoch"] > die_after:
            raise Killed

    record = run_cell(one, Worker.here("cpu"), kept, report)
    assert record is not None
    return record


@pytest.fixture(autouse=True)
def _checkpoint_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.runs.pauses.SHARE", 1e9)


def test_a_killed_cell_continues_to_the_same_result(
    tmp_path: Path, job: Callable[..., CellJob]
) -> None:
    whole = run(job(tmp_path / "whole"))
    broken = job(tmp_path / "broken")
    with pytest.raises(Killed):
        run(broken, die_after=2)
    storage = Storage(broken.storage)
    assert broken.run_folder.record() is None
    kept = broken.run_folder.checkpoint()
    assert kept is not None
    assert kept.state["epoch"] == 2
    assert kept.threads == torch.get_num_threads()
    continued = run(broken, kept)
    assert continued.results == whole.results
    curves = [
        [(epoch["epoch"], epoch["loss"]) for epoch in each.history] for each in (whole, continued)
    ]
    assert curves[0] == curves[1]
    assert [epoch for epoch, _ in curves[0]] == [1, 2, 3]
    assert continued.total_seconds >= continued.seconds  # over both attempts
    log = (storage.read_bytes(f"runs/{broken.fingerprint}/log.txt") or b"").decode()
    assert "continues after epoch 2" in log
    assert "bit for bit" not in log


def test_a_cell_that_goes_on_with_other_threads_says_so(
    tmp_path: Path, job: Callable[..., CellJob]
) -> None:
    one = job(tmp_path)
    with pytest.raises(Killed):
        run(one, die_after=1)
    kept = one.run_folder.checkpoint()
    assert kept is not None
    run(one, replace(kept, threads=7))
    now = torch.get_num_threads()
    log = (Storage(one.storage).read_bytes(f"runs/{one.fingerprint}/log.txt") or b"").decode()
    assert f"begun with 7 threads, goes on with {now}: equal" in log
    assert "not bit for bit" in log


def test_a_diverged_cell_keeps_its_last_good_state_and_names_it(
    tmp_path: Path, job: Callable[..., CellJob]
) -> None:
    good = job(tmp_path, checkpoint__every_minutes=1e6)
    # A sound first epoch, continued with weights that overflow in the second.
    first = next(iter(pretrain(RunSpec.read(good.spec), Worker.here("cpu"))))
    state = first.state
    for name, tensor in state["model"].items():
        if name.endswith("weight") and tensor.ndim > 1:
            tensor.mul_(1e30)
    kept = Checkpoint(state, [first.metrics | {"epoch": 1.0, "seconds": 1.0}], elapsed=1.0)
    record = run(good, kept)
    assert record.status == "failed"
    path = good.run_folder.checkpoint_address
    assert "LossNotFiniteError: loss is nan at step 5 (learning rate 0.0" in record.error
    assert any("LossNotFiniteError" in line for line in record.log_tail)
    assert f"last good state: the state after epoch 1, kept in {path}" in record.error
    left = good.run_folder.checkpoint()
    assert left is not None
    assert left.state["epoch"] == 1


@pytest.mark.parametrize("protocol", ["lbfgs", "none"])
def test_a_cell_whose_last_update_blows_up_is_a_diverged_one(
    protocol: str, tmp_path: Path, job: Callable[..., CellJob]
) -> None:
    wild = {"optim__name": "sgd", "optim__base_learning_rate": 1e10, "schedule__batch_size": 180}
    more = {"schedule__epochs": 1, "schedule__warmup_epochs": 0, "eval__protocol": protocol}
    record = run(job(tmp_path, **wild, **more))
    assert (record.status, record.diverged) == ("failed", True)
    assert record.error.startswith("LossNotFiniteError: loss is nan at step 0 (learning rate ")
    assert not record.results


def test_a_state_whose_features_are_not_finite_makes_a_diverged_cell(
    tmp_path: Path, job: Callable[..., CellJob]
) -> None:
    """As a version left it that did not look: its last epoch, with finite weights."""
    good = job(tmp_path, schedule__epochs=1)
    (result,) = pretrain(RunSpec.read(good.spec), Worker.here("cpu"))
    for name, tensor in result.state["model"].items():
        if name.startswith("encoder.") and name.endswith("weight"):
            tensor.mul_(1e9)
    record = run(good, Checkpoint(result.state, [result.metrics | {"seconds": 1.0}], elapsed=1.0))
    assert (record.status, record.diverged) == ("failed", True)
    assert record.error.startswith("FeaturesNotFiniteError: h is not finite: training has diverged")


def as_nan(state: dict[str, Any]) -> None:
    state["model"]["encoder.stages.0.weight"][0] = torch.nan


def of_another_shape(state: dict[str, Any]) -> None:
    state["model"]["encoder.stages.0.weight"] = torch.zeros(2, 2)


def without_a_part(state: dict[str, Any]) -> None:
    del state["optimizer"]


def of_another_run(state: dict[str, Any]) -> None:
    state["fingerprint"] = "another"


@pytest.mark.parametrize("spoil", [as_nan, of_another_shape, without_a_part, of_another_run])
def test_a_state_that_is_no_good_is_set_aside_and_the_one_before_is_used(
    tmp_path: Path, job: Callable[..., CellJob], spoil: Callable[[dict[str, Any]], None]
) -> None:
    whole = run(job(tmp_path / "whole"))
    broken = job(tmp_path / "broken")
    with pytest.raises(Killed):
        run(broken, die_after=2)
    kept = start_of(broken)
    assert kept is not None
    spoil(kept.state)
    broken.run_folder.write_checkpoint(kept)

    continued = run(broken, start_of(broken))
    assert continued.status == "finished"
    assert continued.results == whole.results
    assert [epoch["epoch"] for epoch in continued.history] == [1, 2, 3]
    assert Storage(broken.storage).exists(f"runs/{broken.fingerprint}/checkpoint.pt.damaged")
    log = broken.run_folder.log()
    assert log is not None
    assert "takes the one before, for the checkpoint is no good: resume: the state " in log


def test_an_error_of_the_data_is_a_failed_record(
    tmp_path: Path, job: Callable[..., CellJob]
) -> None:
    too_large = job(tmp_path, schedule__batch_size=512)
    record = run(too_large)
    assert record.status == "failed"
    assert "schedule.batch_size=512: is larger than the 180 training images" in record.error
    assert too_large.run_folder.record() == record
