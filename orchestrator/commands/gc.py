"""What nobody needs any more, in the storage and on this machine: listed, and removed if asked."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.machine_garbage import on_this_machine, remove_here
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError, StorageError
from orchestrator.storage.files import Storage
from orchestrator.storage.garbage import (
    ASKED_FOR,
    CONSEQUENCES,
    KINDS,
    Facts,
    Garbage,
    GarbageKind,
    garbage_in,
    is_busy,
)
from orchestrator.storage.in_use import InUseNow
from orchestrator.storage.rows import run_rows
from workloads.plural import counted
from workloads.spelling import did_you_mean

__all__ = ["GarbageQuestion", "collect_garbage", "seconds_of"]

HOUR, DAY = 3600.0, 86400.0
UNITS = {"s": 1.0, "m": 60.0, "h": HOUR, "d": DAY, "w": 7 * DAY}
AGES: Mapping[GarbageKind, float] = {"progress": 7 * DAY}  # of others an hour
SHOWN = 8  # of a kind, the largest first; a document has all
ON_THE_MACHINE = ("temporary", "cache")


@dataclass(frozen=True)
class GarbageQuestion:
    """What is asked for: these kinds, by default all that cost nothing, of so many seconds' age.

    Nothing is removed without `remove`.
    """

    kinds: Sequence[str] = ()
    older_than: str | None = None
    remove: bool = False


def collect_garbage(
    question: GarbageQuestion, storage: Storage, console: Console, again: str
) -> Finished:
    """List what can go, and remove it where that is asked for.

    `again` is the command that removes it. Raises PlanError for unknown kinds and ages, and
    StorageError where the storage cannot be read. Exit code 1 if something could not be removed.
    """
    kinds = _kinds(question.kinds)
    rows = {row.fingerprint: row for row in run_rows(storage)}
    facts = Facts(storage.files(), rows, InUseNow(storage, rows))

    now, age = time.time(), seconds_of(question.older_than)
    before = {
        kind: now - (AGES.get(kind, HOUR) if age is None else age)
        for kind in KINDS  # those that are not asked for are told of, too
    }
    found = garbage_in(facts, before)
    found += [
        one for one in on_this_machine(KINDS) if one.written and one.written < before[one.kind]
    ]
    wanted = [one for one in found if one.kind in kinds]
    left = _removed(wanted, storage, facts) if question.remove else {}
    _print(found, kinds, console, left, question.remove)

    removed = [one for one in wanted if question.remove and one.name not in left]
    gone = sum(one.size for one in removed)
    if question.remove:
        print_line(console, f"removed: {_amount(removed)}")
    elif wanted:
        print_line(console, f"nothing was removed; this removes {_size(_total(wanted))}: {again}")
    else:
        print_line(console, "nothing to remove")
    document = {
        "storage": storage.shown(),
        "found": [_tree(one, left, question.remove) for one in wanted],
        "bytes": _total(wanted),
        "removed_bytes": gone,
        "not_asked_for": {
            kind: _total([one for one in found if one.kind == kind])
            for kind in KINDS
            if kind not in kinds
        },
    }
    return Finished(1 if any(left.values()) else 0, document)


def seconds_of(text: str | None) -> float | None:
    """Read an age such as 30m, 12h, 7d. Raises PlanError for others."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if match is None:
        raise PlanError([f"--older-than {text}: is no age, which are 30m, 12h, 7d or 2w"])
    return float(match[1]) * UNITS[match[2]]


def _kinds(names: Sequence[str]) -> tuple[GarbageKind, ...]:
    if not names:
        return tuple(kind for kind in KINDS if kind not in ASKED_FOR)
    problems = [
        f"--kind {name}: there is no such kind; there are {', '.join(KINDS)}"
        f"{did_you_mean(name, KINDS)}"
        for name in names
        if name not in KINDS
    ]
    if problems:
        raise PlanError(problems)
    return tuple(kind for kind in KINDS if kind in names)


def _removed(wanted: Sequence[Garbage], storage: Storage, facts: Facts) -> dict[str, str]:
    """Remove each; return what stays by its name, and why: nothing where it is in use again."""
    left = {}
    for one in wanted:
        try:
            if one.kind in ON_THE_MACHINE:
                if not remove_here(one):
                    left[one.name] = ""
            elif is_busy(one, facts.busy):
                left[one.name] = ""
            else:
                storage.delete(one.name)
        except (OSError, StorageError) as error:
            left[one.name] = str(error)
    return left


def _print(
    found: Sequence[Garbage],
    kinds: Sequence[GarbageKind],
    console: Console,
    left: Mapping[str, str],
    is_removed: bool,
) -> None:
    for kind in kinds:
        these = sorted(
            (one for one in found if one.kind == kind), key=lambda one: (-one.size, one.name)
        )
        if not these:
            continue
        print_line(console, f"{kind}: {_amount(these)}", style="bold")
        print_line(console, f"  {CONSEQUENCES[kind]}", style="dim")
        for one in these[:SHOWN]:
            print_line(console, f"  {_size(one.size):>9}  {one.name}  ({one.reason})")
        if len(these) > SHOWN:
            print_line(
                console, f"  {_size(_total(these[SHOWN:])):>9}  in {len(these) - SHOWN} more"
            )
    for name, reason in left.items():
        print_line(console, f"stays: {name}: {reason or 'is in use again'}", style="yellow")
    for kind in () if is_removed else KINDS:
        others = [one for one in found if one.kind == kind and kind not in kinds]
        if others and kind in ASKED_FOR:
            print_line(
                console,
                f"only with --kind {kind}: {_amount(others)} ({CONSEQUENCES[kind]})",
                style="dim",
            )


def _tree(one: Garbage, left: Mapping[str, str], is_removed: bool) -> dict[str, object]:
    return {
        "kind": one.kind,
        "name": one.name,
        "bytes": one.size,
        "files": one.files,
        "reason": one.reason,
        "removed": is_removed and one.name not in left,
    }


def _total(garbage: Sequence[Garbage]) -> int:
    return sum(one.size for one in garbage)


def _amount(garbage: Sequence[Garbage]) -> str:
    files = counted(sum(one.files for one in garbage), "file")
    return f"{files}, {_size(_total(garbage))}"


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
