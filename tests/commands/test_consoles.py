"""Milliseconds: names of people's files and runs are printed as they are."""

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.commands.consoles import plain_console, print_line, spelled_out

ODD = ["[train]", "a[/b]", ":dog:", "[red]cat", "\\[x]", "[link=http://a]b"]


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_printed_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = plain_console()
    console.print(name)
    table = Table("column")
    table.add_row(name)
    console.print(table)
    assert capsys.readouterr().out.count(name) == 2


def test_on_stderr_when_stdout_is_a_documents(capsys: pytest.CaptureFixture[str]) -> None:
    plain_console(stderr=True).print("[x]")
    assert capsys.readouterr() == ("", "[x]\n")


def test_every_command_prints_by_it(repository: Path) -> None:
    own = [
        path.name
        for path in (repository / "orchestrator").rglob("*.py")
        if re.search(r"(?<![\w.])Console\(", path.read_text())
    ]
    assert own == ["consoles.py"]


def test_a_storage_with_brackets_in_its_name_is_refused_by_that_name(
    tmp_path: Path, simclr_orch: Callable[..., CompletedProcess[str]]
) -> None:
    file = tmp_path / "[results]"
    file.write_text("no folder")
    ended = simclr_orch("ablate", "temperature", "--dry-run", "--storage", str(file))
    assert ended.returncode == 2
    assert str(file) in ended.stderr


def test_control_characters_in_names_reach_no_terminal() -> None:
    printed = StringIO()
    console = plain_console(file=printed, width=80)
    name = "evil\x1b[2J\x1b]0;title\x07 \x9b31m\tname"
    console.print(name)
    print_line(console, name)
    table = Table()
    table.add_column(name)
    table.add_row(Text(name))
    console.print(table)
    assert not {"\x1b", "\x07", "\x9b"} & {*printed.getvalue()}
    assert printed.getvalue().count("\\x1b[2J") >= 3
    assert spelled_out("tab\tand\nline") == "tab\tand\nline"


def test_colours_of_ours_are_still_there() -> None:
    console = Console(force_terminal=True, color_system="standard", file=StringIO())
    plain = plain_console(file=StringIO())
    console._render_hooks = plain._render_hooks
    print_line(console, "a\x1bb", style="red")
    assert isinstance(console.file, StringIO)
    assert "\x1b[31m" in console.file.getvalue()
    assert "a\\x1bb" in console.file.getvalue()
