"""Milliseconds: the report's numbers against hand-made records, in every form that it takes."""

import io
import json
import random
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scipy.stats import spearmanr, ttest_1samp
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.report import REPORT_FILES, report_again, report_on
from orchestrator.errors import PlanError
from orchestrator.plan import build
from orchestrator.plan.kept import kept_cells
from orchestrator.report.collect import Report, collect
from orchestrator.report.document import as_json
from orchestrator.report.reread import report_in
from orchestrator.report.text import markdown, print_report
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from search_spaces import ABLATIONS, UNTRAINED
from search_spaces.claims import Claim, Term
from workloads.catalog import preset_named

MACHINE = {
    "device": "a CPU",
    "gpu": False,
    "threads": 1,
    "workers": 1,
    "precision": "bf16",
    "torch": "2.14",
}


def swept(name: str, seeds: int) -> tuple[dict[str, Any], dict[str, dict[str, Any] | None]]:
    """A kept plan and a finished record for each cell: value 50 + the cell's number + seed."""
    ablation = ABLATIONS[name]
    preset = {"simclr": "shapes", "two-layer-cnn": "gaussian-patches"}[ablation.workload]
    if name == "shortcuts":  # which only generated images have
        preset = "textures"
    plan = build(ablation, preset_named(preset), seeds=seeds)
    kept = {
        "sweep": plan.sweep_id,
        "scale": plan.scale,
        "preset": preset,
        "workload": ablation.workload,
        "base": plan.base.tree(),
        "seeds": list(plan.seeds),
        "cells": kept_cells(plan),
        "data": {"title": "shapes, 24 px", "train": 1800, "validation": 200, "test": 1000},
        "command": f"simclr-orch ablate {name}",
    }
    each = len(plan.cells) // seeds
    records: dict[str, dict[str, Any] | None] = {}
    metrics = {ablation.metric_of(cell) for cell in ablation.small.cells} | {ablation.tuned_by}
    other = {} if ablation.counts_if is None else {ablation.counts_if: 1.0}
    other |= {} if ablation.against is None else {ablation.against: 2.5}
    # Numbered by the layout, whatever the order in which they run.
    places = [UNTRAINED, *(cell.at for cell in ablation.small.cells)]
    numbered = sorted(
        plan.cells, key=lambda cell: (cell.seed, places.index(cell.at), cell.candidate or 0)
    )
    for number, cell in enumerate(numbered):
        last = {"epoch": 1.0, "contrastive_entropy": 4.0 + cell.seed, "contrastive_accuracy": 80.0}
        records[cell.fingerprint] = {
            "name": cell.name,
            "fingerprint": cell.fingerprint,
            "status": "finished",
            "results": dict.fromkeys(metrics | {"linear_top1"}, 50.0 + number % each + cell.seed)
            | other,
            "spec": cell.spec.tree(),
            "history": [] if cell.role == "reference" else [last],
            "machine": MACHINE,
            "log": "runs/x/log.txt",
        }
    return kept, records


def read(records: dict[str, dict[str, Any] | None]) -> dict[str, RunRecord | None]:
    return {name: tree and RunRecord.read(tree) for name, tree in records.items()}


def test_mean_spread_and_n_of_each_cell() -> None:
    plan, records = swept("temperature", 3)
    report = collect(ABLATIONS["temperature"], plan, read(records))
    first = report.cells[0]
    assert first.at == ("yes, 0.05",)
    assert first.values == (51.0, 52.0, 53.0)
    assert (first.mean, first.spread, first.n) == (52.0, statistics.stdev([51, 52, 53]), 3)
    assert first.paper == 59.7
    assert report.reference is not None
    assert report.reference.values == (50.0, 51.0, 52.0)
    assert report.more[("yes, 0.05",)]["contrastive_entropy"] == pytest.approx(5.0)
    assert report.machines == ("a CPU, 1 thread a worker, bf16, torch 2.14",)


def test_failed_and_missing_cells_are_shown_as_such() -> None:
    plan, records = swept("augmentations", 1)
    at = {tuple(cell["at"]): cell["fingerprint"] for cell in plan["cells"]}
    records[at[("crop", "color")]] = None
    failed = records[at[("blur", "blur")]]
    assert failed is not None
    failed |= {"status": "failed", "error": "Traceback\nLossNotFiniteError: loss is nan"}
    report = collect(ABLATIONS["augmentations"], plan, read(records))
    assert report.finished == 47
    text = markdown(report, "report.png")
    crop = next(line for line in text.splitlines() if line.startswith("| crop |"))
    assert crop.split(" | ")[3] == "missing"
    blur = next(line for line in text.splitlines() if line.startswith("| blur |"))
    assert blur.split(" | ")[6] == "failed"
    assert "LossNotFiniteError: loss is nan (log: runs/x/log.txt)" in text
    cells = {tuple(cell["at"]): cell for cell in as_json(report)["cells"]}
    assert cells[("crop", "color")]["mean"] is None
    assert (cells[("crop", "color")]["missing"], cells[("blur", "blur")]["failed"]) == (1, 1)


