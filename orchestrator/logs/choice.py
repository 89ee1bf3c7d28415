"""What `--log` asks for: a kind, and where it goes.

--log jsonl    --log jsonl=all.jsonl    --log tensorboard    --log wandb=TEAM/PROJECT
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from orchestrator.errors import PlanError
from orchestrator.logs.appended import parted
from orchestrator.storage import Storage
from workloads.extras import install_command
from workloads.spelling import did_you_mean

__all__ = ["Kind", "LogChoice", "log_problems", "read_log", "travel_problems"]

Kind = Literal["jsonl", "tensorboard", "wandb"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PACKAGES: dict[Kind, tuple[str, ...]] = {
    "jsonl": (),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
}
NAME = r"[\w.-]{1,128}"  # of a team or a project of W&B


@dataclass(frozen=True)
class LogChoice:
    """One thing to write beside MLflow.

    `where` is a file of `jsonl`, a folder of `tensorboard`, both perhaps by a URI, a project of
    `wandb`, with its team before it or not; None is below the storage, and the project
    `simclr-orch`.
    """

    kind: Kind
    where: str | None = None

    def __str__(self) -> str:
        return self.kind if self.where is None else f"{self.kind}={self.where}"


def read_log(text: str) -> LogChoice:
    """Read what `--log` is given. Raises PlanError."""
    kind, equals, where = text.partition("=")
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS)
        raise PlanError([f"--log {text}: no such log; known are {', '.join(KINDS)}{hint}"])
    if equals and not where:
        raise PlanError([f"--log {text}: nothing stands behind '='; leave it out, or say where"])
    if where and kind == "wandb" and not re.fullmatch(rf"({NAME}/)?{NAME}", where):
        raise PlanError([f"--log {text}: is neither PROJECT nor TEAM/PROJECT"])
    return LogChoice(kind, where or None)


def log_problems(texts: Iterable[str], storage: Storage) -> list[str]:
    """List what is wrong with what `--log` is given, before anything is written."""
    problems, seen = list[str](), set[LogChoice]()
    for text in texts:
        try:
            choice = read_log(text)
        except PlanError as error:
            problems += error.problems
            continue
        if choice in seen:
            problems.append(f"--log {text}: is given twice")
        seen.add(choice)
        missing = [name for name in PACKAGES[choice.kind] if find_spec(name) is None]
        if missing:
            problems.append(f"--log {text}: needs {missing[0]}: {install_command('log')}")
        elif choice.kind == "wandb":
            from orchestrator.logs.wandb_runs import account_problem

            if problem := account_problem():
                problems.append(f"--log {text}: {problem}")
        elif choice.where is not None:
            problems += _place_problems(choice, choice.where, storage)
    return problems


def travel_problems(texts: Iterable[str]) -> list[str]:
    """List the files and folders that another machine would look for elsewhere than this one."""
    return [
        f"--log {text}: is relative to this folder; give the path that it has on the cluster"
        for text in texts
        if text.startswith(("jsonl=", "tensorboard="))
        and "://" not in text
        and not text.partition("=")[2].startswith(("/", "~"))
    ]


def _place_problems(choice: LogChoice, where: str, storage: Storage) -> list[str]:
    """Say why a file or folder cannot be written."""
    folder, file = parted(where) if choice.kind == "jsonl" else (Storage(where), "")
    if choice.kind == "jsonl" and (not file or folder.is_folder(file)):
        return [f"--log {choice}: is a folder; name a file in it"]
    problem = folder.check_writable() if folder.uri != storage.uri else None
    return [f"--log {choice}: {problem.partition(f'{folder.shown()}: ')[2]}"] if problem else []
