"""A second or two, in process: the same records in JSON lines, TensorBoard and W&B (offline)."""

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.logs import Logs, log_problems, read_log, travel_problems
from orchestrator.logs.appended import AppendedFile
from orchestrator.logs.logged_sweep import LoggedSweep
from orchestrator.plan import Plan, build
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.sweeps import sweep_folder
from search_spaces import ABLATIONS
from workloads.catalog import preset_named

KEPT: Any = {
    "cells": [],
    "command": "simclr-orch ablate temperature",
    "data": {"content": "c0ffee"},
    "git_commit": "abc",
    "seeds": [0],
    "started": "2026-01-01T00:00:00+00:00",
}
CURVE = [
    {"epoch": 1.0, "loss": 5.0, "seconds": 1.0, "system/cpu_percent": 90.0},
    {"epoch": 2.0, "loss": 4.0, "seconds": 1.0, "system/cpu_percent": 95.0},
    {"epoch": 3.0, "loss": float("nan"), "seconds": 1.0, "of_no_interest": 1.0},
]
KINDS = ("jsonl", "tensorboard", "wandb")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build(ABLATIONS["temperature"], preset_named("shapes"), seeds=1)


@pytest.fixture(scope="module")
def cells(plan: Plan) -> list[str]:
    return [name for name, cell in plan.jobs.items() if cell.role == "cell"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """W&B without a network, and with nothing of the user's."""
    for name in ("WANDB_API_KEY", "WANDB_DIR", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))
    yield
    import wandb

    wandb.teardown()


def begun(choice: str, plan: Plan, storage: Storage) -> LoggedSweep:
    """What a driver writes into, from its beginning on."""
    (one,) = Logs([read_log(choice)], storage).of(plan)
    one.begin(KEPT)
    return one


def record(fingerprint: str, **more: Any) -> RunRecord:
    tree: dict[str, Any] = {
        "name": "a cell",
        "fingerprint": fingerprint,
        "status": "finished",
        "spec": {"seed": 0},
        "results": {"linear_top1": 70.0},
        "intervals": {"linear_top1": [68.0, 72.0]},
        "history": CURVE,
        "ended": "2026-01-01T01:00:00+00:00",
        "total_seconds": 9.0,
    }
    return RunRecord.read(tree | more)


Points = dict[str, list[tuple[int, float]]]


class Read:
    """What others find: points of curves, and results, of a run."""

    def __init__(self, kind: str, storage: Storage, plan: Plan) -> None:
        self._folder = storage.local_path(sweep_folder(plan))
        self._read = {"jsonl": self._lines, "tensorboard": self._events, "wandb": self._wandb}[kind]

    def __call__(self, fingerprint: str) -> tuple[Points, dict[str, float]]:
        return self._read(fingerprint)

    def _lines(self, fingerprint: str) -> tuple[Points, dict[str, float]]:
        points, results = dict[str, list[tuple[int, float]]](), dict[str, float]()
        for text in (self._folder / "log.jsonl").read_text().splitlines():
            line = json.loads(text)
            if line.get("fingerprint") != fingerprint:
                continue
            for name, value in line.get("metrics", {}).items():
                points.setdefault(name, []).append((line["epoch"], value))
            results |= line.get("results", {})
        return points, results

    def _events(self, fingerprint: str) -> tuple[Points, dict[str, float]]:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        (folder,) = self._folder.glob(f"tensorboard/*-{fingerprint[:8]}")
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        points = {
            name: [(event.step, event.value) for event in events.Scalars(name)]
            for name in events.Tags()["scalars"]
        }
        ends = {name: point for name, point in points.items() if name.startswith("result/")}
        assert all(len(point) == 1 for point in ends.values())
        results = {name.removeprefix("result/"): point[0][1] for name, point in ends.items()}
        return {name: point for name, point in points.items() if name not in ends}, results

    def _wandb(self, fingerprint: str) -> tuple[Points, dict[str, float]]:
        points, results = dict[str, list[tuple[int, float]]](), dict[str, float]()
        for row, summary in offline_rows(self._folder / "wandb", fingerprint):
            for name in row.keys() - {"epoch", "_step", "_runtime", "_timestamp"}:
                points.setdefault(name, []).append((row["epoch"], row[name]))
            results |= summary
        return points, results


