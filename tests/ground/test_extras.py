"""Milliseconds: what is missing is advised by packages that an index has."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from workloads.extras import Extra, install_command


@pytest.mark.parametrize("extra", get_args(Extra))
def test_the_command_installs_what_the_extra_lists(extra: Extra, repository: Path) -> None:
    listed = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = [re.split(r"[<>=~]", each)[0] for each in listed["optional-dependencies"][extra]]
    command = install_command(extra)
    assert command.startswith("pip install ")
    assert re.findall(r"'([A-Za-z0-9-]+)[<>=~]", command) == wanted
