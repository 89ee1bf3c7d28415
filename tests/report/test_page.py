"""Seconds: what a report's page says, by parsing it; nothing is drawn."""

import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.page import page_at, write_report_page
from orchestrator.errors import PlanError
from orchestrator.report.collect import Report
from orchestrator.report.cost import cost_of
from orchestrator.report.document import as_json
from orchestrator.report.page import payload, report_page
from orchestrator.report.page.charts import interval_of
from orchestrator.report.page.scorecard import Entry, scorecard_page
from orchestrator.report.reread import report_in
from orchestrator.report.summary import Summary
from orchestrator.run_record import RunRecord
from search_spaces.trees.question import OWN
from workloads.quantity import percent

MOST = 3_000_000  # bytes of a page
FIGURES = ("heatmap", "lines", "table")


class Read(HTMLParser):
    """The elements of a page, their texts, and whatever a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []
        self.scripts: dict[str, str] = {}
        self._inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.fetched += [value for name in ("src", "srcset") if (value := given.get(name))]
        if tag == "link":
            self.fetched.append(given["href"] or "")
        self._inside = (given.get("id") or tag) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.text.append(data)
        else:
            self.scripts[self._inside] = data

    @property
    def charts(self) -> list[dict[str, Any]]:
        packed = base64.b64decode(self.scripts["charts"])
        found: list[dict[str, Any]] = json.loads(gzip.decompress(packed))
        return found


@pytest.mark.parametrize("figure", FIGURES)
def test_whatever_is_filled_in_is_text(
    hostile_report: Callable[[str], Report], figure: str
) -> None:
    read = Read(report_page.report_page(hostile_report(figure), {}, None))
    # the charts, plotly and the page's own; none of a label's
    assert read.tags.count("script") == 3
    assert "em" not in read.tags
    assert "img" not in read.tags
    text = " ".join(read.text)
    assert "A title with <script>hit = 1</script>" in text
    assert "b & <b>c</b>" in text
    # what plotly draws it reads as HTML, too
    assert "<script" not in json.dumps(read.charts)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_page_is_small_and_fetches_nothing(
    hostile_report: Callable[[str], Report], figure: str
) -> None:
    page = report_page.report_page(hostile_report(figure), {"report.png": b"0" * 150_000}, None)
    assert len(page.encode()) < MOST
    assert all(address.startswith("data:") for address in Read(page).fetched)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert page == report_page.report_page(
        hostile_report(figure), {"report.png": b"0" * 150_000}, None
    )


def test_charts_have_the_values_of_the_report(hostile_report: Callable[[str], Report]) -> None:
    report = hostile_report("heatmap")
    ours, paper, against, *curves = Read(report_page.report_page(report, {}, None)).charts
    means = [cell.mean for cell in report.cells]
    assert [v for row in ours["data"][0]["z"] for v in row[:2]] == pytest.approx(means)
    assert [v for row in paper["data"][0]["z"] for v in row[:2]] == [40, 42, 44, 46, 48, 50]
    assert against["data"][0]["y"] == pytest.approx(means)
    words = ours["data"][0]["customdata"][0][0]
    assert "n = 5 seeds, sd 0.2" in words
    assert "95 % interval of the mean: [" in words
    # loss and the online metric: a line and a band for each of six cells
    assert [len(one["data"]) for one in curves] == [12, 12]
    assert curves[0]["data"][1]["y"] == pytest.approx([5, 2.5, 5 / 3], rel=1e-5)


@pytest.mark.parametrize("figure", FIGURES)
def test_plotly_knows_all_that_charts_say(
    hostile_report: Callable[[str], Report], figure: str
) -> None:
    # in the browser it ignores without a word what it does not know
    graph_objects = pytest.importorskip("plotly.graph_objects")
    for chart in Read(report_page.report_page(hostile_report(figure), {}, None)).charts:
        plain = json.loads(re.sub(r"var\(--\w+\)", "#000000", json.dumps(chart)))
        graph_objects.Figure(plain["data"], plain["layout"])


def test_the_interval_of_a_mean_is_students() -> None:
    values = (50.0, 52.0, 57.0)
    cell = Summary(("a",), values, 0, 0, None)
    low, high = t.interval(0.95, 2, 53.0, cell.spread / 3**0.5)  # type: ignore[operator]
    assert interval_of(cell, percent("x")) == pytest.approx((low, high))
    near = Summary(("a",), (99.0, 99.5, 100.0), 0, 0, None)
    assert interval_of(near, percent("x"))[1] == 100.0  # type: ignore[index]
    assert interval_of(Summary(("a",), values[:2], 0, 0, None), percent("x")) is None


def test_cost_is_added_up() -> None:
    machine = {"workers": 2, "threads": 4, "gpu": True, "device": "a GPU"}
    machine |= {"precision": "bf16", "torch": "2.11"}
    one = RunRecord.read(
        {"name": "a", "fingerprint": "f", "status": "finished", "spec": {}}
        | {"machine": machine, "total_seconds": 3600, "ended": "2026-01-01T02:00:00+00:00"}
    )
    later = replace(one, ended="2026-01-01T05:30:00+00:00", total_seconds=1800)
    found = cost_of([one, None, later, replace(one, total_seconds=None)])
    assert found is not None
    assert (found.runs, found.unknown, found.hours) == (3, 1, 1.5)
    assert (found.core_hours, found.gpu_hours) == (12.0, 3.0)
    assert (found.began, found.ended) == ("2026-01-01T01:00:00+00:00", "2026-01-01T05:30:00+00:00")
    assert cost_of([None]) is None


def test_cost_and_command_are_those_of_the_sweep(hostile_report: Callable[[str], Report]) -> None:
    report = hostile_report("table")
    text = " ".join(Read(report_page.report_page(report, {}, None)).text)
    assert "20 that have ended" in text
    assert "20 h of a core" in text  # 20 runs of half an hour on two threads
    assert "simclr-orch ablate hostile --seeds 5" in text
    assert "/home/someone" not in text
    assert "abc123" in text
    again = report_in(json.loads(json.dumps(as_json(report))), report.ablation)
    assert again.cost == report.cost


def test_settings_that_differ_are_grouped_by_part(hostile_report: Callable[[str], Report]) -> None:
    page = report_page.report_page(hostile_report("table"), {}, None)
    counted = dict(re.findall(r"<summary>([\w ]+): (\d+) fields?</summary>", page))
    differs = [one.field.partition(".")[0] for one in hostile_report("table").differences]
    assert int(counted["Encoder"]) == differs.count("encoder")
    assert sum(map(int, counted.values())) == len(differs)
    assert "loss.temperature" not in " ".join(differs)  # which every cell sets


def test_an_own_question_has_no_settings_of_a_paper(
    hostile_report: Callable[[str], Report],
) -> None:
    report = hostile_report("lines")
    own = replace(report, ablation=replace(report.ablation, source=OWN))
    page = report_page.report_page(own, {}, None)
    assert OWN in page
    assert "Settings that differ" not in page
    assert Read(page).charts


def test_without_plotly_a_page_has_the_picture(
    hostile_report: Callable[[str], Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (report_page, payload):
        monkeypatch.setattr(module, "plotly_text", lambda: None)
    page = report_page.report_page(hostile_report("lines"), {"report.png": b"png"}, None)
    read = Read(page)
    assert "script" not in read.tags
    assert read.fetched == ["data:,", f"data:image/png;base64,{base64.b64encode(b'png').decode()}"]


def test_a_page_goes_into_a_file_or_a_folder(
    hostile_report: Callable[[str], Report], tmp_path: Path
) -> None:
    assert page_at(tmp_path / "x.html", "name") == tmp_path / "x.html"
    assert page_at(tmp_path, "name") == tmp_path / "name.html"
    written = write_report_page(hostile_report("table"), {}, tmp_path / "deep" / "folder")
    assert written == tmp_path / "deep" / "folder" / "hostile.html"


def test_a_page_that_cannot_be_written_is_one_sentence(
    hostile_report: Callable[[str], Report], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlanError, match=r"^--html .*file/x.html: cannot be written: "):
        write_report_page(hostile_report("table"), {}, tmp_path / "file" / "x.html")


def test_a_page_shows_what_each_operation_does(
    hostile_report: Callable[[str], Report], tmp_path: Path
) -> None:
    report = hostile_report("table")
    page = write_report_page(report, {}, tmp_path).read_text()
    pictures = re.findall(r"<h3>([^<]+)</h3><img src=\"data:image/webp;base64,(\w+)", page)
    used = report.plan["base"]["augment"]["operations"]
    assert [name for name, _ in pictures] == ["The recipe&#39;s own policy", *used]
    assert len(page) < MOST


def test_a_page_says_that_images_are_not_at_hand(
    hostile_report: Callable[[str], Report], tmp_path: Path
) -> None:
    report = hostile_report("table")
    base = report.plan["base"]
    away = base | {"data": base["data"] | {"name": "cifar10", "root": str(tmp_path / "nowhere")}}
    elsewhere = replace(report, plan=report.plan | {"base": away})
    assert (
        "The images are not at hand here" in write_report_page(elsewhere, {}, tmp_path).read_text()
    )


def test_the_scorecard_counts_every_claim(hostile_report: Callable[[str], Report]) -> None:
    report = hostile_report("table")
    page = scorecard_page([Entry(report, "a.html", None), Entry(report, "b.html", None)])
    read = Read(page)
    assert "script" not in read.tags
    assert "2 claims of 2 sweeps." in " ".join(read.text)
    assert re.search(r"2 \w+</span>", page)
    assert {"a.html", "b.html"} <= set(re.findall(r'href="([^"#]+)"', page))


def test_pages_of_published_reports_and_their_index(repository: Path, tmp_path: Path) -> None:
    for name in ("temperature-cifar10-small", "fresh-views", "label-threshold"):
        there = tmp_path / "reports" / name
        there.mkdir(parents=True)
        for file in ("report.json", "report.png"):
            (there / file).write_bytes((repository / "docs" / "results" / name / file).read_bytes())
    words = ["report", str(tmp_path / "reports"), "--html", str(tmp_path / "pages"), "--json"]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    pages = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert pages == [
        "fresh-views.html",
        "index.html",
        "label-threshold.html",
        "temperature-cifar10-small.html",
    ]
    for page in (tmp_path / "pages").iterdir():
        assert page.stat().st_size < MOST
    index = (tmp_path / "pages" / "index.html").read_text()
    judged = 0
    for name in ("temperature-cifar10-small", "fresh-views", "label-threshold"):
        document = json.loads((tmp_path / "reports" / name / "report.json").read_text())
        judged += len(document["verdicts"])
    assert f"{judged} claims of 3 sweeps." in index


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["all", "--html", "one.html"], "several pages are written"),
        (["all", "--html", "pages", "--sweep", "a"], "--sweep: not together with all"),
        ([".", "--html", "pages"], "has no report of an ablation"),
    ],
)
def test_what_cannot_be_a_page_is_refused(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "simclr-orch-results").mkdir()
    ended = CliRunner().invoke(app, ["report", *words])
    assert ended.exit_code == 2
    assert said in ended.output
    assert not (tmp_path / "pages").exists()
