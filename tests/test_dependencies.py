"""Milliseconds: whatever is imported is declared, and nothing needs an extra to be imported."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("search_spaces", "workloads", "orchestrator")
SHIPPED = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
BESIDE = sorted(
    path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
# Modules of distributions that have another name; all others have their own.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
OURS = {*PACKAGES, *(path.stem for path in BESIDE)}  # benchmarks and tests import one another
ONLY_IN_STUBS = {"_typeshed"}


def declared() -> tuple[set[str], dict[str, set[str]]]:
    """Names of the distributions that are always there, and those of each extra."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        extra: {name_of(one) for one in requirements}
        for extra, requirements in project["optional-dependencies"].items()
    }
    return {name_of(one) for one in project["dependencies"]}, extras


def name_of(requirement: str) -> str:
    """A requirement's distribution, as package indices compare names."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def distributions(nodes: Iterator[ast.AST]) -> set[str]:
    """The distributions that these statements import from, without Python's own and ours."""
    tops = set[str]()
    for node in nodes:
        match node:
            case ast.Import(names=aliases):
                tops |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(module=str(module)):
                tops.add(module.partition(".")[0])
    tops -= {*sys.stdlib_module_names, *OURS, *ONLY_IN_STUBS}
    return {name_of(DISTRIBUTIONS.get(top, top)) for top in tops}


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from outside_functions(node)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_what_the_packages_import_is_declared(path: Path) -> None:
    always, extras = declared()
    optional = set[str]().union(*(extras[extra] for extra in extras if extra != "dev"))
    tree = ast.parse(path.read_text())
    assert distributions(ast.walk(tree)) <= always | optional
    # Otherwise nothing of the module works where the extra is not installed.
    assert distributions(outside_functions(tree)) <= always


@pytest.mark.parametrize("path", BESIDE, ids=name)
def test_what_tests_and_benchmarks_import_is_declared(path: Path) -> None:
    always, extras = declared()
    assert distributions(ast.walk(ast.parse(path.read_text()))) <= always.union(*extras.values())


def test_the_names_of_distributions_are_those_that_are_installed() -> None:
    installed = importlib.metadata.packages_distributions()
    for module, distribution in DISTRIBUTIONS.items():
        assert {name_of(one) for one in installed.get(module, [distribution])} == {distribution}
    always, _ = declared()
    modules_of = {name_of(one) for owners in installed.values() for one in owners}
    assert always <= modules_of, f"{always - modules_of} is declared and not installed"
