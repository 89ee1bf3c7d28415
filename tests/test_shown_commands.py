"""Seconds: what the pages show is typed as it stands, where that starts no training.

What asks is run, and what would train is run with --dry-run. tests/test_documentation.py reads all
other commands as the command line does, without running them.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.questions.file import is_file

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(?:console|bash|)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IN_CAPITALS = re.compile(r"\b[A-Z][A-Z_0-9]+\b")  # stands for what a reader fills in
ASKS = {"spaces", "presets", "parts", "show", "fields"}
TRAINS = {"ablate", "tune"}
# Data, a cluster or a module of own parts that are no part of this repository.
ELSEWHERE = {"--on", "--address", "--config", "--download", "data.root", "=my_"}
WITH_DATA = ("cifar10", "imagenet", "mnist")


def shown() -> Iterator[list[str]]:
    """The words behind `simclr-orch` of each line that is shown, once each."""
    seen = set()
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                if (words := words_of(line)) and (text := shlex.join(words)) not in seen:
                    seen.add(text)
                    yield words


def words_of(line: str) -> list[str]:
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:  # an apostrophe of something that is no command
        return []
    if not words or words[0] not in ("simclr-orch", ".venv/bin/simclr-orch"):
        return []
    end = next((n for n, word in enumerate(words) if word in (">", "|", "&")), None)
    return words[1:end]


def is_cheap(words: list[str]) -> bool:
    """Whether it only asks, or only plans on images that are drawn."""
    text = shlex.join(words)
    if not words or IN_CAPITALS.search(text) or any(one in text for one in ELSEWHERE):
        return False
    if any(is_file(word) or word.endswith((".png", ".svg")) for word in words):
        return False  # a reader's own, or to be written
    if words[0] in TRAINS and any(one in text for one in WITH_DATA):
        return False
    return words[0] in ASKS | TRAINS


CHEAP = [words for words in shown() if is_cheap(words)]


@pytest.mark.parametrize("words", CHEAP, ids=shlex.join)
def test_a_command_that_is_shown_does_what_it_says(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] in TRAINS and "--dry-run" not in words:
        words = [*words, "--dry-run"]
    ended = CliRunner().invoke(app, words, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.strip()


def test_there_are_commands_to_run() -> None:
    assert {words[0] for words in CHEAP} >= {"spaces", "presets", "parts", "ablate", "tune"}
    assert len(CHEAP) > 20
