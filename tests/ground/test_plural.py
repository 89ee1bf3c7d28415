"""Numbers with what they count, and no "(s)" anywhere; milliseconds."""

import ast
from pathlib import Path

import pytest

from workloads.plural import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 cells"), (1, "1 cell"), (2, "2 cells"), (1.0, "1 cell"), (0.5, "0.5 cells")],
)
def test_one_is_one_and_all_others_are_several(number: float, text: str) -> None:
    assert counted(number, "cell") == text


def test_what_has_no_s_and_thousands() -> None:
    assert counted(2, "entry", "entries") == "2 entries"
    assert counted(12_000, "image") == "12,000 images"


def test_no_text_leaves_the_plural_to_the_reader(repository: Path) -> None:
    """`1 worker(s)` is what a program says that did not look."""
    found = [
        f"{path.relative_to(repository)}:{node.lineno}: {node.value}"
        for package in ("orchestrator", "workloads", "search_spaces")
        for path in (repository / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and any(f"{word}(s)" in node.value for word in ("worker", "thread", "cell", "node", "run"))
    ]
    assert not found
