"""Milliseconds: which of flag, variable, file and default is in force."""

from pathlib import Path

import pytest

from orchestrator.settings import read_settings
from workloads.spec import SpecError


def test_flags_then_environment_then_file_then_defaults(tmp_path: Path) -> None:
    assert read_settings({}, {}, tmp_path).storage == "simclr-orch-results"
    (tmp_path / "simclr-orch.toml").write_text('storage = "from-file"\naddress = "10.0.0.1:6379"\n')
    assert read_settings({}, {}, tmp_path).storage == "from-file"
    variables = {"SIMCLR_ORCH_STORAGE": "from-variable"}
    assert read_settings({"storage": None}, variables, tmp_path).storage == "from-variable"
    settings = read_settings({"storage": "from-flag"}, variables, tmp_path)
    assert (settings.storage, settings.address) == ("from-flag", "10.0.0.1:6379")


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "simclr-orch.toml").write_text('storge = "x"\n')
    with pytest.raises(SpecError, match="storge: no such field; did you mean storage"):
        read_settings({}, {}, tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "simclr-orch.toml").write_text("storage = \n")
    with pytest.raises(SpecError, match=r"simclr-orch\.toml: cannot be read"):
        read_settings({}, {}, tmp_path)


@pytest.mark.parametrize(
    "nodes", ["8", "8x", "x8", "8x16x1,", "8x16x1x2", "8 x 16", "many", "8x16:A100", "8x16x1:"]
)
def test_nodes_of_another_form_are_refused(nodes: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nodes="):
        read_settings({}, {"SIMCLR_ORCH_NODES": nodes}, tmp_path)
