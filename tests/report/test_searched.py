"""Seconds: what a search's report says and draws, of a history that a formula gives."""

import base64
import gzip
import html
import json
import math
import re
import shlex
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from orchestrator.commands.search import print_search
from orchestrator.plan.in_optuna import importances
from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.space import Choices, Range, setting_name
from orchestrator.plan.study import Decision, Rules, Search, Study, Trial
from orchestrator.report.figures.ablation import save
from orchestrator.report.figures.searched import pictures_of
from orchestrator.report.page.search_page import search_page
from orchestrator.report.searched import Searched, as_tree, markdown_of, options_of, searched
from orchestrator.run_record import RunRecord
from workloads.simclr.spec import RunSpec
from workloads.written import read_assignments

SPACE = {
    "optim.base_learning_rate": Range(0.001, 1.0),
    "augment.operations": Choices((["crop"], ["crop", "color"])),
    "augment.color.strength": Range(0.0, 1.0, linear=True),
}


def trial(number: int, rate: float, strength: float, *scores: float, **more: Any) -> Trial:
    setting = {
        "optim.base_learning_rate": rate,
        "augment.operations": SPACE["augment.operations"].values[number % 2],  # type: ignore[union-attr]
        "augment.color.strength": strength,
    }
    return Trial(number, number // 4, setting, max(0, len(scores) - 1), scores, **more)


STUDY = Study(
    (1, 3, 9),
    (
        trial(0, 0.01, 0.5, 40.0, 50.0, 60.0),
        trial(1, 0.1, 0.2, 30.0),
        trial(2, 0.001, 0.8, 20.0),
        trial(3, 1.0, 0.1, failed="diverged"),
        trial(4, 0.02, 0.4, 41.0, 52.0, 58.0),
        trial(5, 0.5, 0.9, 25.0, 30.0),
    ),
    (Decision(0, (0, 1, 2), (0,)),),
)


@pytest.fixture
def found() -> Searched:
    cells = [
        {"at": [setting_name(one.setting)], "fingerprint": f"run{one.number}", "role": "sample"}
        for one in STUDY.trials
    ]
    plan: Any = {
        "sweep": "abc",
        "preset": "shapes",
        "workload": "simclr",
        "data": {"title": "shapes"},
        "cells": cells,
        "command": "simclr-orch tune --storage /home/someone --samples 8",
    }
    kept: KeptPlan = plan
    records = {
        f"run{number}": RunRecord(
            name="",
            fingerprint=f"run{number}",
            status="finished",
            spec={},
            results={"linear_top1": 70.0 + number},
        )
        for number in (0, 4)
    }
    return searched(kept, Search(SPACE, Rules(), 8, STUDY), records)


def test_the_chosen_setting_is_the_validation_splits_and_its_test_accuracy_the_only_one(
    found: Searched,
) -> None:
    tree = as_tree(found)
    assert tree["best"]["fingerprint"] == "run0"  # 60 to 58, though the other is better in the test
    assert tree["best"]["results"] == {"linear_top1": 70.0}
    assert [row["fingerprint"] for row in tree["settings"]] == [
        "run0",
        "run4",
        "run5",
        "run1",
        "run2",
        "run3",
    ]
    assert [row["status"] for row in tree["settings"]] == [
        "finished",
        "finished",
        "stopped",
        "stopped",
        "stopped",
        "diverged",
    ]
    assert tree["settings"][0]["scores"] == {"1": 40.0, "3": 50.0, "9": 60.0}
    assert "74" not in markdown_of(found, {})
    assert "70.0 %" in markdown_of(found, {})


def test_pictures_name_quantities_units_and_numbers(found: Searched, tmp_path: Path) -> None:
    figures = pictures_of(found)
    assert list(figures) == ["history", "slices", "parallel", "importance"]
    for stem, figure in figures.items():
        assert "n = 5 settings" in figure.get_suptitle()
        png, svg = save(figure, tmp_path, stem)
        assert png.stat().st_size > 10_000
        assert "n = 5" in svg.read_text() or svg.stat().st_size > 10_000
        again = save(pictures_of(found)[stem], tmp_path / "again", stem)
        assert again[0].read_bytes() == png.read_bytes()
    history = figures["history"].axes[0]
    assert history.get_ylabel() == "validation score, %"
    assert [axes.get_xlabel() for axes in figures["slices"].axes] == list(SPACE)
    assert [axes.get_xscale() for axes in figures["slices"].axes] == ["log", "linear", "linear"]
    report = markdown_of(found, {stem: f"{stem}.png" for stem in figures})
    assert all(f"]({stem}.png)" in report for stem in figures)


def test_what_is_printed_of_the_best_asks_for_it_again(found: Searched) -> None:
    best = found.best
    assert best is not None
    words = shlex.split(options_of(best))
    assert words[::2] == ["--set"] * 3
    assert read_assignments(words[1::2], RunSpec) == best.setting
    two = found.search.study.trials[1]
    assert """'augment.operations=["crop", "color"]'""" in options_of(two)
    out = StringIO()
    print_search(found, Console(file=out, width=120))
    assert 'augment.operations=["crop", "color"]' in out.getvalue()


def test_a_range_of_little_more_than_a_decade_has_marks_that_do_not_overlap() -> None:
    space = {"head.hidden_dim": Range(16, 512), "loss.temperature": Range(0.1, 0.3)}
    trials = tuple(
        Trial(number, 0, {"head.hidden_dim": 16 * 2**number, "loss.temperature": 0.1}, 0, (50.0,))
        for number in range(6)
    )
    plan: Any = {"sweep": "abc", "data": {"title": "shapes"}, "cells": []}
    one = Searched(plan, Search(space, Rules(), 6, Study((1,), trials)), {}, {}, {})
    figure = pictures_of(one)["slices"]
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        left, right = axes.get_xlim()
        labels = [
            label
            for label in axes.get_xticklabels(which="both")
            if label.get_text() and left <= label.get_position()[0] <= right
        ]
        assert len(labels) > 1
        boxes = [label.get_window_extent() for label in labels]
        assert all(one.x1 < two.x0 for one, two in pairwise(sorted(boxes, key=lambda box: box.x0)))


def test_nothing_is_drawn_of_a_search_without_a_score(found: Searched) -> None:
    empty = Searched(found.plan, Search(SPACE, Rules(), 8, Study((1,))), {}, {}, {})
    assert pictures_of(empty) == {}
    assert as_tree(empty)["best"] is None
    assert "| setting |" in markdown_of(empty, {})


def test_its_page_has_every_setting_in_every_chart(found: Searched) -> None:
    page = search_page(found, {})
    (packed,) = re.findall(r'id="charts">([^<]+)<', page)
    charts = json.loads(gzip.decompress(base64.b64decode(packed)))
    titles = ["Each line is a setting", "Each setting's score where it stopped", *SPACE]
    if found.importance:
        titles.insert(0, "Importance")
    assert [html.unescape(one) for one in re.findall(r"<h3>([^<]+)</h3>", page)] == titles
    parallel, history, *slices = charts[-2 - len(SPACE) :]
    scored = [one for one in STUDY.trials if one.scores]
    assert len(parallel["data"]) == 1 + len(scored)  # and the scale
    chosen = parallel["data"][-1]
    assert chosen["showlegend"]
    assert chosen["y"] == pytest.approx([1 / 3, 0.0, 0.5], abs=1e-3)
    for chart in (history, *slices):
        assert sum(len(one["x"]) for one in chart["data"] if one["mode"] == "markers") == 5
    assert "simclr-orch tune --samples 8" in page
    assert "/home/someone" not in page
    plain = json.loads(re.sub(r"var\(--\w+\)", "#000000", json.dumps(charts)))
    for chart in plain:
        pytest.importorskip("plotly.graph_objects").Figure(chart["data"], chart["layout"])

    empty = Searched(found.plan, Search(SPACE, Rules(), 8, Study((1,))), {}, {}, {})
    assert "No setting has a score yet." in search_page(empty, {})


def test_importance_finds_the_field_that_matters() -> None:
    space = {"rate": Range(0.001, 1.0), "idle": Range(0.0, 1.0, linear=True)}
    scored = [
        ({"rate": rate, "idle": idle}, 50 - 10 * abs(math.log10(rate) + 2))
        for rate in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
        for idle in (0.0, 0.5, 1.0)
    ]
    shares = importances(space, scored)
    assert list(shares) == ["rate", "idle"]
    assert shares["rate"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)
    assert importances(space, scored[:3]) == {}
    assert importances(space, [(setting, 1.0) for setting, _ in scored]) == {}
