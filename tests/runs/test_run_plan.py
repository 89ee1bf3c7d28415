"""Seconds, several processes: runs of a plan without Ray, killed, stopped, shared and refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from workloads.__main__ import main
from workloads.catalog.simclr import SIMCLR
from workloads.distributed.worker import Worker
from workloads.run_record import RunRecord
from workloads.runs import machine_use, run_plan
from workloads.runs.cell import run_cell
from workloads.runs.deadline import Deadline
from workloads.runs.folder import LocalRun
from workloads.runs.in_use import InUse
from workloads.runs.local_jobs import LocalJob, LocalPack
from workloads.runs.plan_file import PlanFile
from workloads.runs.processes import Event
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec
from workloads.two_layer_cnn.presets import preset as two_layer_preset

PlanOf = Callable[..., PlanFile]
# what no two runs have in common
TIMED = {"seconds", "images_per_second", *machine_use.NAMES}


@pytest.fixture
def base(tiny: Callable[..., dict[str, Any]]) -> RunSpec:
    return preset("shapes").with_values(tiny(schedule__epochs=2))


def written(plan: PlanFile, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    plan.write(folder / "plan.json")
    return str(folder / "plan.json")


def run(plan: PlanFile, folder: Path, *words: str) -> int:
    file = written(plan, folder)
    return main(["run", file, "--output", str(folder), "--device", "cpu", "--threads", "1", *words])


def left_by(plan: PlanFile, folder: Path) -> dict[str, RunRecord | None]:
    return {cell.fingerprint: LocalRun(folder, cell.fingerprint).record() for cell in plan.cells}


def found(record: RunRecord | None) -> tuple[Any, ...]:
    """All of a record that is to be the same whoever did the run."""
    assert record is not None
    assert record.has_finished, record.error
    curves = [{name: each[name] for name in each.keys() - TIMED} for each in record.history]
    return dict(record.results), dict(record.intervals or {}), curves, dict(record.spec)


def all_found(plan: PlanFile, folder: Path) -> dict[str, tuple[Any, ...]]:
    return {name: found(record) for name, record in left_by(plan, folder).items()}


def test_what_needs_ray_and_the_like_is_not_imported(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec, repository: Path
) -> None:
    """Two runs in processes of which none can import anything but the workloads."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    others = ("ray", "mlflow", "typer", "rich", "pyarrow", "orchestrator", "search_spaces")
    for name in others:
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is not there')\n")
    (blocked / "workloads").symlink_to(repository / "workloads")
    plan = plan_of(base, base.with_values({"seed": 1}))
    file = written(plan, tmp_path)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "workloads", "run", file, "--output", str(tmp_path / "out")),
            *("--device", "cpu", "--at-once", "1", "--threads", "1"),
        ],
        cwd=blocked,
        env={**os.environ, "PYTHONPATH": str(blocked), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert "2 finished, 0 failed, 0 left" in ended.stdout
    assert not ended.stderr
    assert all(
        record and record.has_finished for record in left_by(plan, tmp_path / "out").values()
    )


def test_two_shares_are_what_one_call_does(tmp_path: Path, plan_of: PlanOf, base: RunSpec) -> None:
    """A run that only evaluates the state of another one goes with it, and says so."""
    seeds = [base.with_values({"seed": seed}) for seed in (0, 1)]
    again = [seed.with_values({"eval.knn.k": 5}) for seed in seeds]
    plan = plan_of(*seeds, *again)
    assert run(plan, tmp_path / "whole") == 0
    assert run(plan, tmp_path / "shared", "--share", "1/2") == 0
    assert sum(record is not None for record in left_by(plan, tmp_path / "shared").values()) == 2
    assert run(plan, tmp_path / "shared", "--share", "2/2") == 0
    assert all_found(plan, tmp_path / "shared") == all_found(plan, tmp_path / "whole")
    lent = [record and record.trained_by for record in left_by(plan, tmp_path / "shared").values()]
    assert lent == [None, None, seeds[0].fingerprint(), seeds[1].fingerprint()]


def test_killed_at_any_moment_the_same_command_continues(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec
) -> None:
    """SIGKILL for the first process leaves none behind, and what was done is not done again."""
    longer = base.with_values({"schedule.epochs": 6})
    plan = plan_of(longer, longer.with_values({"seed": 1}))
    assert run(plan, tmp_path / "whole") == 0
    before = all_found(plan, tmp_path / "whole")

    folder = tmp_path / "killed"
    command = [
        *(sys.executable, "-m", "workloads", "run", written(plan, folder)),
        *("--output", str(folder), "--device", "cpu", "--at-once", "1", "--threads", "1"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not list(folder.glob("runs/*/spec.yaml")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 1.5))
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    psutil.wait_procs(below, timeout=60)
    assert not [each for each in below if each.is_running() and each.status() != "zombie"]

    times = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/run.json")}
    assert run(plan, folder) == 0
    assert all_found(plan, folder) == before
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())


def test_a_run_whose_process_dies_is_tried_again(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec, kill_one: Callable[[int, str], None]
) -> None:
    plan = plan_of(base.with_values({"schedule.epochs": 4}))
    file = written(plan, tmp_path)
    command = [
        *(sys.executable, "-m", "workloads", "run", file, "--output", str(tmp_path)),
        *("--device", "cpu", "--at-once", "1", "--threads", "1"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        kill_one(process.pid, "spawn_main")
        said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    assert "its process was lost (exit code -9)" in said
    assert "1 finished, 0 failed, 0 left" in said


def test_time_that_is_over_leaves_a_state_to_continue_from(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = base.with_values({"schedule.epochs": 100_000})
    plan = plan_of(endless, base)
    assert run(plan, tmp_path, "--cells", "1", "--minutes", "0.5") == 3
    assert "0 finished, 0 failed, 1 left" in capsys.readouterr().out
    assert LocalRun(tmp_path, endless.fingerprint()).record() is None
    assert run(plan, tmp_path, "--cells", "2", "--minutes", "60") == 0


def test_a_step_after_which_a_run_is_to_stop_is_kept(tmp_path: Path, base: RunSpec) -> None:
    """In a part for each step it comes to what it comes to at once."""
    longer = base.with_values({"schedule.epochs": 3})

    def job(folder: str) -> LocalJob:
        return LocalJob("a cell", "simclr", longer.fingerprint(), longer.tree(), tmp_path / folder)

    def do(one: LocalJob, *, stop: bool) -> RunRecord | None:
        start = one.run_folder.own_checkpoint()
        return run_cell(one, Worker.here("cpu"), start, lambda _: None, stop=lambda: stop)

    parts = [do(job("parts"), stop=True)]
    while parts[-1] is None and len(parts) < 100:
        parts.append(do(job("parts"), stop=True))
    assert len(parts) > 3, "more than the epochs"
    # after the last step there is nothing to stop any more
    assert found(parts[-1]) == found(do(job("whole"), stop=False))


def test_states_are_dropped_where_that_is_asked(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec
) -> None:
    plan = plan_of(base, base.with_values({"eval.knn.k": 5}))
    assert run(plan, tmp_path, "--cells", "1", "--drop-states") == 0
    assert not list(tmp_path.rglob("checkpoint.pt"))
    assert run(plan, tmp_path, "--drop-states") == 0  # trains again what it cannot take over
    assert not list(tmp_path.rglob("checkpoint.pt"))
    assert len(all_found(plan, tmp_path)) == 2


def test_a_run_that_diverges_fails_and_is_not_tried_again(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = {"optim.name": "sgd", "optim.base_learning_rate": 1e30, "precision": "fp32"}
    plan = plan_of(base.with_values(wild), base)
    assert run(plan, tmp_path) == 1
    assert "1 finished, 1 failed, 0 left" in capsys.readouterr().out
    record = left_by(plan, tmp_path)[plan.cells[0].fingerprint]
    assert record is not None
    assert record.diverged
    assert run(plan, tmp_path) == 1
    assert "begins" not in capsys.readouterr().out


def test_small_runs_share_processes(tmp_path: Path, plan_of: PlanOf) -> None:
    tiny = two_layer_preset("gaussian-patches").with_values(
        {"data.dimension": 60, "data.unlabeled": 20, "data.test": 100, "data.labels": 8}
    )
    plan = plan_of(*(tiny.with_values({"seed": n}) for n in range(6)), workload="two-layer-cnn")
    assert run(plan, tmp_path / "one", "--at-once", "1") == 0
    assert run(plan, tmp_path / "two", "--at-once", "2", "--share", "1/2") == 0
    assert run(plan, tmp_path / "two", "--at-once", "2") == 0
    assert len(all_found(plan, tmp_path / "one")) == len(all_found(plan, tmp_path / "two")) == 6
    assert not list(tmp_path.glob("*/running/*"))


def test_what_another_process_does_is_left_to_it(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec
) -> None:
    plan = plan_of(base)
    code = (
        "import sys, time; from pathlib import Path; from workloads.runs.in_use import InUse\n"
        "print(InUse(Path(sys.argv[1])).take(sys.argv[2]), flush=True); time.sleep(600)"
    )
    words = [sys.executable, "-c", code, str(tmp_path), base.fingerprint()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert run(plan, tmp_path) == 3
        other.kill()
    assert left_by(plan, tmp_path) == {base.fingerprint(): None}
    assert InUse(tmp_path).take(base.fingerprint())  # whoever has died has given it back


def test_wrong_requests_are_refused_in_one_sentence(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"title": "shapes", "content": "another"}
    plan = plan_of(base, sweeps=({"base": base.tree(), "data": data},))
    for words, said in (
        (("--cells", "2"), "--cells 2: there are cells 1 to 1, and no 2"),
        (("--share", "9/8"), "--share 9/8: must be as 2/8"),
        (("--device", "cuda:99"), "--device cuda:99: this machine has"),
        (("--cells", ""), "--cells : '' is no number"),
        (("--share", ""), "--share : must be as 2/8"),
        (("--device", "abacus"), "--device abacus: is no device"),
        (("--at-once", "0"), "--at-once 0: must be at least 1"),
        (("--minutes", "0"), "--minutes 0.0: must be more than 0"),
        (("--path", "data.rot=/x"), "--path data.rot=/x: must be FIELD=PATH"),
        ((), "those of the plan another"),
    ):
        assert run(plan, tmp_path, *words) == 2
        errors = capsys.readouterr().err
        assert said in errors
        assert len(errors.splitlines()) == 1
    assert not list(tmp_path.glob("runs/*"))
    file = written(plan, tmp_path)
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    assert main(["run", file, "--output", str(blocked)]) == 2
    assert "--output" in capsys.readouterr().err


def test_images_may_lie_elsewhere(
    tmp_path: Path,
    plan_of: PlanOf,
    tiny: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A path is no part of a run; other images are, and are refused."""
    from PIL import Image

    for root, shift in (("there", 0), ("here", 0), ("other", 9)):
        for part, label, number in (
            (part, label, number)
            for part in ("train", "test")
            for label in ("a", "b")
            for number in range(40)
        ):
            file = tmp_path / root / part / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            shade = (number * 5 + shift) % 256
            size = 8 if root != "other" else 9
            Image.new("RGB", (size, size), (shade, 255 - shade, 40 * (label == "a"))).save(file)
    fields = tiny(data__name="image-folder", data__root=str(tmp_path / "there"))
    fields |= {"data.train_images": None, "data.test_images": None, "schedule.epochs": 1}
    base = preset("shapes").with_values(fields)

    pinned, facts = SIMCLR.prepare(base, download=False)
    data = {"title": facts.title, "content": facts.content}
    plan = plan_of(pinned, sweeps=({"base": pinned.tree(), "data": data},))
    (tmp_path / "there").rename(tmp_path / "away")
    assert run(plan, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "there is no such folder; --data-root DIR says where it lies here" in said
    assert run(plan, tmp_path / "out", "--data-root", str(tmp_path / "other")) == 2
    assert run(plan, tmp_path / "out", "--data-root", str(tmp_path / "here")) == 0
    (record,) = left_by(plan, tmp_path / "out").values()
    assert record is not None
    assert record.spec["data"]["root"] == str(tmp_path / "here")
    assert record.fingerprint == pinned.fingerprint()


def test_stopping_is_near_before_it_is_here() -> None:
    assert not Deadline.after(None).is_near
    late = Deadline.after(10)
    assert not late.is_near
    soon = Deadline(end=time.monotonic() + 1, minutes=10)
    assert soon.is_near
    assert soon.is_here
    late.ask()
    assert late.is_near
    assert not late.is_here


def test_a_plan_is_kept_beside_its_runs(tmp_path: Path, plan_of: PlanOf, base: RunSpec) -> None:
    plan = plan_of(base.with_values({"schedule.epochs": 0, "schedule.warmup_epochs": 0}))
    assert run(plan, tmp_path) == 0
    kept = tmp_path / "plans" / f"{plan.digest}.json"
    assert json.loads(kept.read_text())["digest"] == plan.digest


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 3), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)]
)
def test_who_is_told_to_end_keeps_states_and_says_that_something_is_left(
    number: signal.Signals,
    code: int,
    tmp_path: Path,
    plan_of: PlanOf,
    base: RunSpec,
    wait_for: Callable[..., None],
) -> None:
    """As Slurm tells it: the one that was started, and those that it has started, too."""
    endless = base.with_values({"schedule.epochs": 100_000, "checkpoint.every_minutes": 0.05})
    file, run_left = written(plan_of(endless), tmp_path), LocalRun(tmp_path, endless.fingerprint())
    command = [
        *(sys.executable, "-m", "workloads", "run", file, "--output", str(tmp_path)),
        *("--device", "cpu", "--at-once", "1", "--threads", "1"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(run_left.has_checkpoint, 300)
        before = run_left.own_checkpoint()
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        for each in below:
            each.send_signal(number)
        said, _ = process.communicate(timeout=300)
    assert process.returncode == code, said
    assert run_left.record() is None
    kept = run_left.own_checkpoint()
    assert before is not None
    assert kept is not None
    assert kept.elapsed > before.elapsed


def test_a_process_that_is_told_to_end_when_its_run_has_ended_does_not_have_it_done_again(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec
) -> None:
    """As where the signal comes while the encoder is evaluated, which is done to its end."""
    plan = plan_of(base)
    assert run(plan, tmp_path) == 0
    name, lines, taken, killed = base.fingerprint(), list[str](), list[LocalPack](), list[bool]()
    pack = LocalPack((LocalJob("a run", "simclr", name, base.tree(), tmp_path),))
    process: Any = SimpleNamespace(
        pack=pack, heard=lambda: Event("stopped"), kill=lambda: killed.append(True)
    )
    asked: Any = SimpleNamespace(took=taken.append, number_of=lambda _: 1)
    whole = run_plan._Round([process], [], Deadline(), asked, lines.append)
    whole._ended_at[name] = None
    whole._hear(process)
    assert (taken, killed, [*whole._waiting]) == ([pack], [True], [])
    assert len(lines) == 1


def test_a_process_that_alone_is_told_to_end_is_replaced_from_its_last_state(
    tmp_path: Path, plan_of: PlanOf, base: RunSpec, wait_for: Callable[..., None]
) -> None:
    long = base.with_values({"schedule.epochs": 200})
    file = written(plan_of(long), tmp_path)
    command = [
        *(sys.executable, "-m", "workloads", "run", file, "--output", str(tmp_path)),
        *("--device", "cpu", "--at-once", "1", "--threads", "1"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(tmp_path.glob("runs/*/spec.yaml")), 300)
        for each in psutil.Process(process.pid).children(recursive=True):
            each.terminate()
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "its process was told to end; another one goes on" in said
    record = LocalRun(tmp_path, long.fingerprint()).record()
    assert record is not None
    assert [epoch["epoch"] for epoch in record.history] == list(range(1, 201))
    log = (tmp_path / "runs" / long.fingerprint() / "log.txt").read_text()
    assert "continues after epoch" in log
