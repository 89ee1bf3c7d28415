"""Seconds: the page of measured results says what the reports beside it say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SPREAD = re.compile(r"\d+\.\d+ ± \d+\.\d+")


@pytest.fixture(scope="module")
def generator(repository: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "benchmarks"))
        import results_table

        yield results_table


def test_the_tables_are_those_of_the_reports(generator: ModuleType, repository: Path) -> None:
    page = (repository / "docs" / "results" / "README.md").read_text()
    assert generator.written(page, generator.every_report()) == page, (
        "run: python benchmarks/results_table.py --write"
    )
    for name, report in generator.every_report().items():
        assert f"({name}/report.md)" in page
        for one in report.get("verdicts", []):
            claim = one["claim"].replace("|", "\\|")
            assert f"| {name} | {claim} | {one['verdict']} |" in page


def test_a_report_and_its_data_say_the_same(generator: ModuleType, repository: Path) -> None:
    for name, report in generator.every_report().items():
        text = (repository / "docs" / "results" / name / "report.md").read_text()
        for one in report.get("verdicts", []):
            claim = one["claim"].replace("|", "\\|")
            assert f"| {one['verdict']} | {claim} |" in text, name


@pytest.mark.parametrize("page", ["README.md", "docs/results/README.md"])
def test_every_spread_that_a_page_names_is_in_a_report(repository: Path, page: str) -> None:
    reports = repository / "docs" / "results"
    known = "".join(file.read_text() for file in reports.rglob("*.md") if file.parent != reports)
    prose = (repository / page).read_text()
    named = set(SPREAD.findall(prose))
    unknown = {one for one in named if one not in known}
    assert not unknown, f"{page}: {sorted(unknown)} in no report"


def test_a_table_leaves_nothing_out(generator: ModuleType, tmp_path: Path) -> None:
    report = next(iter(generator.every_report().values()))
    verdict = {
        "claim": "One | other.",
        "source": "x",
        "verdict": "contradicted",
        "level": 0.05,
        "seeds": 3,
        "more_seeds": None,
        "looks": [],
        "sentence": "",
        "holding": 0,
        "rules": 2,
        "q": 0.0004,
        "comparisons": [
            {
                "comparison": "a < 1",
                "verdict": "contradicted",
                "seeds": [0, 1, 2],
                "estimate": -3.5,
                "low": -7.25,
                "high": -2.0,
                "bound": -1.0,
                "more_seeds": None,
                "negated": True,
                "unit": "%",
                "lost": [{"at": ["a", "b"], "why": "collapsed", "seeds": [3, 4]}],
            }
        ],
    }
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "report.json").write_text(
        json.dumps(report | {"verdicts": [verdict], "plan": report["plan"] | {"workload": "w"}})
    )
    found = generator.tables("w", generator.every_report(tmp_path))
    assert found.splitlines()[-1] == (
        "| one | One \\| other. | contradicted | 3.50 [2.00, 7.25] %, to be below 1; 3 seeds; "
        "lost: a · b: collapsed, seeds 3, 4 | 2 |"
    )
