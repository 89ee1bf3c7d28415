"""A second, no Ray: the commands on a part of a question, and on the whole that it is a part of."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.commands.check import check
from orchestrator.commands.dry_run import dry_run
from orchestrator.commands.import_runs import import_runs
from orchestrator.commands.plan_tree import plan_tree
from orchestrator.commands.report import report_again, report_on, verdicts_on
from orchestrator.commands.request import Request
from orchestrator.commands.write_plan import as_sweep, write_plan
from orchestrator.errors import PlanError
from orchestrator.run_record import RunRecord
from orchestrator.settings import Settings
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.sweeps import keep_plan
from workloads.runs.command import PLANS

PART = ("crop,color",)


@pytest.fixture
def storage(storage_folder: Path) -> Storage:
    return Storage(str(storage_folder))


def _request(storage: Storage, *only: str, seeds: int = 3) -> Request:
    return Request(
        ablations=("few-augmentations",),
        only=only,
        preset="shapes",
        seeds=seeds,
        flags={"storage": storage.uri},
    )


def _sweep(storage: Storage, *only: str, started: str) -> str:
    """Leave a sweep as if it had been run: its plan, and a record of each of its runs."""
    checked = check(_request(storage, *only))
    (plan,) = checked.plans
    tree = plan_tree(checked, plan, as_sweep(checked.request))
    keep_plan(storage, plan, tree | {"started": started})  # type: ignore[arg-type]
    for number, cell in enumerate(plan.cells):
        value = 90.0 if cell.at in (("crop", "color"), ("color", "crop")) else 40.0
        record = {
            "name": cell.name,
            "fingerprint": cell.fingerprint,
            "spec": cell.spec.tree(),
            "status": "finished",
            "results": {"linear_top1": value + number % 3, "contrastive_accuracy": 50.0},
        }
        RunFolder(storage, cell.fingerprint).write_record(RunRecord.read(record))
    return plan.sweep_id


def _report(storage: Storage, *only: str, sweep: str | None = None) -> dict[str, Any]:
    out = Console(file=StringIO(), width=200)
    ended = report_on("few-augmentations", storage, out, sweep=sweep, output=None, only=only)
    return dict(ended.document)


def test_a_part_that_was_run_leaves_less_of_the_whole_to_run(storage: Storage) -> None:
    _sweep(storage, *PART, started="2026-01-01")
    out = Console(file=StringIO())
    document = dry_run(_request(storage), out).document
    assert len(document["cells"]) == 3 * (16 + 1)
    assert len(document["finished"]) == 3 * (4 + 1)


def test_a_dry_run_says_that_it_is_a_part_and_which_claims_it_leaves(storage: Storage) -> None:
    document = dry_run(_request(storage, *PART), Console(file=StringIO())).document
    part, *claims = document["not_asked"]
    assert "4 of 16 cells" in part
    assert all(line.startswith("not asked here: cell ") for line in claims)
    assert "cutout · cutout is left out by --only" in claims[0]


def test_report_is_of_the_whole_unless_a_part_is_named(storage: Storage) -> None:
    whole = _sweep(storage, started="2026-01-01")
    part = _sweep(storage, *PART, started="2026-01-02")
    assert whole != part
    assert _report(storage)["plan"]["sweep"] == whole
    assert len(_report(storage)["cells"]) == 16
    for found in (
        _report(storage, "1st=color,crop", "2nd=crop,color"),
        _report(storage, sweep=part),
    ):
        assert found["plan"]["sweep"] == part
        assert len(found["cells"]) == 4
        assert "A part of the question, 4 of 16 cells" in found["note"]
        assert {one["verdict"] for one in found["verdicts"]} > {"not asked"}
    with pytest.raises(PlanError, match=r"no sweep.*known are"):
        _report(storage, "crop,sobel")
    with pytest.raises(PlanError, match="did you mean color"):
        _report(storage, "crop,colour")


def test_report_of_the_whole_names_the_parts_where_only_these_were_asked(storage: Storage) -> None:
    part = _sweep(storage, *PART, started="2026-01-01")
    with pytest.raises(PlanError) as error:
        _report(storage)
    assert f"{part} (--only 1st transformation=crop,color" in str(error.value)


def test_a_report_made_again_from_its_file_is_of_the_same_part(
    storage: Storage, storage_folder: Path
) -> None:
    part = _sweep(storage, *PART, started="2026-01-01")
    before = _report(storage, *PART)
    file = storage_folder / "sweeps" / "few-augmentations" / part / "report.json"
    again = report_again(file, Console(file=StringIO()), output=None).document
    for key in ("cells", "axes", "note"):
        assert again[key] == before[key]
    assert [one["verdict"] for one in again["verdicts"]] == [
        one["verdict"] for one in before["verdicts"]
    ]


def test_verdicts_are_of_the_whole_and_of_the_latest_part_without_one(storage: Storage) -> None:
    _sweep(storage, "crop,sobel", started="2026-01-01")
    part = _sweep(storage, *PART, started="2026-01-02")
    printed = StringIO()
    found = verdicts_on([], storage, Console(file=printed, width=200)).document["verdicts"]
    assert found["few-augmentations"]["sweep"] == part
    assert found["few-augmentations"]["only"]["1st transformation"] == ["crop", "color"]
    assert "few-augmentations (a part: 1st transformation=crop,color" in printed.getvalue()

    whole = _sweep(storage, started="2025-01-01")
    found = verdicts_on([], storage, Console(file=StringIO())).document["verdicts"]
    assert (found["few-augmentations"]["sweep"], found["few-augmentations"]["only"]) == (whole, {})


def test_the_plan_of_a_part_is_written_down_and_taken_in_again(
    storage: Storage, storage_folder: Path, tmp_path: Path
) -> None:
    request = _request(storage, *PART)
    assert "--only crop,color" in as_sweep(request)
    file = tmp_path / "runs" / PLANS / "plan.json"
    file.parent.mkdir(parents=True)
    out = Console(file=StringIO())
    write_plan(request, file, with_finished=False, out=out)
    (sweep,) = json.loads(file.read_text())["sweeps"]
    kept = ["crop", "color"]
    assert sweep["only"] == {"1st transformation": kept, "2nd transformation": kept}
    taken = import_runs(tmp_path / "runs", Settings(storage=str(storage_folder)), out)
    assert taken.document["refused"] == {}


def test_a_part_is_of_one_question_and_all_that_is_wrong_is_said_at_once(storage: Storage) -> None:
    request = Request(
        ablations=("few-augmentations",),
        only=("crop,colour",),
        preset="shappes",
        flags={"storage": storage.uri},
    )
    with pytest.raises(PlanError) as error:
        check(request)
    assert len(error.value.problems) == 2
    several = Request(
        ablations=("few-augmentations", "temperature"),
        only=("crop",),
        flags={"storage": storage.uri},
    )
    with pytest.raises(PlanError) as error:
        check(several)
    (problem,) = error.value.problems
    assert problem == "--only crop: is asked of one ablation, not of few-augmentations, temperature"


def test_a_report_is_of_one_question(storage: Storage) -> None:
    _sweep(storage, started="2026-01-01")
    with pytest.raises(PlanError, match="all: is several questions, and a report is of one"):
        report_on("all", storage, Console(file=StringIO()), sweep=None, output=None)