def test_the_papers_values_stand_in_a_table_of_their_own() -> None:
    plan, records = swept("augmentations", 1)
    text = markdown(collect(ABLATIONS["augmentations"], plan, read(records)), "report.png")
    ours, paper = [line for line in text.splitlines() if line.startswith("| color |")]
    assert ours == "| color | 65.0 | 66.0 | 67.0 | 68.0 | 69.0 | 70.0 | 71.0 |"
    assert paper == "| color | 55.8 | 35.5 | 18.8 | 21.0 | 11.4 | 16.5 | 20.8 |"


@pytest.mark.parametrize("name", list(ABLATIONS))
def test_every_ablation_prints_on_a_narrow_terminal(name: str) -> None:
    plan, records = swept(name, 2)
    buffer = io.StringIO()
    report = collect(ABLATIONS[name], plan, read(records))
    print_report(report, Console(file=buffer, width=80))
    printed = buffer.getvalue()
    _, verdicts = printed.rsplit("─", 1)
    assert all(len(line) <= 80 for line in verdicts.splitlines())
    words = verdicts.split()
    for one in report.verdicts:
        assert f"{one.verdict}:" in verdicts
        assert " ".join(one.claim.statement.rstrip(".").split()) in " ".join(words)
    assert ABLATIONS[name].question in " ".join(printed.split())
    asked = ABLATIONS[name]
    if (
        asked.workload == "simclr"
        and asked.untrained
        and not any(cell.candidates for cell in asked.small.cells)
    ):
        assert "untrained 50.5 ± 0.7 %" in " ".join(printed.split())


def test_the_document_holds_no_path_of_the_machine() -> None:
    plan, records = swept("head", 1)
    plan["base"]["data"]["root"] = "/home/somebody/images"
    report = collect(ABLATIONS["head"], plan, read(records))
    assert "/home/somebody" not in str(as_json(report))
    assert "/home/somebody" not in markdown(report, "report.png")


def test_what_is_printed_is_brief_and_long_on_request() -> None:
    plan, records = swept("augmentations", 3)
    report = collect(ABLATIONS["augmentations"], plan, read(records))
    printed = {}
    for details in (False, True):
        buffer = io.StringIO()
        print_report(report, Console(file=buffer, width=80), details=details)
        printed[details] = buffer.getvalue()
    assert "eval.protocol=lbfgs (paper: sgd)" not in printed[False]
    assert "eval.protocol=lbfgs (paper: sgd)" in printed[True]
    label = report.verdicts[0].judged[0].comparison.label
    found = {details: "".join(text.split()) for details, text in printed.items()}
    assert "".join(label.split()) not in found[False]
    assert "".join(label.split()) in found[True]


# A workload without the paper's numbers -----------------------------------------------------------

SIMCLR, DIRECT = "SimCLR pre-training", "direct"


def not_converged(
    plan: dict[str, Any], records: dict[str, Any], at: tuple[str, ...], seeds: set[int]
) -> None:
    for cell in plan["cells"]:
        if tuple(cell["at"]) == at and cell["seed"] in seeds:
            records[cell["fingerprint"]]["results"]["converged"] = 0.0


def test_runs_that_do_not_count_are_left_out_and_counted() -> None:
    plan, records = swept("label-complexity", 3)
    some, all_of_it = ("0.1", "2", SIMCLR), ("0.1", "8", DIRECT)
    not_converged(plan, records, some, {2})
    not_converged(plan, records, all_of_it, {0, 1, 2})
    report = collect(ABLATIONS["label-complexity"], plan, read(records))
    cells = {cell.at: cell for cell in report.cells}
    assert (cells[some].values, cells[some].n, cells[some].uncounted, cells[some].missing) == (
        (50.0, 51.0),
        2,
        1,
        0,
    )
    assert (cells[all_of_it].mean, cells[all_of_it].uncounted, cells[all_of_it].gap) == (
        None,
        3,
        "none counts",
    )
    assert report.finished == 300
    text = markdown(report, "report.png")
    first = [line for line in text.splitlines() if line.startswith("| 0.1 |")]
    assert first[0].split(" | ")[1] == "50.5 ± 0.7, n = 2, 1 not converged"
    assert first[1].split(" | ")[3] == "not converged"
    fact = (
        "**Uncounted:** 4 of 300 finished runs, in 2 of 100 cells (0.1 · 2 · SimCLR "
        "pre-training: 1 of 3, "
        "0.1 · 8 · direct: 3 of 3): converged is not 1"
    )
    assert fact in text
    buffer = io.StringIO()
    print_report(report, Console(file=buffer, width=100))
    assert "Uncounted: 4 of 300 finished runs, in 2 of 100 cells" in buffer.getvalue()
    document = as_json(report)
    assert document["counts_if"] == "converged"
    assert {
        tuple(cell["at"]): cell["uncounted"] for cell in document["cells"] if cell["uncounted"]
    } == {some: 1, all_of_it: 3}


