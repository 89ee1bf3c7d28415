"""Milliseconds: every row of docs/reliability.md says how its fault was tried, by a test that is
there or by hand.
"""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
COLUMNS = ["fault", "what is lost", "how it was tried", "how often"]
TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of the table, its head first."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def defined_in(file: str) -> frozenset[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_each_fault_has_its_loss_its_test_and_how_often() -> None:
    head, _, *faults = rows()
    assert head == COLUMNS
    assert len(faults) > 20
    for row in faults:
        assert len(row) == len(COLUMNS), row
        assert all(row), row
        assert TEST.search(row[2]) or "by hand" in row[2], f"names no test: {row}"
    assert len({row[0] for row in faults}) == len(faults)


def test_the_table_is_one_block() -> None:
    """A row after another section is no row on the page."""
    lines = PAGE.read_text().splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith("|")]
    assert places == [*range(places[0], places[-1] + 1)]


def test_the_tests_that_it_names_are_there() -> None:
    named = TEST.findall(PAGE.read_text())
    assert [f"{file}::{name}" for file, name in named if name not in defined_in(file)] == []
