"""Seconds, no Ray: the functions for Python give what the commands print, and refuse as they do."""

import json
import math
import pickle
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from orchestrator import api
from orchestrator.api.asked import assignments
from orchestrator.cli.app import app
from orchestrator.errors import ClusterError, OrchestratorError, PlanError, QueryError, RunError
from search_spaces import ABLATIONS, Ablation
from workloads.simclr.spec import RunSpec
from workloads.written import read_assignments

CELLS = ["yes, 0.05", "yes, 0.1", "yes, 0.5", "yes, 1", "no, 10", "no, 100", "untrained"]


def command(*words: str) -> dict[str, Any]:
    """The document that a command prints."""
    ended = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def as_options(recipe: dict[str, Any]) -> list[str]:
    fields = [
        word for name, value in recipe["set"].items() for word in ("--set", f"{name}={value}")
    ]
    return ["--preset", recipe["preset"], *fields]


def test_to_import_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, orchestrator.api\n"
        "heavy = {'torch', 'ray', 'mlflow', 'matplotlib', 'sklearn', 'pyarrow', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plan_is_that_of_a_dry_run(recipe: dict[str, Any], asked: dict[str, Any]) -> None:
    plan = api.plan("temperature", seeds=2, **asked)
    storage = str(asked["storage"])
    words = ["temperature", "--seeds", "2", "--storage", storage, *as_options(recipe)]
    printed = command("ablate", *words, "--dry-run")
    assert [cell["fingerprint"] for cell in printed["cells"]] == list(plan.cells.index)
    assert plan.sweep == printed["sweep"]
    assert (plan.count, plan.left) == (14, 14)
    assert plan.seconds == printed["estimate"]["wall_seconds"]
    assert list(plan.cells.columns[:5]) == [
        *("l2 norm, temperature", "seed", "role", "status", "seconds")
    ]
    temperatures = plan.cells.groupby("l2 norm, temperature")["loss.temperature"].unique()
    assert temperatures["yes, 0.05"] == [0.05]
    assert "data.image_size" not in plan.cells, "it is the same in all"
    assert plan.cost in str(plan)
    assert "yes, 0.05" in plan._repr_html_()


def test_everything_that_is_wrong_is_said_at_once_and_nothing_starts(
    in_process: Any, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"set": {"loss.temprature": 0.1}, "storage": tmp_path / "s"}
    for call in (api.plan, api.run):
        with pytest.raises(PlanError) as refused:
            call("temperture", preset="shapes", max_concurrent=0, **asked)
        said = "\n".join(refused.value.problems)
        assert "temperture: no such ablation" in said
        assert "--max-concurrent 0: must be at least 1" in said
        with pytest.raises(PlanError, match=r"did you mean loss\.temperature"):
            call("temperature", preset="shapes", **asked)
    with pytest.raises(PlanError, match="no such preset"):
        api.pretrain(preset="shpaes", storage=tmp_path / "s")
    assert not in_process.trained


def test_settings_that_are_wrong_are_refused_like_all_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "simclr-orch.toml").write_text('storge = "x"\n')
    for call in (api.runs, api.verdicts, lambda: api.sweep("head"), lambda: api.encoder("ab")):
        with pytest.raises(PlanError, match="storge: no such field"):
            call()
    (tmp_path / "simclr-orch.toml").write_text('storage = "mine"\n')
    with pytest.raises(PlanError, match=f"no sweep in {tmp_path}/mine"):
        api.sweep("head")