def test_where_the_paper_has_no_numbers_the_report_has_no_place_for_them() -> None:
    plan, records = swept("label-complexity", 2)
    text = markdown(collect(ABLATIONS["label-complexity"], plan, read(records)), "report.png")
    assert "- **Source:** Zhang & Cao (arXiv 2409.18685), Theorems 4.2 and 4.3" in text
    assert "## This run, test error (%), n = 2 · direct" in text
    for absent in (
        "he paper, test error",
        "Untrained",
        "Rank correlation",
        "Differs from",
        "Uncounted",
        " 0 validation",
        "top-1",
    ):
        assert absent not in text, absent
    plan, records = swept("temperature", 2)
    text = markdown(collect(ABLATIONS["temperature"], plan, read(records)), "report.png")
    assert "- **Source:** SimCLR paper, Table 5" in text
    assert (
        "| l2 norm, temperature | this run, % | paper | n | contrastive entropy | paper |"
    ) in text
    assert "Differs from the paper's setting in" in text


def test_points_are_listed_with_both_metrics_in_their_own_digits() -> None:
    plan, records = swept("signal-to-noise", 2)
    for cell in plan["cells"]:
        record = records[cell["fingerprint"]]
        assert record is not None
        record["results"] |= {"alignment": 0.9 + 0.01 * cell["seed"]}
    report = collect(ABLATIONS["signal-to-noise"], plan, read(records))
    assert report.cells[0].against == (2.5, 2.5)
    text = markdown(report, "report.png", "curves.png")
    assert "| signal-to-noise ratio · unlabeled inputs | n₀ SNR² | this run, cosine | n |" in text
    assert "| 0.05 · 50 | 2.5 | 0.905 ± 0.007 | 2 |" in text
    assert "![Training curves](curves.png)" in text
    assert any(
        line.startswith("| 0.1 · 250 > 0.9 |") and "| +0.905 |" in line
        for line in text.splitlines()
    )
    assert as_json(report)["cells"][0]["against"] == [2.5, 2.5]


@pytest.mark.parametrize(
    ("name", "drawn"), [("augmentation-quality", True), ("temperature", False)]
)
def test_a_report_has_pictures_of_curves_where_runs_have_left_some(
    name: str, drawn: bool, tmp_path: Path
) -> None:
    plan, records = swept(name, 1)
    storage = Storage(str(tmp_path / "storage"))
    storage.write_json(f"sweeps/{name}/{plan['sweep']}/plan.json", plan | {"started": "2026-01-01"})
    for fingerprint, record in records.items():
        assert record is not None
        course = [
            {"epoch": float(step), "phase": 0.0, "loss": 5.0 - step, "alignment": 0.1 * step}
            for step in range(3)
        ]
        history = course if drawn else record["history"]
        storage.write_json(f"runs/{fingerprint}/run.json", record | {"history": history})
    report_on(name, storage, Console(file=io.StringIO()), sweep=None, output=tmp_path / "report")
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert files == (
        set(REPORT_FILES) if drawn else {"report.md", "report.json", "report.png", "report.svg"}
    )
    assert ("](curves.png)" in (tmp_path / "report" / "report.md").read_text()) == drawn


def test_a_schedule_of_looks_is_said_and_so_is_that_it_changed() -> None:
    plan, records = swept("temperature", 3)
    assert "Looked at after" not in markdown(
        collect(ABLATIONS["temperature"], plan, read(records)), "report.png"
    )
    for changed in (False, True):
        looked = plan | {"looks": [2, 3], "looks_changed": changed}
        text = markdown(collect(ABLATIONS["temperature"], looked, read(records)), "report.png")
        assert "- **Looked at after:** 2, 3 seeds, the error spent over the looks." in text
        assert ("The schedule was another one before" in text) == changed


