"""A second, no Ray: a question that the command line asks is like any other afterwards."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.check import check
from orchestrator.commands.dry_run import dry_run
from orchestrator.commands.import_runs import import_runs
from orchestrator.commands.plan_tree import plan_tree
from orchestrator.commands.report import report_on, verdicts_on
from orchestrator.commands.request import Request
from orchestrator.commands.write_plan import as_sweep, write_plan
from orchestrator.errors import PlanError
from orchestrator.plan.over import Over
from orchestrator.run_record import RunRecord
from orchestrator.settings import Settings
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.sweeps import keep_plan
from workloads.catalog.simclr import SIMCLR
from workloads.runs.command import PLANS
from workloads.spec import SpecError

NAME = "over-loss-temperature-head-num-linear-layers"
OVER = Over(
    ("loss.temperature=0.05,0.1,0.5", "head.num_linear_layers=1,2"),
    claims=("0.1, 2 > 0.5, 2", "mean of (0.1, 1; 0.1, 2) > 0.05, 1"),
)


@pytest.fixture
def storage(storage_folder: Path) -> Storage:
    return Storage(str(storage_folder))


def _request(storage: Storage, *only: str, over: Over = OVER) -> Request:
    return Request(
        ablations=(),
        over=over,
        only=only,
        preset="shapes",
        seeds=5,
        flags={"storage": storage.uri},
    )


def _sweep(storage: Storage, *only: str) -> str:
    """Leave a sweep as if it had been run, in which 0.1 is best."""
    checked = check(_request(storage, *only))
    (plan,) = checked.plans
    keep_plan(storage, plan, plan_tree(checked, plan, as_sweep(checked.request)))
    for cell in plan.cells:
        value = 90.0 if cell.at[0] == "0.1" else 40.0
        record = {
            "name": cell.name,
            "fingerprint": cell.fingerprint,
            "spec": cell.spec.tree(),
            "status": "finished",
            "results": {"linear_top1": value + random.Random(cell.name).gauss(0, 1)},
        }
        RunFolder(storage, cell.fingerprint).write_record(RunRecord.read(record))
    return plan.sweep_id


def _report(storage: Storage, *only: str) -> dict[str, Any]:
    out = Console(file=StringIO(), width=200)
    return dict(report_on(NAME, storage, out, sweep=None, output=None, only=only).document)


def test_its_report_and_verdicts_are_found_by_its_name_from_the_storage_alone(
    storage: Storage,
) -> None:
    sweep = _sweep(storage)
    report = _report(storage)
    assert report["plan"]["sweep"] == sweep
    assert len(report["cells"]) == 6
    assert [one["claim"] for one in report["verdicts"]] == list(OVER.claims)
    assert {one["verdict"] for one in report["verdicts"]} == {"reproduced"}
    verdicts = verdicts_on([], storage, Console(file=StringIO())).document["verdicts"]
    assert list(verdicts) == [NAME]


def test_what_has_run_is_not_run_again_by_the_same_question_or_a_larger_one(
    storage: Storage,
) -> None:
    _sweep(storage)
    document = dry_run(_request(storage), Console(file=StringIO())).document
    assert len(document["finished"]) == len(document["cells"]) == 5 * (6 + 1)
    larger = Over(("loss.temperature=0.05,0.1,0.5,1", "head.num_linear_layers=1,2"))
    document = dry_run(_request(storage, over=larger), Console(file=StringIO())).document
    assert (len(document["finished"]), len(document["cells"])) == (35, 45)


def test_a_part_of_it_keeps_the_whole_question_with_its_sweep(storage: Storage) -> None:
    whole = _sweep(storage)
    part = _sweep(storage, "loss.temperature=0.1,0.5", "head=2")
    assert _report(storage)["plan"]["sweep"] == whole
    found = _report(storage, "loss=0.1,0.5", "head.num_linear_layers=2")
    assert found["plan"]["sweep"] == part
    assert [one["verdict"] for one in found["verdicts"]] == ["reproduced", "not asked"]
    assert len(found["cells"]) == 2


def test_its_plan_is_written_down_and_taken_in_again(
    storage: Storage, storage_folder: Path, tmp_path: Path
) -> None:
    request = _request(storage)
    file = tmp_path / "runs" / PLANS / "plan.json"
    file.parent.mkdir(parents=True)
    out = Console(file=StringIO())
    write_plan(request, file, with_finished=False, out=out)
    written = json.loads(file.read_text())
    assert written["sweeps"][0]["ablation"] == NAME
    taken = import_runs(tmp_path / "runs", Settings(storage=str(storage_folder)), out)
    assert taken.document["refused"] == {}


def test_the_command_that_is_kept_asks_for_the_same(storage: Storage) -> None:
    over = Over(OVER.axes, OVER.claims, metric="knn_top1", name="mine")
    words = as_sweep(_request(storage, "loss=0.1", over=over))
    assert words.startswith("simclr-orch ablate --over loss.temperature=0.05,0.1,0.5 --over head")
    assert "--claim '0.1, 2 > 0.5, 2'" in words
    assert "--metric knn_top1 --name mine" in words
    assert "--only loss=0.1" in words


def test_it_takes_no_name_of_another_question_and_stands_alone(storage: Storage) -> None:
    for name, told in (
        ("temperature", "temperature is the name of a built-in question"),
        ("tune", "tune stands for a search"),
    ):
        with pytest.raises((PlanError, SpecError), match=told):
            check(_request(storage, over=Over(OVER.axes, name=name)))
    both = Request(ablations=("temperature",), over=OVER, flags={"storage": storage.uri})
    with pytest.raises((PlanError, SpecError), match="not asked together with temperature"):
        check(both)


def test_the_recipe_says_which_workload_its_fields_are_of(storage: Storage) -> None:
    request = Request(
        ablations=(),
        over=Over(("loss.temperature=0.1,0.5",)),
        preset="gaussian-patches",
        flags={"storage": storage.uri},
    )
    with pytest.raises((PlanError, SpecError), match=r"loss\.temperature: no such field"):
        check(request)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["ablate"], "name an ablation"),
        (["ablate", "temperature", "--claim", "0.1 > 0.5"], "--claim: needs --over"),
        (
            ["ablate", "temperature", "--metric", "knn_top1", "--name", "x"],
            "--metric, --name: needs",
        ),
    ],
)
def test_options_that_need_others_are_refused_before_anything(
    words: list[str], problem: str
) -> None:
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 2
    assert problem in ended.output


def test_results_of_own_metrics_that_a_config_file_asks_for_may_be_compared(
    storage: Storage, own_module: Callable[[str], str]
) -> None:
    metric = own_module("def mean(features, labels):\n    return {'sharpness': 1.0}\n")
    recipe = SIMCLR.presets["shapes"]().with_values({"eval.metrics.names": [f"{metric}:mean"]})
    config = Path("recipe.yaml")
    config.write_text(yaml.safe_dump(recipe.tree()))
    over = Over(("loss.temperature=0.1,0.5",), metric="sharpness")
    request = Request(ablations=(), over=over, config=config, flags={"storage": storage.uri})
    assert check(request).plans[0].ablation.metric == "sharpness"
    config.write_text(yaml.safe_dump(SIMCLR.presets["shapes"]().tree()))
    with pytest.raises((PlanError, SpecError), match="sharpness: no such result"):
        check(request)


def test_an_option_of_an_own_operation_is_an_axis(
    storage: Storage, own_module: Callable[[str], str]
) -> None:
    name = own_module("def fog(images, draws, *, density: float = 0.5):\n    return images\n")
    over = Over(("augment.options.fog.density=0.1,0.3",))
    request = Request(
        ablations=(),
        over=over,
        preset="shapes",
        assignments=(f"augment.operations=[crop,{name}:fog]",),
        flags={"storage": storage.uri},
    )
    (plan,) = check(request).plans
    options = [cell.spec.tree()["augment"]["options"] for cell in plan.cells]
    assert {"fog": {"density": 0.1}} in options
    assert {"fog": {"density": 0.3}} in options
    with pytest.raises((PlanError, SpecError), match="has no such option; did you mean density"):
        check(replace(request, over=Over(("augment.options.fog.densty=0.1,0.3",))))


def test_one_axis_of_rising_numbers_is_drawn_as_a_line_and_its_sweep_stays_the_same(
    storage: Storage,
) -> None:
    def drawn(*axes: str) -> str:
        return check(_request(storage, over=Over(axes))).plans[0].ablation.figure

    assert drawn("loss.temperature=0.05,0.1,0.5") == "lines"
    assert drawn("loss.temperature=0.5,0.1,0.05") == "table"
    assert drawn("encoder.architecture=resnet18,convnet") == "table"
    assert drawn("loss.temperature=0.1,0.5", "head.num_linear_layers=1,2") == "heatmap"
    (plan,) = check(_request(storage, over=Over(("loss.temperature=0.05,0.1,0.5",)))).plans
    tree = dict(plan.question)
    assert tree["figure"] == "lines"
    axis = {"name": "loss.temperature", "labels": ["0.05", "0.1", "0.5"]}
    before = {key: value for key, value in tree.items() if key != "figure"} | {"axes": [axis]}
    assert replace(plan, question=before).sweep_id == plan.sweep_id
