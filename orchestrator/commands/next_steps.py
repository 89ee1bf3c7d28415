"""What to type next: the one place where commands are suggested, complete and ready to be copied.

A suggestion names the program as it was called here, and the storage unless it is the usual one.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.settings import Settings, read_settings
from orchestrator.storage import Storage
from orchestrator.verdicts.sample import FEWEST_POOLED
from workloads.spec import SpecError

__all__ = [
    "NextStep",
    "after_pretrain",
    "after_sweep",
    "after_verdicts",
    "first_sweep",
    "near",
    "next_lines",
    "program",
    "with_seeds",
]

NAME = "simclr-orch"
SHOWN_NAMES = 3
WIDTH = 80


@dataclass(frozen=True)
class NextStep:
    """A command to type, and what it does, in a few words."""

    command: str
    what: str


def program() -> str:
    """Return the word that calls this program: its name, or its path where the name is not found.

    That is so in a virtual environment that is not activated.
    """
    called = Path(sys.argv[0])
    if called.name != NAME or shutil.which(NAME) is not None or not called.exists():
        return NAME
    path = os.path.relpath(called)
    return shlex.quote(path if not path.startswith("..") else str(called.absolute()))


def first_sweep() -> str:
    """Return a command for somebody who has run nothing yet; it takes minutes."""
    return f"{program()} ablate temperature --preset shapes --seeds {FEWEST_POOLED}"


def after_sweep(
    name: str,
    storage: Storage,
    *,
    command: str | None = None,
    too_few_seeds: bool = False,
    has_missing: bool = False,
    part: str | None = None,
) -> list[NextStep]:
    """Return what one types once a sweep has ended or was reported: three commands.

    `command` is that of the sweep, which continues it where runs are missing, and is suggested with
    more seeds where it had too few. `part` is the sweep's id where it asked a part of the question,
    which is not what a name alone stands for.
    """
    at = _at(storage)
    of = shlex.quote(name) + (f" --sweep {part}" if part else "")
    steps = []
    if has_missing and command is not None:
        steps.append(NextStep(_typed(shlex.split(command)), "continue the sweep"))
    elif too_few_seeds and command is not None:
        again = with_seeds(command, FEWEST_POOLED)
        steps.append(NextStep(again, "as many seeds as can decide claims"))
    steps += [
        NextStep(f"{program()} report {of} --long{at}", "every comparison"),
        NextStep(f"{program()} runs --where 'ablation == {name}'{at}", "its runs"),
        NextStep(f"{program()} dashboard {shlex.quote(name)}{at}", "every run in MLflow"),
    ]
    return steps[:3]


def after_verdicts(names: Sequence[str], storage: Storage) -> list[NextStep]:
    """Return what one types after the verdicts on these ablations."""
    at = _at(storage)
    again = f"{program()} verdicts {' '.join(map(shlex.quote, names))} --long{at}"
    steps = [NextStep(again, "every comparison")] if len(names) <= SHOWN_NAMES else []
    first = [NextStep(f"{program()} report {shlex.quote(names[0])}{at}", "its table and figure")]
    return [*steps, *first] if names else []


def after_pretrain(fingerprint: str, storage: Storage) -> list[NextStep]:
    """Return what one types once a single encoder was trained."""
    at, run = _at(storage), fingerprint[:12]
    return [
        NextStep(f"{program()} evaluate {run} --protocol knn{at}", "another evaluation"),
        NextStep(f"{program()} embed {run} FOLDER -o features.csv{at}", "features of own images"),
        NextStep(f"{program()} export {run} --format safetensors{at}", "the encoder as a file"),
    ]


def next_lines(steps: Sequence[NextStep]) -> list[str]:
    """Return the lines that are printed: each command, with what it does as its comment.

    The comment stands above where a line would be too long for a narrow terminal.
    """
    if not steps:
        return []
    lines = [f"  {step.command}  # {step.what}" for step in steps]
    if any(len(line) > WIDTH for line in lines):
        lines = [line for step in steps for line in (f"  # {step.what}", f"  {step.command}")]
    return ["next:", *lines]


def with_seeds(command: str, seeds: int) -> str:
    """Return a command with this number of seeds in place of what it has."""
    words, kept = shlex.split(command), list[str]()
    skip = False
    for word in words:
        if skip or word.startswith("--seeds="):
            skip = False
        elif word == "--seeds":
            skip = True
        else:
            kept.append(word)
    return _typed([*kept, "--seeds", str(seeds)])


def near(address: str) -> str:
    """Return a path from here where it lies below this folder; other addresses as they are."""
    if not address.startswith("/"):
        return address
    below = os.path.relpath(address)
    return address if below.startswith("..") else below


def _typed(words: Sequence[str]) -> str:
    """A command of this program that was kept, as it is typed here."""
    first = [program()] if words[:1] == [NAME] else [shlex.quote(word) for word in words[:1]]
    return " ".join([*first, *map(shlex.quote, words[1:])])


def _at(storage: Storage) -> str:
    """The option that names a storage; nothing for the one that commands take by themselves."""
    try:
        usual = read_settings({}, os.environ, Path.cwd()).storage
    except SpecError:  # as a broken file of settings; the command that was typed has told it
        usual = Settings().storage
    if Storage(usual).uri == storage.uri:
        return ""
    return f" --storage {shlex.quote(near(storage.shown()))}"