@pytest.mark.parametrize("name", ["augmentations", "head", "temperature"])
def test_what_a_comparisons_own_seeds_say_alone_is_a_paired_t_test(name: str) -> None:
    plan, records = with_losses(name, 4)
    report = collect(ABLATIONS[name], plan, read(records))
    assert report.reference is not None
    cells = {cell.at: cell.measured for cell in (*report.cells, report.reference)}
    tested = 0
    for claim, document in zip(report.verdicts, as_json(report)["verdicts"], strict=True):
        for judged, one in zip(claim.judged, document["comparisons"], strict=True):
            terms = judged.comparison.terms
            columns = [cells[term.at].get(term.metric or "linear_top1", {}) for term in terms]
            seeds = set.intersection(*map(set, columns))
            sums = [
                sum(term.weight * column[seed] for term, column in zip(terms, columns, strict=True))
                for seed in sorted(seeds)
            ]
            bound = judged.comparison.bound
            if judged.comparison.relation == "above" and len(sums) > 1:
                found = ttest_1samp(sums, bound, alternative="greater").pvalue
                assert one["own_p"] == pytest.approx(found)
                tested += 1
    assert tested


def test_the_likeness_to_the_paper_is_also_that_of_each_seed() -> None:
    plan, records = with_losses("augmentations", 4)
    report = collect(ABLATIONS["augmentations"], plan, read(records))
    found = as_json(report)["rank_correlation_by_seed"]
    whole = [seed for seed in range(4) if all(seed in cell.seeds for cell in report.cells)]
    assert [*found] == [str(seed) for seed in whole]
    for seed in whole:
        ours = [cell.values[cell.seeds.index(seed)] for cell in report.cells]
        paper = [cell.paper for cell in report.cells]
        assert found[str(seed)] == pytest.approx(spearmanr(ours, paper).statistic)
    told = ", ".join(f"{rho:.2f}" for rho in sorted(found.values()))
    assert f"; of each seed alone {told}" in markdown(report, "report.png")


# Made again from its file alone -------------------------------------------------------------------


def with_losses(name: str, seeds: int) -> tuple[dict[str, Any], dict[str, dict[str, Any] | None]]:
    """As swept, with values and metrics that differ in all cells, and a run of each kind lost."""
    plan, records = swept(name, seeds)
    draw = random.Random(1)
    ended = [record for record in records.values() if record is not None]
    named = {term.metric for claim in ABLATIONS[name].claims for term in terms_of(claim)} - {None}
    for record in ended:
        record["results"] |= {
            metric: draw.uniform(1, 99)
            for metric in [*record["results"], *sorted(named)]
            if metric != ABLATIONS[name].counts_if
        }
    ended[1] |= {"status": "failed", "error": "loss is nan", "diverged": True}
    ended[2] |= {"status": "failed", "error": "killed"}
    records[ended[3]["fingerprint"]] = None
    if ABLATIONS[name].counts_if is not None:
        ended[4]["results"][ABLATIONS[name].counts_if] = 0.0
    return plan, records


def terms_of(claim: Claim) -> list[Term]:
    return [term for one in (*claim.paper, *claim.small) for term in one.terms]


def written(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(as_json(report)))
    return document


@pytest.mark.parametrize("name", list(ABLATIONS))
def test_a_report_made_again_from_its_file_is_the_same(name: str) -> None:
    plan, records = with_losses(name, 4)
    first = collect(ABLATIONS[name], plan, read(records))
    document = written(first)
    again = report_in(document, ABLATIONS[name])
    assert again.not_kept == ()
    assert again.verdicts == first.verdicts
    assert written(again) == document


def test_each_seeds_value_is_kept_and_why_others_were_lost() -> None:
    plan, records = swept("label-complexity", 4)
    at = ("0.1", "8", DIRECT)
    runs = {cell["seed"]: cell["fingerprint"] for cell in plan["cells"] if tuple(cell["at"]) == at}
    for seed, fingerprint in runs.items():
        record = records[fingerprint]
        assert record is not None
        record["results"] |= {"test_loss": 0.1 * seed}
    not_converged(plan, records, at, {1})
    diverged = records[runs[2]]
    assert diverged is not None
    diverged |= {"status": "failed", "error": "loss is nan", "diverged": True}
    report = as_json(collect(ABLATIONS["label-complexity"], plan, read(records)))
    (cell,) = (cell for cell in report["cells"] if tuple(cell["at"]) == at)
    assert cell["seeds"] == [0, 3]
    assert cell["measured"]["test_error"] == dict(zip(("0", "3"), cell["values"], strict=True))
    assert cell["measured"]["test_loss"] == {"0": 0.0, "3": pytest.approx(0.3)}
    assert cell["lost"] == {"1": "not converged", "2": "diverged"}


