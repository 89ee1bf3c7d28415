"""Half a minute: what a person sees of a sweep on MLflow's own pages, in a real browser.

The runs are made up and written by the real recorder; the pages are those that `dashboard` serves.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchestrator.plan import Plan, build
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker, start_dashboard
from orchestrator.tracking.answers import pages_of
from orchestrator.tracking.recorder import Recorder, tags_of
from search_spaces import ABLATIONS
from workloads.catalog import preset_named

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.timeout(400),
]

NAME, SEEDS, EPOCHS = "few-augmentations", 2, 3
PATIENCE = 60_000  # milliseconds; the pages are 10 MB of script, which a busy machine reads slowly
# else the first page opens a panel over a third of itself
QUIET = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"


class Shown(NamedTuple):
    """A browser, where the pages are, and what the addresses of the answer are."""

    browser: "BrowserContext"
    address: str
    pages: dict[str, str]
    plan: Plan


def record(plan: Plan, fingerprint: str) -> RunRecord:
    """A run that never was; the further down in the plan, the better."""
    cell = plan.jobs[fingerprint]
    result = 20.0 + list(plan.jobs).index(fingerprint) / 4
    return RunRecord.read(
        {
            "name": cell.name,
            "fingerprint": fingerprint,
            "status": "finished",
            "spec": cell.spec.tree(),
            "history": [{"epoch": float(n), "loss": 5.0 / n} for n in range(1, EPOCHS + 1)],
            "results": {"linear_top1": result},
            "intervals": {"linear_top1": [result - 1, result + 1]},
        }
    )


def write(plan: Plan, storage: Storage, picture: bytes) -> None:
    data = {"title": "shapes", "train": 900, "validation": 100, "test": 200, "content": "c0ffee"}
    kept: Any = {"cells": [], "data": data, "git_commit": "abc", "preset": "shapes"}
    kept |= {"command": f"simclr-orch ablate {NAME}", "base": plan.base.tree()}
    tracker, said = Tracker.open(None, storage), list[str]()
    recorder = Recorder(
        tracker, plan, storage, tags_of(plan, kept), log_model=False, warn=said.append
    )
    recorder.begin(kept)
    for fingerprint in plan.jobs:
        recorder.ended(fingerprint, record(plan, fingerprint))
    document = {
        "cells": [{"mean": 30.0, "failed": 0, "missing": 0}],
        "untrained": {"mean": 20.0},
        "rank_correlation": {"rho": 0.5},
        "verdicts": [{"verdict": "reproduced"}],
    }
    answer = b"- **reproduced**: crop and color stand out"
    report = {"report.json": json.dumps(document).encode(), "answer.md": answer}
    recorder.finish("FINISHED", {**report, "report.png": picture})
    assert said == []


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int], repository: Path
) -> Iterator[Shown]:
    playwright = pytest.importorskip("playwright.sync_api")
    storage = Storage(str(tmp_path_factory.mktemp("pages")))
    plan = build(ABLATIONS[NAME], preset_named("shapes"), seeds=SEEDS)
    write(plan, storage, (repository / "docs/results/losses-cifar10/report.png").read_bytes())
    board = start_dashboard(None, storage, port=free_port())
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": 1900, "height": 1000})
            context.set_default_timeout(PATIENCE)
            context.add_init_script(QUIET)
            context.route(
                lambda url: url.startswith("http") and not url.startswith(board.address),
                lambda route: route.abort(),
            )
            yield Shown(context, board.address, pages_of(None, storage, NAME), plan)
            browser.close()
    finally:
        board.stop()


@pytest.fixture
def page(shown: Shown) -> Iterator["Page"]:
    opened = shown.browser.new_page()
    yield opened
    opened.close()


def test_the_table_has_what_differs_first_and_the_best_cell_on_top(
    shown: Shown, page: "Page"
) -> None:
    page.goto(shown.address + shown.pages["table"])
    first = page.locator(".ag-center-cols-container [row-index='1'], [row-index='1']")
    first.first.wait_for()
    page.locator("[col-id='metrics.`linear_top1_percent`']").first.wait_for()
    text = page.inner_text("body")
    for part in ("Model training", "Model registry", "Group by: cell", "Sort: linear_top1_percent"):
        assert part in text
    assert "Observability" not in text, "the pages for language models"
    assert ABLATIONS[NAME].question in text

    places = {
        column: box["x"]
        for column in (
            "params.`1st transformation`",
            "params.`2nd transformation`",
            "metrics.`linear_top1_percent`",
            "tags.`interval.linear_top1_percent`",
        )
        if (box := page.locator(f".ag-header-cell[col-id='{column}']").bounding_box()) is not None
    }
    assert list(places) == sorted(places, key=lambda column: places[column])
    assert len(places) == 4

    last = list(shown.plan.jobs.values())[-1]
    groups = page.get_by_text("Group: ")
    assert " · ".join(last.at) in groups.first.inner_text()
    result = 20.0 + (len(shown.plan.jobs) - 1) / 4
    assert f"{result - 1:.1f} to {result + 1:.1f}" in text


def test_charts_show_the_result_of_each_cell_the_papers_and_the_curves(
    shown: Shown, page: "Page"
) -> None:
    page.goto(shown.address + shown.pages["charts"])
    page.get_by_text("Answer", exact=True).wait_for()
    page.get_by_text("Curves", exact=True).wait_for()
    page.locator(".js-plotly-plot .bars path").first.wait_for()
    bars = page.locator(".js-plotly-plot").first.locator(".bars path")
    cells = {" · ".join(cell.at) for cell in shown.plan.jobs.values()}
    assert bars.count() == len(cells), "a bar for each cell, over its seeds"
    page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()


def test_the_run_of_the_sweep_has_the_answer_in_numbers_words_and_as_a_picture(
    shown: Shown, page: "Page"
) -> None:
    experiment = shown.pages["table"].split("/runs")[0]
    page.goto(f"{shown.address}{experiment}/runs?workflowType=machine_learning")
    page.get_by_text(f"{NAME} {shown.plan.sweep_id}").first.click()
    page.get_by_text("rank_correlation").first.wait_for()
    picture = page.locator("img[src*='report.png']").first
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 0, "the picture is not there"
    text = page.inner_text("body")
    for part in ("best_linear_top1_percent", "claims_reproduced", "untrained_linear_top1_percent"):
        assert part in text
    assert "crop and color stand out" in text
    assert "simclr-orch ablate few-augmentations" in text
