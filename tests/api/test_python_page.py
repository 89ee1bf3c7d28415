"""Seconds, no Ray: the page on Python names every function, and its examples run in their order."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator import api

FUNCTIONS = (api.plan, api.pretrain, api.sweep, api.verdicts, api.runs, api.encoder)
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text()


def test_its_examples_run(
    in_process: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), names)
    assert len(examples) > 8
    assert "did you mean loss.temperature?" in capsys.readouterr().out
    assert (tmp_path / "temperature.png").stat().st_size > 1000
    assert len(in_process.trained) == len(set(in_process.trained)), "nothing was run twice"


def test_it_names_everything_that_there_is() -> None:
    for name in api.__all__:
        assert f"api.{name}" in PAGE or f"`{name}`" in PAGE, name
    for kind in (api.Plan, api.Sweep, api.Encoder):
        for name in vars(kind).keys() | kind.__dataclass_fields__.keys():
            if not name.startswith("_"):
                assert re.search(rf"`{name}\b", PAGE), f"{kind.__name__}.{name}"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_names_every_argument(function: Any) -> None:
    (listed,) = re.findall(rf"^`api\.{function.__name__}\(([^)]*)\)`", PAGE, re.MULTILINE)
    said = [name.strip(" *") for name in listed.split(",")]
    assert [name for name in said if name] == list(inspect.signature(function).parameters)