def offline_rows(
    folder: Path, fingerprint: str
) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """Rows and results in what W&B keeps offline of the run with a fingerprint.

    Such a file is a log of LevelDB: blocks of 32 KiB, of records behind 7 bytes (checksum, length,
    and which part of a record it is: 1 all, 2 first, 3 middle, 4 last).
    """
    from wandb.proto.wandb_internal_pb2 import Record

    for path in sorted(folder.glob("offline-run-*/*.wandb")):
        data, offset, parts = path.read_bytes(), 7, b""
        rows, config, summary = [], dict[str, Any](), dict[str, float]()
        while offset + 7 <= len(data):
            if 32768 - offset % 32768 < 7:
                offset += 32768 - offset % 32768
                continue
            length, part = int.from_bytes(data[offset + 4 : offset + 6], "little"), data[offset + 6]
            parts += data[offset + 7 : offset + 7 + length]
            offset += 7 + length
            if part not in (1, 4):
                continue
            entry, parts = Record.FromString(parts), b""
            config |= {one.key: json.loads(one.value_json) for one in entry.run.config.update}
            row = {one.key or one.nested_key[0]: one.value_json for one in entry.history.item}
            if row:
                rows.append({name: json.loads(value) for name, value in row.items()})
            for one in entry.summary.update:
                name = one.key or one.nested_key[0]
                if name.startswith("result/"):
                    summary[name.removeprefix("result/")] = json.loads(one.value_json)
        if config.get("fingerprint") == fingerprint:
            yield from ((row, {}) for row in rows)
            yield {}, summary


@pytest.mark.usefixtures("_offline")
def test_curves_and_results_are_written_once_however_often_the_driver_begins(
    kind: str, plan: Plan, cells: list[str], tmp_path: Path
) -> None:
    storage, (first, second, third) = Storage(str(tmp_path)), cells[:3]
    killed = begun(kind, plan, storage)
    killed.started(first)
    killed.started(second)
    for metrics in CURVE[:2]:
        killed.epoch(first, metrics)
    killed.epoch(second, CURVE[0])
    # It is killed here: nothing is closed. The first cell goes on from its second epoch.
    if kind == "wandb":
        import wandb

        wandb.teardown()
    after = begun(kind, plan, storage)
    after.started(first)
    after.epoch(first, CURVE[1])
    after.epoch(first, CURVE[2])
    after.ended(first, record(first))
    after.ended(second, record(second))
    after.taken_over(third, record(third))
    after.finish("FINISHED", {})
    again = begun(kind, plan, storage)
    for name in (first, second, third):
        again.taken_over(name, record(name))
    again.finish("FINISHED", {})
    read = Read(kind, storage, plan)
    for name in (first, second, third):
        points, results = read(name)
        assert [point for point in points["loss"] if point[0] < 3] == [(1, 5.0), (2, 4.0)]
        assert sorted(epoch for epoch, _ in points["seconds"]) == [1, 2, 3]
        assert [epoch for epoch, _ in points["system/cpu_percent"]] == [1, 2]
        assert "of_no_interest" not in points
        assert results == {
            "linear_top1": 70.0,
            "linear_top1_low": 68.0,
            "linear_top1_high": 72.0,
            "total_seconds": 9.0,
        }


