"""How a part of somebody else's is found, typed and known by its source.

Each test has a folder of its own as the working directory, and a module name that no other has.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from workloads.parts import ENCODERS, OPTIMIZERS, find, name_problem, plain_options, read_options
from workloads.spec import SpecError

NET = """
from dataclasses import dataclass


@dataclass
class Net:
    depth: int = 3
    name: str = "plain"


def typed(options: "Options") -> str:
    return f"typed {options.depth}"


from pydantic import BaseModel


class Options(BaseModel):
    depth: int


def optimizer(groups: list, learning_rate: float, *, gamma: float = 0.5) -> tuple:
    return groups, learning_rate, gamma


number = 3
"""


class Module(Protocol):
    def __call__(self, text: str = NET, *, package: bool = False) -> str: ...


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def written(text: str = NET, *, package: bool = False) -> str:
        name = f"part_{uuid4().hex}"
        file = tmp_path / (f"{name}/__init__.py" if package else f"{name}.py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return name

    yield written
    for name in set(sys.modules) - before:
        if name.startswith("part_"):
            del sys.modules[name]


def problem_of(name: str, field: str = "encoder.architecture") -> str:
    with pytest.raises(SpecError) as caught:
        find(ENCODERS, field, name)
    (problem,) = caught.value.problems
    return problem


def test_a_part_of_the_working_directory_is_found_typed_and_made(module: Module) -> None:
    part = find(ENCODERS, "encoder.architecture", f"{module()}:Net")
    options = read_options(part, "encoder.options", {"depth": 5})
    assert vars(part.make(options=options)) == {"depth": 5, "name": "plain"}
    assert plain_options({"depth": 5}, options) == {"depth": 5, "name": "plain"}
    assert [(one.name, one.type, one.default) for one in part.described()] == [
        ("depth", "int", "3"),
        ("name", "str", "'plain'"),
    ]
    assert part.where == part.name
    assert re.fullmatch("[0-9a-f]{20}", str(part.code))


def test_options_may_be_a_class_of_pydantics(module: Module) -> None:
    part = find(ENCODERS, "encoder.architecture", f"{module()}:typed")
    assert part.make(options=read_options(part, "encoder.options", {"depth": 2})) == "typed 2"
    with pytest.raises(SpecError) as caught:
        read_options(part, "encoder.options", {"dept": 2})
    unknown, missing = caught.value.problems
    assert unknown.startswith("encoder.options.dept: ")
    assert "did you mean depth?" in unknown
    assert missing.startswith("encoder.options.depth: is required by ")


def test_what_a_kind_hands_over_is_no_option(module: Module) -> None:
    part = find(OPTIMIZERS, "optim.name", f"{module()}:optimizer")
    assert list(part.options.model_fields) == ["gamma"]
    options = read_options(part, "optim.options", {})
    assert part.make([1], 0.1, options=options) == ([1], 0.1, 0.5)
    with pytest.raises(SpecError, match=r"is called with \(groups, learning_rate, options\)"):
        find(OPTIMIZERS, "optim.name", f"{module()}:typed")


def test_an_option_of_another_type_is_refused_by_name(module: Module) -> None:
    part = find(ENCODERS, "encoder.architecture", f"{module()}:Net")
    with pytest.raises(SpecError, match=r"^encoder.options.depth='deep': Input should be"):
        read_options(part, "encoder.options", {"depth": "deep"})


def test_each_fault_of_a_name_is_one_clear_line(module: Module, tmp_path: Path) -> None:
    name = module()
    here = str(tmp_path)
    assert problem_of("nowhere_at_all:Net") == (
        f"encoder.architecture='nowhere_at_all:Net': there is no module 'nowhere_at_all', here "
        f"({here}) or installed"
    )
    assert f"there is no module '{name}.deeper'" in problem_of(f"{name}.deeper:Net")
    assert problem_of(f"{name}:Nett").endswith(f"{name}.py has no 'Nett'; did you mean Net?")
    assert "is int, and not a class or function" in problem_of(f"{name}:number")


@pytest.mark.parametrize(
    ("text", "line", "error"),
    [
        ("\n\nimport no_such_library\n", 3, "ModuleNotFoundError: No module named"),
        ("x = 1\nx = 1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("def f(:\n", 1, "SyntaxError: "),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
    ],
)
def test_a_failing_import_is_told_with_file_and_line(
    module: Module, tmp_path: Path, text: str, line: int, error: str
) -> None:
    name = module(text)
    problem = problem_of(f"{name}:Net")
    assert f"cannot be imported: {tmp_path / name}.py:{line}: {error}" in problem
    assert "\n" not in problem


def test_the_digest_is_of_a_whole_package_and_not_of_its_place(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module(package=True)
    (tmp_path / name / "inner.py").write_text("size = 1\r\n")
    first = find(ENCODERS, "encoder.architecture", f"{name}:Net").code

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / name).rename(elsewhere / name)
    (elsewhere / name / "inner.py").write_text("size = 1\n")
    del sys.modules[name]
    monkeypatch.chdir(elsewhere)
    assert find(ENCODERS, "encoder.architecture", f"{name}:Net").code == first

    (elsewhere / name / "inner.py").write_text("size = 23\n")
    with pytest.raises(SpecError, match="has changed since this process imported it"):
        find(ENCODERS, "encoder.architecture", f"{name}:Net")


def test_other_code_than_was_planned_is_refused_by_name(module: Module) -> None:
    name = f"{module()}:Net"
    code = find(ENCODERS, "encoder.architecture", name).code
    find(ENCODERS, "encoder.architecture", name, pinned=code)
    with pytest.raises(SpecError, match=f"{name}'.* was planned with my-nets 1.0 abc"):
        find(ENCODERS, "encoder.architecture", name, pinned="my-nets 1.0 abc")


def test_a_distributions_entry_point_is_found_by_its_name(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module()
    info = tmp_path / "my_nets-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-nets\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[simclr_orch.encoders]\nsmall-net = {name}:Net\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert name_problem(ENCODERS, "encoder.architecture", "small-net", ()) is None
    part = find(ENCODERS, "encoder.architecture", "small-net")
    assert re.fullmatch(r"my-nets 1\.5 [0-9a-f]{20}", str(part.code))
    assert part.where == f"{name}:Net"

    other = tmp_path / "your_nets-2.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: your-nets\nVersion: 2\n")
    (other / "entry_points.txt").write_text(f"[simclr_orch.encoders]\nsmall-net = {name}:Net\n")
    assert "is offered by my-nets, your-nets" in problem_of("small-net")


def test_a_word_that_is_no_part_is_told_what_it_could_have_meant() -> None:
    def of(name: str) -> str | None:
        return name_problem(ENCODERS, "encoder.architecture", name, ("resnet18", "convnet"))

    assert of("resnet18") is None
    assert of("anything.at.all:Net") is None
    assert "did you mean resnet18? known are resnet18, convnet" in str(of("resnet81"))
    assert "is not of the form module:name" in str(of("my-module:Net"))
    assert "is not of the form module:name" in str(of("my_module:"))
