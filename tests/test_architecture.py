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
    "wandb": "orchestrator/logs/",
    "tensorboard": "orchestrator/logs/",
    "ray.tune": "orchestrator/sweep/",
    "ray.train": "orchestrator/cell/ray_train.py",
    "matplotlib": "orchestrator/report/figures/",
}
# Names that another version may have no more, without a word: they stand where it says on which
# one they were checked.
INTERNALS = {
    r"ray\.(\w+\.)*_[a-z]\w*": "orchestrator/cluster/ray_internals.py",
    r"ray\.(scripts|dashboard)\b|__internal_head__": "orchestrator/cluster/ray_internals.py",
    r"torch\.(\w+\.)*_[a-z]\w*": "workloads/distributed/torch_internals.py",
    r"mlflow\.(\w+\.)*_[a-z]\w*": "orchestrator/tracking/",
}
# Variables that Ray and glibc read, of which one that is gone is ignored without a word.
VARIABLE = r"\b(?:RAY|TUNE|MALLOC)_[A-Z]+_\w+"
VARIABLES_AT = (
    "orchestrator/environment.py",
    "orchestrator/cluster/ray_internals.py",
    "workloads/allocator.py",
)
# https://docs.ray.io/en/latest/ray-security/token-auth.html and the one of `ray job`
DOCUMENTED = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_JOB_HEADERS"}


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


def map_of_rooms() -> dict[str, list[str]]:
    """What each room may import of ours: the table in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("## The map")[2].partition("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            room, may_import, _ = line.strip("|").split("|", 2)
            rows[room.strip(" `")] = re.findall(r"`([^`]+)`", may_import)
    return rows


ROOMS = map_of_rooms()


def room_of(file: str) -> str:
    """The longest room that a file lies in."""
    return max((room for room in ROOMS if f"{file}/".startswith(f"{room}/")), key=len)


def file_of(module: str) -> str | None:
    """The file of one of our modules, or of the face of one of our folders; None for a name."""
    stem = ROOT.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.exists():
            return name(path)
    return None


def rooms_used(path: Path) -> set[str]:
    """The other rooms that a module imports from."""
    rooms = set()
    for module in imports(path):
        if module.partition(".")[0] in PACKAGES:
            file = file_of(module) or file_of(module.rpartition(".")[0])
            assert file is not None, f"{name(path)} imports {module}, which there is not"
            rooms.add(room_of(file))
    return rooms - {room_of(name(path))}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_room_imports_what_its_row_of_the_map_lists(path: Path) -> None:
    allowed = {*ROOMS[room_of(name(path))]}
    if "search_spaces" in allowed and path.relative_to(ROOT).parts[0] != "search_spaces":
        allowed.add("search_spaces/__init__.py")
    assert rooms_used(path) <= allowed


def test_the_map_has_no_circle_and_no_row_too_many() -> None:
    below: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in MODULES:
        below[room_of(name(path))] |= rooms_used(path)
    for room, listed in ROOMS.items():
        faces = {"search_spaces"} if "search_spaces/__init__.py" in below[room] else set()
        assert set(listed) <= below[room] | faces, f"{room}: lists what it does not import"
    while below:
        lowest = [room for room, rooms in below.items() if not rooms & below.keys()]
        assert lowest, f"a circle among {', '.join(below)}"
        for room in lowest:
            del below[room]


def test_the_contract_of_workloads_knows_none_of_them() -> None:
    code = (
        "import sys, workloads.workload\n"
        "print(*(name for name in sys.modules if name.startswith('workloads.')))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(loaded) <= 10
    assert not [each for each in loaded if "simclr" in each or "two_layer_cnn" in each]


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
def test_undocumented_variables_are_named_where_it_says_on_what_they_were_checked(
    path: Path,
) -> None:
    if name(path) not in VARIABLES_AT:
        assert not {one for line in used(path) for one in re.findall(VARIABLE, line)} - DOCUMENTED


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