@pytest.mark.parametrize("kind", ["jsonl", "tensorboard"])
def test_in_an_object_store_everything_is_there_at_the_end(
    kind: str, plan: Plan, cells: list[str], tmp_path: Path
) -> None:
    storage = Storage(f"memory://{tmp_path.name}-{kind}")
    for name in cells[:2]:  # two drivers, the second after the end of the first
        one = begun(kind, plan, storage)
        for metrics in CURVE:
            one.epoch(name, metrics)
        one.ended(name, record(name))
        one.finish("KILLED", {})
    _copy(storage, sweep_folder(plan), Storage(str(tmp_path)))
    for name in cells[:2]:
        points, results = Read(kind, Storage(str(tmp_path)), plan)(name)
        assert [epoch for epoch, _ in points["loss"]] == [1, 2, 3]
        assert results["linear_top1"] == 70.0


def _copy(source: Storage, folder: str, target: Storage) -> None:
    for entry in source.list(folder):
        name = f"{folder}/{entry}"
        if source.is_folder(name):
            _copy(source, name, target)
        else:
            target.write_bytes(name, source.read_bytes(name) or b"")


def test_several_sweeps_share_a_file_and_a_cut_line_costs_itself_only(
    plan: Plan, cells: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "own" / "all.jsonl"
    other = build(ABLATIONS["temperature"], preset_named("digits"), seeds=1)
    storage = Storage(str(tmp_path / "storage"))
    for one_plan, name in ((plan, cells[0]), (other, next(iter(other.jobs)))):
        one = begun(f"jsonl={file}", one_plan, storage)
        one.ended(name, record(name))
        one.finish("FINISHED", {})
    whole = file.read_text()
    file.write_text(whole + '{"kind": "epoch", "sweep": "' + plan.sweep_id)
    again = begun(f"jsonl={file}", plan, storage)
    again.taken_over(cells[0], record(cells[0]))
    again.taken_over(cells[1], record(cells[1]))
    again.finish("FINISHED", {})
    assert file.read_text().startswith(whole)
    lines = []
    for text in file.read_text().splitlines():
        if text.endswith("}"):
            lines.append(json.loads(text))
    told = [line["kind"] for line in lines if line["sweep"] == plan.sweep_id]
    assert told.count("result") == 2
    assert told.count("epoch") == 6
    assert {line["sweep"] for line in lines} == {plan.sweep_id, other.sweep_id}
    assert lines[1]["params"] == plan.jobs[cells[0]].spec.flat()
    assert not (tmp_path / "storage").exists()


class Filling:
    """A file system that is full now and then: of what is written there, a half is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes, self.is_full = 0, lambda _: False
        whole = AppendedFile.append

        def append(file: AppendedFile, piece: bytes) -> None:
            self.writes += 1
            if self.is_full(self.writes):
                whole(file, piece[: len(piece) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            whole(file, piece)

        monkeypatch.setattr(AppendedFile, "append", append)


@pytest.mark.parametrize("kind", ["jsonl", "tensorboard"])
def test_each_write_that_fails_is_made_up_for_and_nothing_is_there_twice(
    kind: str, plan: Plan, cells: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, name = Filling(monkeypatch), cells[0]

    def write(storage: Storage) -> None:
        one = begun(kind, plan, storage)
        steps: list[Callable[[], None]] = [
            lambda: one.started(name),
            *(lambda metrics=metrics: one.epoch(name, metrics) for metrics in CURVE),  # type: ignore[misc]
            lambda: one.ended(name, record(name)),
            lambda: one.finish("FINISHED", {}),
        ]
        for step in steps:
            with suppress(OSError):
                step()
                continue
            step()

    write(Storage(str(tmp_path / "whole")))
    expected = Read(kind, Storage(str(tmp_path / "whole")), plan)(name)
    count = disk.writes
    first = 1 if kind == "tensorboard" else 2  # of a beginning there may be two
    for failing in range(first, count + 1):
        storage = Storage(str(tmp_path / str(failing)))
        disk.writes, disk.is_full = 0, lambda number, failing=failing: number == failing
        write(storage)
        assert str(Read(kind, cut_away(storage), plan)(name)) == str(expected)


def cut_away(storage: Storage) -> Storage:
    """The storage, without the lines that a full disk has cut: people's readers pass them over."""
    for file in storage.local_path().rglob("*.jsonl"):
        lines = file.read_text().splitlines()
        file.write_text("".join(f"{line}\n" for line in lines if line.endswith("}")))
    return storage


def test_a_point_whose_driver_was_killed_before_it_said_so_is_there_once(
    plan: Plan, cells: list[str], tmp_path: Path
) -> None:
    storage, name = Storage(str(tmp_path)), cells[0]
    killed = begun("tensorboard", plan, storage)
    killed.started(name)
    killed.epoch(name, CURVE[0])
    written = tmp_path / sweep_folder(plan) / "tensorboard" / "written.jsonl"
    before = written.read_bytes()
    killed.epoch(name, CURVE[1])
    written.write_bytes(before)
    after = begun("tensorboard", plan, storage)
    after.ended(name, record(name))
    after.finish("FINISHED", {})
    points, _ = Read("tensorboard", storage, plan)(name)
    assert points["loss"][:2] == [(1, 5.0), (2, 4.0)]
    assert [step for step, _ in points["seconds"]] == [1, 2, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
def test_a_full_disk_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        AppendedFile(Storage(str(tmp_path)), "log").append(b"line")


def test_a_run_that_fails_and_is_tried_again_has_both_endings(
    plan: Plan, cells: list[str], tmp_path: Path
) -> None:
    storage, name = Storage(str(tmp_path)), cells[0]
    one = begun("jsonl", plan, storage)
    failed = record(name, status="failed", error="a\nb", results={}, intervals=None, ended="1")
    one.ended(name, failed)
    one.ended(name, record(name, ended="2"))
    one.finish("FINISHED", {})
    text = (tmp_path / sweep_folder(plan) / "log.jsonl").read_text()
    endings = [line for line in map(json.loads, text.splitlines()) if line["kind"] == "result"]
    assert [line["status"] for line in endings] == ["failed", "finished"]
    assert endings[0]["error"] == "b"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            "wand",
            "--log wand: no such log; known are jsonl, tensorboard, wandb",
        ),
        ("jsonl=", "--log jsonl=: nothing stands behind '='; leave it out, or say where"),
        ("wandb=a/b/c", "--log wandb=a/b/c: is neither PROJECT nor TEAM/PROJECT"),
        ("jsonl={folder}", "--log jsonl={folder}: is a folder; name a file in it"),
        ("tensorboard={file}/x", "--log tensorboard={file}/x: cannot be written: "),
        ("jsonl={file}/x", "--log jsonl={file}/x: cannot be written: "),
    ],
)
def test_what_cannot_be_written_is_refused_beforehand(
    typed: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    names = {"folder": str(tmp_path), "file": str(tmp_path / "file")}
    (problem,) = log_problems([typed.format(**names)], Storage(str(tmp_path)))
    assert problem.startswith(said.format(**names))


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("orchestrator.logs.choice.find_spec", lambda _: None)
    problems = log_problems(["wandb", "jsonl", "tensorboard"], Storage(str(tmp_path)))
    assert [problem.partition(": pip install")[0] for problem in problems] == [
        "--log wandb: needs wandb",
        "--log tensorboard: needs tensorboard",
    ]
    assert all(": pip install" in problem for problem in problems)


def test_an_account_is_asked_for_before_anything_starts_and_not_by_a_prompt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    (problem,) = log_problems(["wandb"], Storage(str(tmp_path)))
    assert problem.startswith("--log wandb: W&B has no key for ")
    assert "wandb login" in problem
    assert "WANDB_MODE=offline" in problem
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert log_problems(["wandb"], Storage(str(tmp_path))) == []


def test_a_relative_file_is_refused_on_another_machine(tmp_path: Path) -> None:
    texts = ["jsonl", "jsonl=x.jsonl", f"tensorboard={tmp_path}", "jsonl=s3://b/x", "wandb=p"]
    assert travel_problems(texts) == [
        "--log jsonl=x.jsonl: is relative to this folder; give the path that it has on the cluster"
    ]
