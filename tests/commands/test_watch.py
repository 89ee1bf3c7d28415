"""Milliseconds, in process: a sweep that somebody else drives, watched and asked to stop."""

import io
import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.stop import cells_named, stop
from orchestrator.commands.watch import watch
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.storage.leases import Claim, Lease, Observer, sweep_lease
from orchestrator.storage.progress import (
    Axis,
    CellProgress,
    SweepProgress,
    keep_progress,
    read_progress,
)
from orchestrator.storage.stop_requests import stops_asked

FOLDER = "losses/0123456789ab"
COMMAND = "simclr-orch ablate losses"


class Driven:
    """A sweep of four cells, and what whoever drives it makes of it at each look of another."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.steps: list[Callable[[], object]] = []
        now = datetime.now(UTC)
        self.progress = SweepProgress(
            name="losses",
            sweep="0123456789ab",
            command=COMMAND,
            started=now - timedelta(seconds=60),
            updated=now,
            host=socket.gethostname(),
            pid=1,
            metric="linear_top1",
            unit="%",
            axes=(
                Axis(name="first", labels=("crop", "blur")),
                Axis(name="second", labels=("a", "b")),
            ),
            cells={
                "aaaa1111": _cell("crop", "a", state="finished", result=50.0),
                "bbbb2222": _cell("crop", "b", state="running", epoch=3, epochs=9, loss=1.25),
                "cccc3333": _cell("blur", "a", state="running", epoch=1, epochs=9),
                "dddd4444": _cell("blur", "b"),
            },
        )
        self.keep()

    def keep(self, **more: Any) -> None:
        whole = self.progress.model_dump() | {"updated": datetime.now(UTC)} | more
        self.progress = SweepProgress.model_validate(whole)
        keep_progress(self.storage, self.progress)

    def set(self, *names: str, **more: Any) -> None:
        cells = {name: cell.model_dump() for name, cell in self.progress.cells.items()}
        for name in names:
            cells[name] |= more
        self.keep(cells=cells)

    def sleep(self, _: float) -> None:
        if self.steps:
            self.steps.pop(0)()


def _cell(first: str, second: str, **more: Any) -> CellProgress:
    return CellProgress(name=f"{first} · {second} · seed 0", places=((first, second),), **more)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


@pytest.fixture
def driven(storage: Storage) -> Iterator[Driven]:
    """It runs: this process has it, as the one that drives it would."""
    driven = Driven(storage)
    with Lease(storage) as lease:
        assert isinstance(lease.take(sweep_lease(FOLDER), Observer(storage)), Claim)
        yield driven


def console() -> Console:
    return Console(file=io.StringIO(), width=100, height=30)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_cell_that_ends_has_a_line_and_the_end_is_seen(
    storage: Storage, driven: Driven
) -> None:
    out = console()
    driven.steps = [
        lambda: driven.set("bbbb2222", state="finished", result=61.25),
        lambda: driven.set("cccc3333", state="failed", message="no memory"),
        lambda: driven.set("dddd4444", state="finished", result=40.0),
        lambda: driven.keep(state="failed"),
    ]
    finished = watch("losses", storage, out, sleep=driven.sleep)
    assert finished.exit_code == 1
    assert finished.document["state"] == "failed"
    lines = said(out).splitlines()
    assert lines[0].startswith("losses 0123456789ab, 1 of 4 cells, 2 running")
    assert lines[1:4] == [
        "[2/4] crop · b · seed 0: finished, linear top1 61.2",
        "[3/4] blur · a · seed 0: failed, no memory",
        "[4/4] blur · b · seed 0: finished, linear top1 40.0",
    ]
    assert lines[-1] == f"losses: failed; continue with: {COMMAND}"


def test_once_shows_it_as_it_is_and_names_default_to_what_runs(
    storage: Storage, driven: Driven
) -> None:
    out = console()
    finished = watch(None, storage, out, once=True, sleep=driven.sleep)
    assert (finished.exit_code, finished.document["state"]) == (0, "running")
    assert finished.document["cells"]["bbbb2222"]["epoch"] == 3
    assert "50.0" in said(out)
    assert "▸33%" in said(out)


@pytest.mark.usefixtures("driven")
def test_a_document_is_all_that_is_on_stdout(storage: Storage) -> None:
    ended = CliRunner().invoke(app, ["watch", "--once", "--json", "--storage", storage.uri])
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["name"] == "losses"


def test_a_driver_that_died_is_said_with_the_command_that_continues(storage: Storage) -> None:
    Driven(storage)  # without a lock: its process is gone
    out = console()
    finished = watch("losses", storage, out)
    assert (finished.exit_code, finished.document["state"]) == (1, "lost")
    assert "nobody drives it any more" in said(out)
    assert f"Continue with: {COMMAND}" in said(out)


def test_a_driver_elsewhere_is_dead_after_half_a_minute_without_a_word(storage: Storage) -> None:
    gone = datetime.now(UTC) - timedelta(seconds=31)
    Driven(storage).keep(host="elsewhere", updated=gone)
    assert watch("losses", storage, console()).document["state"] == "lost"


@pytest.mark.usefixtures("driven")
def test_a_name_that_no_sweep_has_gets_the_nearest(storage: Storage) -> None:
    with pytest.raises(PlanError, match=r"lossses: no sweep of that name.*did you mean losses"):
        watch("lossses", storage, console())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("crop · b · seed 0", ["bbbb2222"]),
        ("crop, b", ["bbbb2222"]),
        ("crop,b", ["bbbb2222"]),
        ("bbbb", ["bbbb2222"]),
        ("blur b", ["dddd4444"]),
    ],
)
def test_a_cell_is_called_by_its_labels_or_its_fingerprint(
    name: str, meant: list[str], driven: Driven
) -> None:
    assert cells_named([name], driven.progress) == meant


def test_a_cell_that_is_not_there_gets_the_choices(driven: Driven) -> None:
    with pytest.raises(PlanError) as refused:
        cells_named(["zzzz", "crop · q · seed 0", "crop · a"], driven.progress)
    first, second, third = refused.value.problems
    assert "'crop · b · seed 0', 'blur · a · seed 0', 'blur · b · seed 0'" in first
    assert "did you mean crop · b · seed 0?" in second
    assert third == "crop · a: has ended already (finished)"


def test_a_cell_that_is_stopped_is_said_and_the_rest_goes_on(
    storage: Storage, driven: Driven
) -> None:
    out = console()
    driven.steps = [lambda: driven.set("bbbb2222", state="stopped", epoch=4)]
    finished = stop("losses", ["crop · b"], storage, out, sleep=driven.sleep)
    assert finished.exit_code == 0
    assert stops_asked(storage, [f"sweeps/{FOLDER}/stop"]) == {"bbbb2222"}
    assert said(out).splitlines() == [
        "crop · b · seed 0: stopped after epoch 4, whose checkpoint is kept",
        f"stopped; the rest goes on; continue later with: {COMMAND}",
    ]


def test_a_whole_sweep_is_stopped_once_nothing_runs(storage: Storage, driven: Driven) -> None:
    driven.steps = [lambda: driven.set("bbbb2222", "cccc3333", state="stopped", epoch=4)]
    finished = stop("losses", [], storage, console(), sleep=driven.sleep)
    assert finished.exit_code == 0
    assert finished.document["stopped"] == ["bbbb2222", "cccc3333"]
    assert stops_asked(storage, [f"sweeps/{FOLDER}/stop"]) == {"all"}


def test_who_is_not_heard_is_told_so(storage: Storage, driven: Driven) -> None:
    out = console()
    finished = stop("losses", [], storage, out, patience=0.0, sleep=driven.sleep)
    assert finished.exit_code == 1
    assert "still running" in said(out)


def test_a_sweep_that_does_not_run_cannot_be_stopped(storage: Storage) -> None:
    Driven(storage).keep(state="finished")
    with pytest.raises(PlanError, match="losses: no sweep of it is running") as refused:
        stop("losses", [], storage, console())
    assert len(refused.value.problems) == 1
    assert read_progress(storage, FOLDER) is not None
