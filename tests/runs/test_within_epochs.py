"""A run that is left or killed at any step, and taken up again: the same bits in the end."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads.checkpoint import decode, encode
from workloads.distributed.worker import Worker
from workloads.run_record import RunRecord
from workloads.runs import cell
from workloads.runs.cell import run_cell, start_of
from workloads.runs.folder import Checkpoint, checkpoint_bytes, checkpoint_files
from workloads.runs.local_jobs import LocalJob
from workloads.simclr.epoch import LossNotFiniteError
from workloads.simclr.presets import preset

CPU = Worker.here("cpu")
TIMES = ("seconds", "images_per_second")  # of the clock
STEPS = 5  # an epoch


class Killed(BaseException):
    """Stands for the death of the process: nothing of ours catches it."""


Make = Callable[..., LocalJob]


@pytest.fixture
def job(tiny: Callable[..., dict[str, Any]]) -> Make:
    """A run of three epochs in a folder; its state is kept after each step."""

    def make(root: Path, **fields: Any) -> LocalJob:
        common = {"schedule__epochs": 3, "precision": "fp32", "eval__protocol": "none"}
        values = tiny(**common | {"checkpoint__every_minutes": 0.0} | fields)
        spec = preset("shapes").with_values(values)
        return LocalJob("a run", "simclr", spec.fingerprint(), spec.tree(), root)

    return make


@pytest.fixture(autouse=True)
def _as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.runs.pauses.SHARE", 1e9)


def run(one: LocalJob, *, steps: int | None = None, worker: Worker = CPU) -> RunRecord | None:
    """Begin or go on, and leave after so many steps and ends of epochs."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return steps is not None and asked >= steps

    return run_cell(one, worker, start_of(one), lambda _: None, stop=stop)


def last_of(one: LocalJob) -> Checkpoint:
    kept = one.run_folder.own_checkpoint()
    assert kept is not None
    return kept


