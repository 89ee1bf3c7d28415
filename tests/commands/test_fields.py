"""Milliseconds: what a specification takes, told by the command line."""

import json
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.fields import commented_yaml, fields_of
from workloads.catalog import every_preset, every_workload, preset_named, workload_of_preset
from workloads.written import read_tree


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("workload", list(every_workload()), ids=lambda one: one.name)
def test_every_field_has_a_description(workload: Any) -> None:
    described = fields_of(workload)
    spec = next(iter(workload.presets.values()))()
    holders = ("options", "code")  # fields of their own, which are flat where some are given
    flat = [path for path in spec.flat() if path.rpartition(".")[2] not in holders]
    paths = [one.path for one in described if one.path.rpartition(".")[2] not in holders]
    assert paths == flat
    assert [one.path for one in described if not one.meaning or not one.takes] == []


@pytest.mark.parametrize("name", list(every_preset()))
def test_a_preset_is_printed_with_comments_and_read_back_as_it_is(name: str) -> None:
    spec, workload = preset_named(name), workload_of_preset(name)
    assert workload is not None
    text = commented_yaml(workload, spec.tree())
    assert text == invoke("presets", name).stdout
    assert yaml.safe_load(text) == spec.tree()
    assert workload.read(read_tree(text, type(spec))) == spec
    assert text.count("#") >= len(fields_of(workload))
    assert max(len(line) for line in text.splitlines() if line.lstrip().startswith("#")) <= 100


def test_a_field_is_told_with_choices_default_and_presets() -> None:
    told = invoke("fields", "loss").stdout
    assert "loss.temperature = 0.1\n" in told
    assert "0.2 in shapes" in told
    assert "takes mean, sum-of-views\n" in told
    one = json.loads(invoke("fields", "loss.temperature", "--json").stdout)["fields"]["simclr"]
    assert [each["field"] for each in one] == ["loss.temperature"]
    assert one[0]["default"] == 0.1
    assert one[0]["presets"]["shapes"] == 0.2


@pytest.mark.parametrize(
    ("typed", "meant"), [("temperature", "loss.temperature"), ("los", "did you mean loss?")]
)
def test_a_name_that_is_none_is_told_what_it_could_be(typed: str, meant: str) -> None:
    refused = invoke("fields", typed)
    assert refused.exit_code == 2
    assert meant in refused.output
