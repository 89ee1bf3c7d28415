"""Milliseconds: the calls that would run what a file says are nowhere, or where they are meant."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# who may, and what for
EXECUTES = {
    "orchestrator/questions/module.py",  # a question in Python that the user has named
}
IMPORTS_BY_NAME = {
    "orchestrator/storage/create_once.py",  # boto3, where it is installed
    "workloads/part_source.py",  # own parts
    "workloads/simclr/library_encoders.py",  # timm, where it is installed
}


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call in the packages: its file, itself, and its dotted name."""
    for package in ("orchestrator", "workloads", "search_spaces"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield str(path.relative_to(ROOT)), node, ast.unparse(node.func)


def keyword(call: ast.Call, name: str) -> object:
    values = [one.value for one in call.keywords if one.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def test_only_a_question_that_the_user_names_is_executed() -> None:
    found = {file for file, _, name in calls() if name in ("eval", "exec", "compile", "__import__")}
    assert found == EXECUTES


def test_only_own_parts_and_optional_packages_are_imported_by_name() -> None:
    found = {file for file, _, name in calls() if name.rpartition(".")[2] == "import_module"}
    assert found == IMPORTS_BY_NAME


def test_nothing_is_unpickled() -> None:
    modules = ("pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle")
    found = [name for _, _, name in calls() if name.partition(".")[0] in modules]
    assert not found
    loads = [one for _, one, name in calls() if name == "torch.load"]
    assert loads
    assert all(keyword(one, "weights_only") is True for one in loads)
    arrays = [one for _, one, name in calls() if name in ("np.load", "numpy.load")]
    assert arrays
    assert not any(keyword(one, "allow_pickle") for one in arrays)


def test_yaml_makes_plain_values_and_no_shell_reads_a_command() -> None:
    loaders = {name for _, _, name in calls() if name.startswith("yaml.") and "load" in name}
    assert loaders <= {"yaml.safe_load", "yaml.safe_load_all"}
    assert not [one for _, one, _ in calls() if keyword(one, "shell")]
    assert not [name for _, _, name in calls() if name in ("os.system", "os.popen")]


def test_nothing_is_unpacked_to_where_an_archive_says() -> None:
    ends = ("extract", "extractall", "unpack_archive")
    assert not [(file, name) for file, _, name in calls() if name.rpartition(".")[2] in ends]