@pytest.mark.usefixtures("in_process")
def test_nothing_is_printed_on_stdout(
    asked: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    api.pretrain(**asked)
    seen = capfd.readouterr()
    assert seen.out == ""
    assert "[1/1] pretrain · seed 0: finished" in seen.err
    api.pretrain(**asked | {"set": asked["set"] | {"seed": 1}}, progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_single_run_is_run_once(in_process: Any, asked: dict[str, Any]) -> None:
    run = api.pretrain(progress=False, **asked)
    again = api.pretrain(progress=False, **asked)
    assert len(in_process.trained) == 1
    assert run == again
    (row,) = api.runs(asked["storage"]).to_dict("records")
    assert run.results["linear_top1"] == row["linear_top1"]
    assert run.spec["data.image_size"] == 16
    assert list(run.history["epoch"]) == [1.0]
    assert run.encoder(device="cpu").name == run.name


@pytest.mark.usefixtures("in_process")
def test_a_single_run_that_fails_is_an_error_with_its_log(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr("workloads.simclr.pretrain.pretrain_by_step", broken)
    with pytest.raises(RunError, match=r"(?s)the disk is on fire.*log: .*log\.txt"):
        api.pretrain(progress=False, **asked)
    monkeypatch.undo()


def test_a_sweep_is_its_report(finished: str) -> None:
    sweep = api.sweep("temperature", finished)
    printed = command("report", "temperature", "--storage", finished)
    printed.pop("files")
    assert json.loads(json.dumps(sweep.document)) == printed
    assert (sweep.name, sweep.id) == ("temperature", printed["plan"]["sweep"])
    assert (sweep.metric, sweep.unit) == ("linear_top1", "%")
    assert sweep.complete
    assert sweep.failed == ()
    report = Path(finished, "sweeps", "temperature", sweep.id, "report.md").read_text()
    assert sweep.markdown.splitlines() == report.splitlines()


def test_cells_have_what_their_runs_gave(finished: str) -> None:
    sweep, runs = api.sweep("temperature", finished), api.runs(finished)
    cells = sweep.cells
    assert list(cells.index) == CELLS
    where = "loss.temperature == 0.05 and schedule.epochs == 1"
    values = list(api.runs(finished, where=where, sort="seed")["linear_top1"])
    ours = runs[(runs["loss.temperature"] == 0.05) & (runs["schedule.epochs"] == 1)]
    assert list(ours.sort_values("seed")["linear_top1"]) == values
    assert set(runs["ablation"]) == {"temperature"}
    best = api.runs(finished, sort="linear_top1", columns=["linear_top1", "seed"], top=2)
    assert list(best.columns) == ["linear_top1", "seed"]
    assert list(best["linear_top1"]) == sorted(runs["linear_top1"], reverse=True)[:2]
    with pytest.raises(QueryError, match="linear_top9"):
        api.runs(finished, columns=["linear_top9"])
    cell = cells.loc["yes, 0.05"]
    assert [cell["seed 0"], cell["seed 1"]] == values
    assert cell["n"] == 2
    assert cell["mean"] == pytest.approx(statistics.fmean(values))
    assert cell["sd"] == pytest.approx(statistics.stdev(values))
    low, high = stats.t.interval(
        0.95, 1, statistics.fmean(values), statistics.stdev(values) / math.sqrt(2)
    )
    assert (cell["low"], cell["high"]) == pytest.approx((low, high))
    assert cell["paper"] == 59.7
    assert math.isnan(cells.loc["untrained", "paper"])

    long = sweep.values
    assert len(long) == 14
    assert list(long.loc["yes, 0.05", "linear_top1"]) == values
    assert long.loc["yes, 0.05", "contrastive_entropy"].notna().all()
    assert set(sweep.runs.index) == set(runs.index)
    roles = sweep.runs.groupby("role").size().to_dict()
    assert roles == {"cell": 12, "reference": 2}
    of_cell = sweep.runs[sweep.runs["l2 norm, temperature"] == "yes, 0.05"]
    assert set(of_cell["loss.temperature"]) == {0.05}


def test_a_question_that_was_built_here_is_found_by_its_name(
    in_process: Any, asked: dict[str, Any], question: Ablation
) -> None:
    plan = api.plan(question, seeds=2, **asked)
    sweep = plan.run(progress=False)
    assert list(sweep.cells.index) == ["0.1", "1", "untrained"]
    assert list(sweep.claims["claim"]) == ["Lower is better."]
    assert "orchestrator.api.run(<two-temperatures>" in str(sweep.document["plan"]["command"])

    found = api.sweep("two-temperatures", asked["storage"])
    assert found.cells.equals(sweep.cells)
    assert list(api.verdicts(asked["storage"])["question"]) == ["two-temperatures"]
    assert len(in_process.trained) == 6
    assert api.plan(question, seeds=2, **asked).left == 0

    with pytest.raises(PlanError, match="temperature is the name of a built-in question"):
        api.plan(replace(question, name="temperature"), **asked)
    own = api.plan(ABLATIONS["temperature"], **asked)
    assert own.sweep == api.plan("temperature", **asked).sweep


def test_fields_and_their_values_make_the_question_that_they_make_on_the_command_line(
    recipe: dict[str, Any], asked: dict[str, Any]
) -> None:
    fields = {"loss.temperature": np.array([1e-05, 0.5]), "loss.normalize": [True, False]}
    over = api.Over(fields, claims="0.5, true > 0.5, false", metric="knn_top1", name="mine")
    plan = api.plan(over, **asked)
    words = ["--over", "loss.temperature=0.00001,0.5", "--over", "loss.normalize=true,false"]
    words += ["--claim", "0.5, true > 0.5, false", "--metric", "knn_top1", "--name", "mine"]
    storage = ["--storage", str(asked["storage"])]
    printed = command("ablate", *words, *as_options(recipe), *storage, "--dry-run")
    assert (plan.name, plan.sweep) == ("mine", printed["sweep"])
    assert list(plan.cells.index) == [cell["fingerprint"] for cell in printed["cells"]]
    assert api.plan(api.Over({"optim.base_learning_rate": "0.1..1:4"}), **asked).count == 5
    with pytest.raises(PlanError, match=r"over seed: .* is neither a list"):
        api.plan(api.Over({"seed": [object()]}), **asked)
    with pytest.raises(PlanError, match="1' is no label of axis"):
        api.plan(api.Over({"loss.temperature": [0.1, 0.2]}, claims=["1 > 0.1"]), **asked)


def test_a_file_asks_what_it_asks_on_the_command_line(
    in_process: Any, asked: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: from-a-file\nquestion: Which?\npreset: shapes\nset:\n  schedule.epochs: 2\n"
        "axes:\n  loss.temperature: [0.1, 0.5]\n"
        'claims:\n  - "0.1 > 0.5"\n'
    )
    asked.pop("preset")
    asked["set"] = {name: value for name, value in asked["set"].items() if "epochs" not in name}
    recipe = {"preset": "shapes", "set": asked["set"]}
    plan = api.plan(file, **asked)
    assert set(plan.cells["schedule.epochs"]) == {0, 2}, "as the file says"
    words = [str(file), "--storage", str(asked["storage"]), *as_options(recipe)]
    assert plan.sweep == command("ablate", *words, "--dry-run")["sweep"]
    with pytest.raises(PlanError, match="ask one at a time"):
        api.run("all", **asked)
    assert plan.run(progress=False).complete
    assert list(api.sweep("from-a-file", asked["storage"]).cells.index)[:2] == ["0.1", "0.5"]
    assert len(in_process.trained) == 3


def test_a_part_is_asked_by_its_labels(
    in_process: Any, asked: dict[str, Any], question: Ablation
) -> None:
    whole = api.plan(question, **asked)
    for only in (["0.1"], {"temperature": ["0.1"]}, "0.1", {"temperature": "0.1"}):
        plan = api.plan(question, only=only, **asked)
        assert (plan.count, plan.left) == (2, 2)
        assert set(plan.cells.index) < set(whole.cells.index)
    sweep = api.run(question, only=["0.1"], progress=False, **asked)
    assert list(sweep.cells.index) == ["0.1", "untrained"]
    assert api.sweep(question.name, asked["storage"], only=["0.1"]).id == sweep.id
    with pytest.raises(PlanError, match="no sweep"):
        api.sweep(question.name, asked["storage"])
    assert len(in_process.trained) == 2
    labels = [label for label in CELLS if label.startswith("yes")][:2]
    assert api.plan("temperature", only=labels, **asked).count == 3


def test_claims_are_those_of_the_report(finished: str) -> None:
    sweep = api.sweep("temperature", finished)
    told = sweep.document["verdicts"]
    assert list(sweep.claims["claim"]) == [one["claim"] for one in told]
    assert list(sweep.claims["comparisons"]) == [len(one["comparisons"]) for one in told]
    assert len(sweep.comparisons) == sum(len(one["comparisons"]) for one in told)
    assert set(sweep.comparisons["seeds"]) == {2}

    every = api.verdicts(finished)
    printed = command("verdicts", "--storage", finished)["verdicts"]["temperature"]
    assert list(every["question"].unique()) == ["temperature"]
    assert list(every["sweep"].unique()) == [printed["sweep"]] == [sweep.id]
    assert list(every["verdict"]) == [one["verdict"] for one in printed["claims"]]
    assert "undecided" in str(sweep)
    assert "yes, 0.05" in sweep._repr_html_()


def test_figures_are_those_of_the_report(finished: str) -> None:
    sweep = api.sweep("temperature", finished)
    figure, curves = sweep.figure(), sweep.curves()
    assert "temperature" in figure.get_suptitle().lower()
    assert curves is None, "one epoch is no curve"
    assert not Path(finished, "sweeps", "temperature", sweep.id, "curves.png").exists()


def test_what_a_storage_does_not_have_is_refused(tmp_path: Path, finished: str) -> None:
    with pytest.raises(PlanError, match="has no sweep"):
        api.verdicts(tmp_path)
    with pytest.raises(PlanError, match="no sweep zzzz in"):
        api.sweep("temperature", finished, sweep="zzzz")
    with pytest.raises(QueryError, match=r"loss\.temprature"):
        api.runs(finished, where="loss.temprature < 1")
    with pytest.raises(PlanError, match="no such run"):
        api.encoder("ffff", finished)
    assert len(api.runs(tmp_path)) == 0
    with pytest.raises(PlanError, match=r"--set loss\.temperature=1: of a run only"):
        api.encoder(api.runs(finished).index[0], finished, set={"loss.temperature": 1})


def test_an_interrupted_sweep_goes_on(in_process: Any, asked: dict[str, Any]) -> None:
    in_process.stops_after = 3
    with pytest.raises(KeyboardInterrupt, match="4 runs are left; the same call continues"):
        api.run("temperature", progress=False, **asked)
    partial = api.sweep("temperature", asked["storage"])
    assert not partial.complete
    assert partial.missing == 4
    assert partial.cells["n"].sum() == 3

    in_process.stops_after = None
    plan = api.plan("temperature", **asked)
    assert (plan.count, plan.left) == (7, 4)
    sweep = plan.run(progress=False)
    assert sweep.complete
    assert len(in_process.trained) == len(set(in_process.trained)) == 7


def test_the_ray_of_somebody_else_is_left_alone(
    in_process: Any, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    with pytest.raises(ClusterError, match="connected in this process already"):
        api.run("temperature", progress=False, **asked)
    assert not in_process.trained


def test_what_ends_a_round_is_raised_as_it_is(in_process: Any, asked: dict[str, Any]) -> None:
    class OutOfPaperError(Exception):
        pass

    def ends(_: str) -> None:
        raise OutOfPaperError

    in_process.before = ends
    with pytest.raises(OutOfPaperError):
        api.run("temperature", progress=False, **asked)


@pytest.mark.usefixtures("in_process")
def test_runs_that_fail_are_told_and_stop_no_others(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from workloads.simclr import pretrain

    real = pretrain.pretrain_by_step

    def some(spec: RunSpec, *more: Any) -> Any:
        if spec.loss.temperature == 1:
            raise RuntimeError("too warm")
        return real(spec, *more)

    monkeypatch.setattr(pretrain, "pretrain_by_step", some)
    sweep = api.run("temperature", progress=False, **asked)
    monkeypatch.undo()
    assert not sweep.complete
    assert sweep.missing == 0
    (line,) = sweep.failed
    assert "too warm" in line
    assert "log.txt" in line
    assert sweep.cells.loc["yes, 1", "failed"] == 1


def test_features_are_those_of_the_command(finished: str, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "mine").mkdir()
    values = np.random.default_rng(0).integers(0, 256, (3, 30, 20, 3)).astype(np.uint8)
    files = [tmp_path / "mine" / f"{number}.png" for number in range(3)]
    for file, image in zip(files, values, strict=True):
        Image.fromarray(image).save(file)
    run = api.runs(finished).index[0]
    output = tmp_path / "features.npz"
    command("embed", run, str(tmp_path / "mine"), "-o", str(output), "--storage", finished)

    encoder = api.encoder(run[:8], finished)
    with np.load(output) as written:
        assert np.array_equal(encoder.embed(files), written["features"])
    assert np.array_equal(encoder.embed(values), encoder.embed(files))
    assert encoder.embed(files).shape == (3, encoder.dimensions)
    assert tuple(encoder.transform(files[0]).shape) == (3, encoder.view_size, encoder.view_size)
    assert encoder.spec["data.image_size"] == 16
    assert encoder.origin["run"] == run
    assert not encoder.module.training
    with pytest.raises(PlanError, match=r"absent\.png"):
        encoder.embed([*files, tmp_path / "absent.png"])


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("loss.temperature", 1e-05, 1e-05),
        ("loss.temperature", np.float32(0.5), 0.5),
        ("schedule.epochs", np.int64(3), 3),
        ("loss.normalize", False, False),
        ("data.root", Path("/data/some where"), "/data/some where"),
        ("data.root", None, None),
        ("data.root", "null", "null"),
        ("data.root", "'quoted'", "'quoted'"),
        ("data.root", " # no comment: [", " # no comment: ["),
        ("loss.name", "nt-xent", "nt-xent"),
        ("augment.operations", ("crop", "color"), ["crop", "color"]),
        ("eval.l2", np.array([0.1, 1e-06]), [0.1, 1e-06]),
        ("data.train_images", None, None),
    ],
)
def test_a_value_is_set_as_it_is(field: str, value: Any, read: Any) -> None:
    (text,) = assignments({field: value})
    assert read_assignments([text], RunSpec) == {field: read}


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(PlanError) as refused:
        assignments({"seed": object, "loss.temperature": {1, 2}, "data.root": "here"})
    assert [line.split("=")[0] for line in refused.value.problems] == [
        "set: seed",
        "set: loss.temperature",
    ]


def test_errors_travel() -> None:
    error = pickle.loads(pickle.dumps(RunError("a run: no")))
    assert isinstance(error, OrchestratorError)
    assert str(error) == "a run: no"


def test_every_function_says_what_it_does() -> None:
    for name in api.__all__:
        found: Any = getattr(api, name)
        if name not in ("Only", "Question"):
            assert found.__doc__, name
            assert found.__module__.startswith("orchestrator.api")