def of_before(document: dict[str, Any]) -> dict[str, Any]:
    """The document as it was written when it kept no seed's number."""
    for cell in (*document["cells"], document["untrained"] or {}):
        for key in ("seeds", "measured", "lost"):
            cell.pop(key, None)
    return document


def test_a_report_of_before_is_judged_by_what_it_has_and_says_what_it_lacks() -> None:
    plan, records = swept("temperature", 3)
    first = collect(ABLATIONS["temperature"], plan, read(records))
    document = of_before(written(first))
    again = report_in(document, ABLATIONS["temperature"])
    assert again.cells[0].measured == {"linear_top1": {0: 51.0, 1: 52.0, 2: 53.0}}
    assert again.not_kept is not None
    assert any(line.startswith("contrastive_entropy of 4 cells") for line in again.not_kept)
    judged = {one.claim.statement: one for one in again.verdicts}
    for before in first.verdicts:
        now = judged[before.claim.statement]
        assert now.verdict == before.verdict
        asks_for_more = any(term.metric for term in terms_of(before.claim))
        assert now.sentence.endswith("(as it was judged at the time)") == asks_for_more
        assert [one.estimate for one in now.judged] == [one.estimate for one in before.judged]
    assert "contrastive_entropy of 4 cells" in "".join(written(again)["not_kept"])
    text = markdown(again, "report.png")
    assert "- **Judged again:** from the values that the report had kept; it has not kept" in text

    # a claim that it was never asked
    document["verdicts"] = []
    for one in report_in(document, ABLATIONS["temperature"]).verdicts:
        if any(term.metric for term in terms_of(one.claim)):
            # some fail, whatever the others would say
            told = one.sentence.startswith("cannot be judged again")
            assert told == (one.verdict != "contradicted")


def test_a_report_of_before_that_lost_runs_has_the_seeds_that_its_comparisons_say() -> None:
    plan, records = swept("label-complexity", 3)
    compared, alone = ("0.2", "8", SIMCLR), ("0.1", "2", SIMCLR)
    not_converged(plan, records, compared, {1})
    not_converged(plan, records, alone, {1})
    first = collect(ABLATIONS["label-complexity"], plan, read(records))
    named = {
        term.at
        for claim in ABLATIONS["label-complexity"].claims
        for one in claim.small
        for term in one.terms
    }
    assert compared in named
    document = of_before(written(first))
    for cell in report_in(document, ABLATIONS["label-complexity"]).cells:
        if cell.at in (compared, alone):
            assert cell.seeds == ((0, 2) if cell.at in named else ())
        else:
            assert cell.seeds == (0, 1, 2)


def test_a_file_is_judged_without_a_storage_and_written_on_request_only(tmp_path: Path) -> None:
    plan, records = swept("temperature", 3)
    document = written(collect(ABLATIONS["temperature"], plan, read(records)))
    file = tmp_path / "report.json"
    file.write_text(json.dumps(document))
    shown = report_again(file, Console(file=io.StringIO()), output=None)
    assert shown.document == document
    assert list(tmp_path.iterdir()) == [file]

    output = tmp_path / "again"
    report_again(file, Console(file=io.StringIO()), output=output)
    assert json.loads((output / "report.json").read_text()) == document
    assert {path.name for path in output.iterdir()} == {*REPORT_FILES[:4]}


def test_a_file_and_a_storage_are_not_both_given() -> None:
    found = CliRunner().invoke(app, ["report", "x/report.json", "--storage", "y", "--sweep", "z"])
    assert found.exit_code == 2
    assert "--sweep, --storage: not together with a file, x/report.json" in found.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "is not a mapping"),
        ("{}", "is no report: has no ablation, metric, cells, machines, failed, plan"),
        ("{", "report.json: Expecting"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_report_is_refused(
    content: str | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(PlanError, match=re.escape(said)):
        report_again(file, Console(file=io.StringIO()), output=None)


@pytest.mark.parametrize("name", ["batch-size-cifar10", "temperature-cifar10-small"])
def test_a_report_judged_again_twice_says_what_it_said_once(name: str, repository: Path) -> None:
    document = json.loads((repository / "docs" / "results" / name / "report.json").read_text())
    ablation = ABLATIONS[document["ablation"]]
    once = written(report_in(document, ablation))
    assert written(report_in(once, ablation)) == once
    for one in once["verdicts"]:
        told = one["sentence"]
        assert not told.startswith("cannot be judged again") or "at the time" not in told