def assert_same_bits(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same_bits(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same_bits(mine, theirs)
    else:
        assert one == other


def curves(history: list[dict[str, float]]) -> list[dict[str, float]]:
    used = ("loss", "epoch", "learning_rate", "contrastive_accuracy", "contrastive_entropy")
    return [{name: epoch.get(name, 0.0) for name in used} for epoch in history]


@pytest.mark.parametrize(
    "fields",
    [
        {"eval__online": True, "optim__name": "lars"},
        {"optim__name": "adamw", "schedule__chunk": 16},
        {"loss__name": "cross-entropy"},
        {"schedule__image_sizes": [[8, 0.5], [16, 0.5]]},
    ],
    ids=["lars, online", "adamw, chunks", "supervised", "sizes"],
)
def test_a_run_left_at_random_steps_ends_with_the_same_bits(
    fields: dict[str, Any], tmp_path: Path, job: Make
) -> None:
    whole, broken = job(tmp_path / "whole", **fields), job(tmp_path / "broken", **fields)
    assert run(whole) is not None
    draw, left = random.Random(str(fields)), 0
    while (record := run(broken, steps=draw.randint(1, 7))) is None:
        left += 1
    assert left >= 2
    assert_same_bits(last_of(whole).state, last_of(broken).state)
    assert curves(record.history) == curves(last_of(whole).history)
    assert [epoch["epoch"] for epoch in record.history] == [1, 2, 3]


def test_a_run_killed_at_any_step_ends_with_the_same_bits(
    tmp_path: Path, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = job(tmp_path / "whole"), job(tmp_path / "broken")
    assert run(whole) is not None
    written = LocalJob.run_folder.fget(broken).write_checkpoint  # type: ignore[attr-defined]

    for step in range(1, 4):
        before = 0

        def dying(files: Any, kept: Checkpoint, copies: int = 1, *, at: int = step) -> None:
            nonlocal before
            before += 1
            if before > at:
                raise Killed
            written.__func__(files, kept, copies)

        with monkeypatch.context() as patch:
            patch.setattr(type(broken.run_folder), "write_checkpoint", dying)
            with pytest.raises(Killed):
                run(broken)
        assert last_of(broken).step in (*range(STEPS),)
    assert last_of(broken).state["epoch"] == 1  # 1 + 2 + 3 moments, of which the fifth is an end
    record = run(broken)
    assert record is not None
    assert_same_bits(last_of(whole).state, last_of(broken).state)
    assert curves(record.history) == curves(last_of(whole).history)


def spoilt(name: str, data: bytes) -> bytes:
    """A whole checkpoint from which nothing can be continued."""
    kept = decode(data)
    weights = kept["state"]["model"]
    first = next(iter(weights))
    match name:
        case "no state":
            kept = {"something": 1}
        case "not finite":
            weights[first].fill_(float("nan"))
        case "another shape":
            weights[first] = torch.zeros(3)
        case "a later epoch":
            kept["state"]["epoch"] = 9
        case "more steps than an epoch has":
            kept["state"]["within"] = {"measured": torch.zeros(99, 1, 3), "seconds": 1.0}
    return encode(kept)


def one_bit_flipped(data: bytes) -> bytes:
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return bytes(flipped)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "zeros": lambda data: bytes(len(data)),
    "empty": lambda _: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "one bit": one_bit_flipped,
    "a folder": lambda _: None,
    "no state": partial(spoilt, "no state"),
    "not finite": partial(spoilt, "not finite"),
    "another shape": partial(spoilt, "another shape"),
    "a later epoch": partial(spoilt, "a later epoch"),
    "more steps than an epoch has": partial(spoilt, "more steps than an epoch has"),
    "another run": lambda data: data,  # see below
}


@pytest.mark.parametrize("both", [False, True], ids=["the newest", "both"])
@pytest.mark.parametrize("how", list(DAMAGES))
def test_a_damaged_checkpoint_is_passed_over(
    how: str, both: bool, tmp_path: Path, job: Make, caplog: pytest.LogCaptureFixture
) -> None:
    whole, broken = job(tmp_path / "whole"), job(tmp_path / "broken")
    other = job(tmp_path / "other", seed=7)
    assert run(whole) is not None
    assert run(other, steps=2) is None
    assert run(broken, steps=8) is None
    folder = broken.run_folder.folder
    assert checkpoint_files(p.name for p in folder.iterdir()) == [
        "checkpoint.pt",
        "checkpoint-1.pt",
    ]
    names = ["checkpoint.pt", "checkpoint-1.pt"][: 2 if both else 1]
    for file in (folder / name for name in names):
        data = DAMAGES[how](file.read_bytes())
        if how == "another run":
            data = checkpoint_bytes(last_of(other))
        file.unlink()
        file.mkdir() if data is None else file.write_bytes(data)
    record = run(broken)
    assert record is not None
    assert record.has_finished
    assert_same_bits(last_of(whole).state, last_of(broken).state)
    assert curves(record.history) == curves(last_of(whole).history)
    log = (folder / "log.txt").read_text()
    assert ("begins from scratch" in log) is both
    assert both or "continues after epoch 1, step 2" in log
    assert all(f"{name}.damaged" in caplog.text for name in names)
    # nothing but the last state is needed any more
    assert checkpoint_files(p.name for p in folder.iterdir()) == ["checkpoint.pt"]


def test_checkpoints_that_cannot_be_set_aside_do_not_keep_a_run_for_ever(
    tmp_path: Path, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a bucket where nothing may be deleted."""
    one, other = job(tmp_path), job(tmp_path / "other", seed=7)
    assert run(other, steps=2) is None
    assert run(one, steps=2) is None
    (one.run_folder.folder / "checkpoint.pt").write_bytes(checkpoint_bytes(last_of(other)))
    monkeypatch.setattr(type(one.run_folder), "set_checkpoint_aside", lambda *_: None)
    record = run(one)
    assert record is not None
    assert record.has_finished
    assert [epoch["epoch"] for epoch in record.history] == [1, 2, 3]


def test_of_several_workers_only_the_first_needs_to_reach_the_storage(
    tmp_path: Path, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_: object) -> list[str]:
        raise OSError("no route to host")

    one = job(tmp_path)
    monkeypatch.setattr(type(one.run_folder), "_names", unreachable)
    cell._Run(one, replace(CPU, rank=1, world_size=2), None, (), cell.never)


def test_a_run_that_diverges_within_an_epoch_says_which_state_it_has_kept(
    tmp_path: Path, job: Make
) -> None:
    one = job(tmp_path)
    assert run(one, steps=8) is None  # of 5 moments an epoch
    ended = cell._Run(one, CPU, start_of(one), (), cell.never)
    record = ended.fail(LossNotFiniteError(float("nan"), 8, 0.1, 1), diverged=True)
    assert record.error is not None
    assert "; kept is that of step 3 of epoch 2, in " in record.error
    assert (last_of(one).state["epoch"], last_of(one).step) == (1, 3)


def test_a_checkpoint_without_a_checksum_is_read(tmp_path: Path, job: Make) -> None:
    """As earlier versions have left it."""
    whole, broken = job(tmp_path / "whole"), job(tmp_path / "broken")
    run(whole)
    run(broken, steps=8)
    file = broken.run_folder.folder / "checkpoint.pt"
    torch.save(decode(file.read_bytes()), file)
    run(broken)
    assert_same_bits(last_of(whole).state, last_of(broken).state)
    assert not (broken.run_folder.folder / "checkpoint.pt.damaged").exists()


def test_as_many_checkpoints_are_kept_as_asked_for(tmp_path: Path, job: Make) -> None:
    one = job(tmp_path, checkpoint__keep=3)
    run(one, steps=9)
    there = sorted(p.name for p in one.run_folder.folder.glob("checkpoint*"))
    assert there == ["checkpoint-1.pt", "checkpoint-2.pt", "checkpoint.pt"]
    kept = [decode((one.run_folder.folder / name).read_bytes()) for name in there]
    assert [each["step"] for each in kept] == [3, 2, 4]
    assert checkpoint_files([*there, "checkpoint.pt.damaged", "log.txt"]) == [
        *("checkpoint.pt", "checkpoint-1.pt", "checkpoint-2.pt"),
    ]


def test_how_states_are_kept_changes_no_fingerprint(tmp_path: Path, job: Make) -> None:
    often = {"checkpoint__every_minutes": 3.0, "checkpoint__keep": 5}
    assert job(tmp_path).fingerprint == job(tmp_path, **often).fingerprint


def _on_each_rank(folder: Path) -> Any:
    """Leave at the second rank's word, twice, and end."""
    import workloads.runs.pauses as pauses

    pauses.SHARE, pauses.SECONDS_BETWEEN_AGREEMENTS = 1e9, 0.0
    worker = Worker.here("cpu")
    job = torch.load(folder / "job.pt", weights_only=False)
    ends = []
    for steps in (3, 6, None):
        mine = steps if worker.rank == 1 else None
        torch.distributed.barrier()
        start = start_of(job)
        asked = 0

        def stop(after: int | None = mine) -> bool:
            nonlocal asked
            asked += 1
            return after is not None and asked >= after

        record = run_cell(job, worker, start, lambda _: None, stop=stop)
        torch.distributed.barrier()
        left = job.run_folder.own_checkpoint()
        ends.append((None if record is None else record.history, left.state["epoch"], left.step))
    return ends


def test_two_workers_leave_at_the_same_step_and_end_with_the_same_bits(
    tmp_path: Path, job: Make, gloo_group: Callable[..., list[Any]]
) -> None:
    ended = {}
    for name, times in (("whole", False), ("broken", True)):
        (tmp_path / name).mkdir()
        one = job(tmp_path / name, eval__online=True)
        torch.save(one, tmp_path / name / "job.pt")
        ended[name] = one
        function = _on_each_rank if times else _undisturbed
        first, second = gloo_group(function, tmp_path / name)
        if times:
            assert [end[1:] for end in first] == [end[1:] for end in second]
            assert [end[0] is None for end in first] == [True, True, False]
            assert [epoch["epoch"] for epoch in first[-1][0]] == [1, 2, 3]
    whole, broken = last_of(ended["whole"]), last_of(ended["broken"])
    assert_same_bits(whole.state, broken.state)
    assert curves(whole.history) == curves(broken.history)


def _undisturbed(folder: Path) -> Any:
    job = torch.load(folder / "job.pt", weights_only=False)
    run_cell(job, Worker.here("cpu"), None, lambda _: None)
    return None
