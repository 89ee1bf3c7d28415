"""Milliseconds: what the packages may import, how they are named, and that nothing stray is
shipped.
"""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("search_spaces", "workloads", "orchestrator")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# Each of these appears in one place of the orchestrator, so that its changes are met in one place.
PLACES = {
    "mlflow": "orchestrator/tracking/",
    "typer": "orchestrator/cli/",
    "ray.tune": "orchestrator/sweep/",
    "ray.train": "orchestrator/cell/ray_train.py",
}
# Names that another version may have no more, without a word: they stand where it says on which
# one they were checked.
INTERNALS = {
    r"ray\.(\w+\.)*_[a-z]\w*": "orchestrator/cluster/ray_internals.py",
    r"ray\.(scripts|dashboard)\b|__internal_head__": "orchestrator/cluster/ray_internals.py",
    r"torch\.(\w+\.)*_[a-z]\w*": "workloads/distributed/torch_internals.py",
    r"mlflow\.(\w+\.)*_[a-z]\w*": "orchestrator/tracking/",
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def used(path: Path) -> Iterator[str]:
    """Dotted names, imported modules and words in quotes of a module's code; not its docstrings."""
    tree = ast.parse(path.read_text())
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    yield from imports(path)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute():
                yield ast.unparse(node)
            case ast.Constant(value=str(text)) if id(node) not in prose:
                yield text
            case ast.Call(
                func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str(text)), *_]
            ):
                yield f"{ast.unparse(owner)}.{text}"


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    tops = {module.partition(".")[0] for module in imports(path)}
    match package:
        case "search_spaces":
            assert tops <= {*sys.stdlib_module_names, "search_spaces"}
        case "workloads":
            allowed = {
                "torch",
                "torchvision",
                "pydantic",
                "numpy",
                "PIL",
                "sklearn",
                "pyarrow",  # of shards: their files, on disks and in object stores
                "threadpoolctl",
                "safetensors",
                "onnxruntime",
                "umap",
                "yaml",
                "workloads",
                "_typeshed",
            }
            assert tops <= {*sys.stdlib_module_names, *allowed}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_each_platform_library_has_one_place(path: Path) -> None:
    for module in imports(path):
        for library, place in PLACES.items():
            if module == library or module.startswith(f"{library}."):
                assert name(path).startswith(place), f"{module} is imported by {name(path)}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_each_private_name_of_a_library_has_one_place(path: Path) -> None:
    for line in used(path):
        for pattern, place in INTERNALS.items():
            if found := re.search(rf"(?<!\w)(?:{pattern})", line):
                assert name(path).startswith(place), f"{found[0]} is used by {name(path)}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_is_a_landfill(path: Path) -> None:
    assert path.stem not in {"utils", "util", "misc", "helpers", "helper", "common"}
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize(
    "command",
    [["--help"], ["spaces"], ["ablate", "--help"], ["spaces", "--json"]],
    ids=lambda words: " ".join(words),
)
def test_asking_what_there_is_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys; sys.argv = ['simclr-orch', *sys.argv[1:]]\n"
        "from orchestrator.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'matplotlib', 'sklearn', 'pyarrow'} & "
        "set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_the_orchestrator_reaches_mlflow_only_when_it_must() -> None:
    code = (
        "import sys, orchestrator.tracking, orchestrator.commands.sweep; assert 'mlflow' not in "
        "sys.modules"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_every_package_is_shipped_and_nothing_else_is() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in MODULES
        if path.name == "__init__.py"
    }
    assert set(declared) == found


def test_no_other_distribution_owns_our_packages() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, [])) <= {"simclr-orch"}


def test_no_test_folder_shadows_a_package() -> None:
    assert not [
        path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name in PACKAGES
    ]
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_what_a_module_offers_is_what_it_defines(path: Path) -> None:
    tree = ast.parse(path.read_text())
    offered: list[str] = []
    defined: set[str] = set()
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                offered = [element.value for element in names if isinstance(element, ast.Constant)]
            case ast.Assign(targets=targets):
                defined |= {
                    leaf.id
                    for target in targets
                    for leaf in ast.walk(target)
                    if isinstance(leaf, ast.Name)
                }
            case ast.AnnAssign(target=ast.Name(id=target)):
                defined.add(target)
            case ast.FunctionDef(name=own) | ast.ClassDef(name=own):
                defined.add(own)
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                defined |= {alias.asname or alias.name for alias in aliases}
    assert set(offered) <= defined
    assert len(set(offered)) == len(offered)
    public = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not node.decorator_list
    }
    if offered:
        assert public <= set(offered), f"{public - set(offered)} is neither in __all__ nor private"
