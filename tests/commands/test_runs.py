"""`simclr-orch runs` in this process: milliseconds."""

import csv
import io
import json
import os
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from pyarrow import parquet
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.commands.run_quantities import Quantities
from orchestrator.commands.run_table import print_table
from orchestrator.commands.runs import RunsQuestion, asked_rows
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.progress import CellProgress, SweepProgress, keep_progress
from orchestrator.storage.rows import OWN_FIELDS, RowStatus, RunRow, run_rows
from orchestrator.storage.runs import RunFolder


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Four runs of two sweeps, of which one has failed and one has begun."""
    there = Storage(str(tmp_path / "results"))
    for number, status in enumerate(("finished", "finished", "failed")):
        record = RunRecord(
            name=f"{number / 10} · seed 0",
            fingerprint=f"{number:020x}",
            status=status,  # type: ignore[arg-type]
            spec={
                "data": {"name": "shapes"},
                "loss": {"temperature": (number + 1) / 10},
                "augment": {"operations": ["crop", "color"][: number + 1]},
                "seed": 0,
            },
            results={"linear_top1": 50.25 + number, "linear_l2": 0.1} if number < 2 else {},
            error="" if number < 2 else "Trace\nLossNotFinite: nan",
            ended="2026-11-28T10:00:00+00:00",
            total_seconds=90.0,
        )
        RunFolder(there, record.fingerprint).write_record(record)
        os.utime(there.local_path(f"runs/{record.fingerprint}/run.json"), (1e9, 1e9))
    RunFolder(there, f"{3:020x}").write_spec({"loss": {"temperature": 0.4}, "seed": 0})
    place = {"at": [], "seed": 0, "role": "cell", "name": "a cell"}
    cells = [place | {"fingerprint": f"{number:020x}"} for number in range(4)]
    for name, of in (("temperature", cells), ("losses", cells[:1])):
        plan = {"sweep": "aaaa", "base": {}, "cells": of, "preset": "shapes seed=0"}
        plan["started"] = f"2026-11-28T0{len(of)}:00:00+00:00"
        there.write_json(f"sweeps/{name}/aaaa/plan.json", plan)
    return there


def listed(storage: Storage, *words: str) -> Result:
    return CliRunner().invoke(app, ["runs", "--storage", storage.uri, *words])


def document(storage: Storage, *words: str) -> list[dict[str, Any]]:
    ended = listed(storage, *words, "--json")
    assert ended.exit_code == 0, ended.output
    found: list[dict[str, Any]] = json.loads(ended.stdout)["runs"]
    return found


def test_runs_that_failed_and_that_have_begun_are_listed(storage: Storage) -> None:
    lines = listed(storage).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [f"{0:012x}"] * 4
    for line, status in zip(
        lines[1:], ("finished", "finished", "failed", "unfinished"), strict=True
    ):
        assert status in line
    assert "linear_top1, %" in lines[0]
    assert "50.2" in lines[1]
    assert "losses, temperature" in lines[1]


def test_the_question_of_the_documentation_is_answered(storage: Storage) -> None:
    found = document(
        storage,
        *("--where", "loss.temperature < 0.5 and status == finished"),
        *("--sort", "linear_top1"),
        *("--columns", "fingerprint,loss.temperature,linear_top1", "--top", "10"),
    )
    assert found == [
        {"fingerprint": f"{1:020x}", "loss.temperature": 0.2, "linear_top1": 51.25},
        {"fingerprint": f"{0:020x}", "loss.temperature": 0.1, "linear_top1": 50.25},
    ]


def test_the_document_has_all_that_is_known(storage: Storage) -> None:
    first, _, failed, begun = document(storage)
    assert first["ablations"] == ["losses", "temperature"]
    assert first["results"] == {"linear_top1": 50.25, "linear_l2": 0.1}
    assert first["spec"]["augment.operations"] == ["crop"]
    assert (first["preset"], first["seed"], first["duration"]) == ("shapes", 0, 90.0)
    assert (failed["status"], failed["error"]) == ("failed", "LossNotFinite: nan")
    assert (begun["status"], begun["name"]) == ("unfinished", "a cell")


def test_csv_and_parquet_have_the_same_columns_under_the_fields_names(
    storage: Storage, tmp_path: Path
) -> None:
    printed = list(csv.DictReader(io.StringIO(listed(storage, "--csv").stdout)))
    file = tmp_path / "runs.parquet"
    assert listed(storage, "--parquet", str(file)).exit_code == 0
    table = parquet.read_table(file)
    assert table.column_names == list(printed[0])
    assert table.column_names[:4] == ["fingerprint", "name", "status", "ablation"]
    assert {"loss.temperature", "linear_top1", "linear_l2"} <= {*table.column_names}

    rows = table.to_pylist()
    assert [row["loss.temperature"] for row in rows] == [0.1, 0.2, 0.3, 0.4]
    assert [row["linear_top1"] for row in rows] == [50.25, 51.25, None, None]
    assert rows[0]["ablation"] == ["losses", "temperature"]
    assert [row["linear_top1"] for row in printed] == ["50.25", "51.25", "", ""]
    assert printed[1]["augment.operations"] == "crop, color"


def test_columns_are_those_asked_for_in_every_form(storage: Storage, tmp_path: Path) -> None:
    asked = ("--columns", "seed,linear_top1")
    assert listed(storage, "--csv", *asked).stdout.splitlines()[:2] == [
        "seed,linear_top1",
        "0,50.25",
    ]
    assert listed(storage, *asked).stdout.splitlines()[0] == "seed  linear_top1, %"
    file = tmp_path / "runs.parquet"
    listed(storage, "--parquet", str(file), *asked)
    assert parquet.read_table(file).column_names == ["seed", "linear_top1"]


def test_kinds_that_are_mixed_in_a_column_are_texts_in_parquet(
    storage: Storage, tmp_path: Path
) -> None:
    RunFolder(storage, f"{4:020x}").write_spec({"loss": {"temperature": "cosine"}})
    file = tmp_path / "runs.parquet"
    listed(storage, "--parquet", str(file), "--columns", "loss.temperature")
    assert parquet.read_table(file).column(0).to_pylist() == ["0.1", "0.2", "0.3", "0.4", "cosine"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "loss.temprature < 1"], "did you mean loss.temperature?"),
        (["--where", "seed =="], "column 8: a field or a value is expected"),
        (["--sort", "linear_top"], "did you mean linear_top1?"),
        (["--columns", "seed,statis,x"], "did you mean status?"),
        (["--csv", "--json"], "one of them at a time"),
        (["--parquet", "/nowhere/at/all.parquet"], "--parquet /nowhere/at/all.parquet: cannot"),
        (["--top", "0"], "--top"),
    ],
)
def test_a_wrong_question_is_refused_in_a_line(
    storage: Storage, words: list[str], said: str
) -> None:
    ended = listed(storage, *words)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_it_is_said_that_nothing_fits(storage: Storage, tmp_path: Path) -> None:
    assert "none of 4 runs fits" in listed(storage, "--where", "seed == 7").stdout
    assert "no such folder" in listed(Storage(str(tmp_path / "empty"))).stderr
    (tmp_path / "empty").mkdir()
    assert "no runs in" in listed(Storage(str(tmp_path / "empty"))).stdout


def shown(rows: list[RunRow], width: int = 80) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, color_system=None, width=width)
    print_table(rows, console, None, Quantities.of(rows))
    return text.getvalue()


def test_an_own_metric_is_the_better_the_way_its_name_says(storage: Storage) -> None:
    row = next(row for row in run_rows(storage) if row.status == "finished")
    own = replace(row, results={"nearest_error_percent": 20.0, "margin": 1.0})
    quantities = Quantities.of([own])
    assert "nearest_error_percent" in quantities.lower_is_better
    assert "margin" not in quantities.lower_is_better
    assert quantities.unit("nearest_error_percent") == "%"


def test_a_terminal_shows_what_differs_and_once_what_does_not(storage: Storage) -> None:
    rows = [row for row in run_rows(storage) if row.status == "finished"]
    text = shown(rows)
    assert max(map(len, text.splitlines())) <= 80
    assert "temperature = 0.1" in text
    assert "also different, for --columns: augment.operations" in text
    assert "temperature = 0.2; operations = crop, color" in shown(rows, 120)
    assert "data.name" not in text
    assert text.count("finished") == 1
    assert "2 runs: status finished, seed 0" in text
    assert text.count(" ago") == 2


def test_runs_that_go_on_come_first_and_say_how_far_they_are(storage: Storage) -> None:
    for number, state in ((3, "running"), (4, "failed"), (5, "waiting")):
        RunFolder(storage, f"{number:020x}").write_spec({"seed": 0})
        plan = {"sweep": f"{number:04x}", "base": {}, "preset": "shapes", "started": "2026-11-28"}
        named = {"fingerprint": f"{number:020x}", "name": "0.4 · seed 0"}
        plan["cells"] = [{"at": [], "seed": 0, "role": "cell", **named}]
        storage.write_json(f"sweeps/temperature/{number:04x}/plan.json", plan)
        now = datetime.now(UTC)
        cell = CellProgress(
            name="0.4 · seed 0",
            state=state,  # type: ignore[arg-type]
            epoch=3,
            epochs=20,
            since=now,
            message="no memory" if state == "failed" else "",
        )
        progress = SweepProgress(
            name="temperature",
            sweep=f"{number:04x}",
            started=now,
            updated=now,
            cells={f"{number:020x}": cell},
        )
        keep_progress(storage, progress)

    rows, _ = asked_rows(RunsQuestion(), run_rows(storage))
    assert [row.status for row in rows[:2]] == ["running", "failed"]
    lines = shown(list(rows)).splitlines()
    assert "running 3/20" in lines[1]
    assert "just now" in lines[1]
    (running,) = document(storage, "--where", "status == running")
    assert (running["epoch"], running["epochs"]) == (3, 20)
    failed = document(storage, "--where", "status == failed", "--sort", "started:desc")
    assert failed[0]["error"] == "no memory"


def test_the_newest_run_comes_first_unless_asked_otherwise(storage: Storage) -> None:
    RunFolder(storage, f"{9:020x}").write_record(
        RunRecord(
            name="later",
            fingerprint=f"{9:020x}",
            status="finished",
            spec={"seed": 1},
            ended="2026-11-29T10:00:00+00:00",
        )
    )
    assert document(storage)[0]["name"] == "later"
    assert document(storage, "--top", "1")[0]["name"] == "later"
    assert document(storage, "--sort", "fingerprint")[0]["fingerprint"] == f"{0:020x}"


def test_a_table_fits_a_terminal_however_much_differs() -> None:
    rows = [
        RunRow(
            fingerprint=f"{number:020x}",
            name="x",
            workload="simclr",
            status="finished",
            spec={f"part.field_{field}": number + field for field in range(20)},
            results={"linear_top1": 50.0 + number},
        )
        for number in range(3)
    ]
    text = shown(rows)
    assert max(map(len, text.splitlines())) <= 80
    assert "linear_top1" in text
    assert "also different, for --columns: part.field_" in text.replace("\n", " ")


def test_a_workload_that_is_not_installed_hides_no_run(storage: Storage) -> None:
    RunFolder(storage, f"{5:020x}").write_record(
        RunRecord(
            name="x",
            fingerprint=f"{5:020x}",
            status="finished",
            spec={},
            workload="gone",
            results={"score": 1.5},
        )
    )
    assert listed(storage, "--where", "workload == gone").stdout.count("1.5") == 1


def _commands_of_the_page() -> list[list[str]]:
    page = (Path(__file__).parents[2] / "docs" / "runs.md").read_text()
    block = page.partition("```sh\n")[2].partition("```")[0]
    return [shlex.split(line)[2:] for line in block.splitlines()]


@pytest.mark.parametrize("words", _commands_of_the_page(), ids=" ".join)
def test_what_the_page_asks_is_answered(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = listed(storage, *words)
    assert ended.exit_code == 0, ended.stderr
    assert len(ended.stdout.splitlines()) > ("--parquet" not in words)


def test_the_page_names_the_fields_of_a_run() -> None:
    page = (Path(__file__).parents[2] / "docs" / "runs.md").read_text()
    assert all(f"`{name}`" in page for name in OWN_FIELDS)
    assert all(f"{name}" in page for name in get_args(RowStatus))
