"""The parts that a run can have: which there are, where they come from, and what they take."""

from dataclasses import asdict
from itertools import groupby

from rich.console import Console
from rich.text import Text

from orchestrator.commands.consoles import print_line
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from workloads.catalog.parts import ListedPart, kind_named, listed_parts, part_named
from workloads.parts import KINDS

__all__ = ["list_parts"]


def list_parts(name: str | None, kind: str | None, console: Console) -> Finished:
    """Print the parts of a kind or of all, or the one that is named, with options and defaults.

    Raises SpecError for a part that cannot be had, PlanError for a name without its kind.
    """
    if name is not None:
        if kind is None:
            raise PlanError([f"{name}: needs --kind, as in --kind encoders"])
        parts = [part_named(kind_named(kind), name)]
    else:
        parts = list(listed_parts(KINDS if kind is None else (kind_named(kind),)))

    for (plural, field), of_kind in groupby(parts, lambda one: (one.kind, one.field)):
        console.print(Text.assemble((plural, "bold"), f"  {field}"))
        for part in of_kind:
            _print(part, console)
    if name is None:
        print_line(console, "Own ones are named as module:name (docs/own-parts.md).")
    return Finished(0, {"parts": [asdict(part) for part in parts]})


def _print(part: ListedPart, console: Console) -> None:
    print_line(console, f"  {part.name}  {part.comes_from}{f', {part.code}' if part.code else ''}")
    if part.problem:
        print_line(console, f"    {part.problem}", style="red")
    for option in part.options:
        default = "required" if option.default is None else f"default {option.default}"
        print_line(console, f"    {option.name}: {option.type}, {default}")
