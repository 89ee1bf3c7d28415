"""Seconds: what help says, and what those see who ask for nothing, or too much."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from orchestrator.cli import app, main
from orchestrator.cli.examples import EXAMPLES
from orchestrator.environment import DEBUGGING


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command and group below a group, by its words."""
    for name, one in group.commands.items():
        yield " ".join([*words, name]), one
        if hasattr(one, "commands"):
            yield from commands(one, (*words, name))


WHOLE: Any = typer.main.get_command(app)
COMMANDS = dict(commands(WHOLE))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_two_examples_in_its_help(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "-h"]).output
    assert (
        len(
            re.findall(
                rf"^    simclr-orch {name}\b.*$|^    simclr-orch {name.split()[0]} ",
                shown,
                re.MULTILINE,
            )
        )
        >= 2
    ), shown


@pytest.mark.parametrize("example", [one for each in EXAMPLES.values() for one in each])
def test_every_example_is_read(example: str) -> None:
    """Options are parsed and arguments converted; nothing is run."""
    words, command = shlex.split(re.sub(r" > \S+\.yaml$", "", example)), WHOLE
    if words[0] not in COMMANDS:
        pytest.skip("is not in this version")
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
        if not words and hasattr(command, "commands"):
            return
    command.make_context("simclr-orch", words)


def test_commands_stand_in_the_order_of_work() -> None:
    order = [name for name in COMMANDS if " " not in name]
    assert order[:2] == ["spaces", "presets"]
    assert order.index("ablate") < order.index("report") < order.index("export")


def test_the_list_of_commands_cuts_no_sentence() -> None:
    listed = CliRunner().invoke(app, ["-h"]).output.partition("Commands:")[2]
    assert "..." not in listed


def test_without_a_command_a_short_screen_shows_what_to_type() -> None:
    shown = CliRunner().invoke(app, [])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert len(lines) < 12
    assert max(map(len, lines)) <= 80
    for line in lines:
        if typed := re.match(r"  simclr-orch (.*?)  +\S", line):
            words = shlex.split(typed[1])
            COMMANDS[words[0]].make_context("simclr-orch", words[1:])


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"simclr-orch \d+\.\d+\S*\n", CliRunner().invoke(app, ["--version"]).output)


@pytest.mark.parametrize("debug", [False, True])
def test_a_traceback_is_shown_to_who_asks_for_it(
    debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("orchestrator.commands.about.list_presets", broken)
    monkeypatch.setenv(DEBUGGING, "")
    monkeypatch.setattr("sys.argv", ["simclr-orch", "presets", *(["--debug"] if debug else [])])
    with pytest.raises(ZeroDivisionError if debug else SystemExit):
        main()
    if not debug:
        told = capsys.readouterr().err
        assert told.startswith("ZeroDivisionError: by nothing\n")
        assert "--debug shows where" in told
        assert "Traceback" not in told
