"""What `stop` does: ask that a running sweep, or some of its cells, be stopped, and see it done."""

import time
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.result import Finished
from orchestrator.commands.running import death_of, is_driven, progress_of, watched
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.storage.progress import CellProgress, SweepProgress
from orchestrator.storage.stop_requests import ALL, ask_to_stop
from workloads.spelling import did_you_mean

__all__ = ["cells_named", "stop"]

SECONDS_OF_PATIENCE = 30.0
SHOWN = 12  # choices
QUIET = 2  # looks at which nothing runs, before a whole sweep counts as stopped
SHORTEST = 4  # letters of a fingerprint


def stop(
    name: str,
    cells: Sequence[str],
    storage: Storage,
    console: Console,
    *,
    sweep: str | None = None,
    patience: float = SECONDS_OF_PATIENCE,
    sleep: Callable[[float], object] = time.sleep,
) -> Finished:
    """Ask that a sweep, or cells of it, be stopped, and wait until they are.

    Exit code 1 where they are not after so many seconds of patience. Raises PlanError where no such
    sweep runs, and for names that no cell has.
    """
    progress = watched(name, storage, sweep)
    if not is_driven(progress, storage):
        lost = f": {death_of(progress)}" if progress.state == "running" else ""
        raise PlanError([f"{name}: no sweep of it is running in {storage.shown()}{lost}"])
    wanted = cells_named(cells, progress) if cells else []
    ask_to_stop(storage, progress.folder, wanted or [ALL])

    told, quiet, until = set[str](), 0, time.monotonic() + patience
    while True:
        progress = progress_of(progress, storage)
        of_interest = wanted or list(progress.cells)
        for line in _news(of_interest, progress, told):
            print_line(console, line)
        ended = [
            one for one in of_interest if progress.cells[one].state not in ("running", "waiting")
        ]
        driven = is_driven(progress, storage)
        quiet = quiet + 1 if progress.counts()["running"] == 0 else 0
        if not driven or (wanted and len(ended) == len(wanted)) or quiet > QUIET:
            break
        if time.monotonic() > until:
            print_line(
                console, f"asked, and not done after {patience:.0f} s; {name} is still running"
            )
            break
        sleep(0.5)
    done = not driven or len(ended) == len(of_interest) or quiet > QUIET
    if done:
        goes_on = "the rest goes on; " if driven and wanted else ""
        print_line(console, f"stopped; {goes_on}continue later with: {progress.command}")
    stopped = [one for one in of_interest if progress.cells[one].state == "stopped"]
    document = {"sweep": progress.folder, "stopped": stopped, "command": progress.command}
    return Finished(0 if done else 1, document)


def cells_named(names: Iterable[str], progress: SweepProgress) -> list[str]:
    """Return the fingerprints of the cells that are meant, by label or beginning of a fingerprint.

    A label is that of the report, `crop · blur`, also with commas; without a seed it means all of
    them. Raises one PlanError for names that no cell has, and for cells that cannot be stopped.
    """
    found, problems = dict[str, None](), list[str]()
    for name in names:
        meant = [one for one, cell in progress.cells.items() if _is_called(name, one, cell)]
        left = [one for one in meant if progress.cells[one].state in ("running", "waiting")]
        shared = [one for one in left if progress.cells[one].pack]
        if not meant:
            problems.append(
                f"{name}: no cell of {progress.name} is called so{_choices(name, progress)}"
            )
        elif not left:
            states = ", ".join(sorted({progress.cells[one].state for one in meant}))
            problems.append(f"{name}: has ended already ({states})")
        elif shared:
            problems.append(
                f"{name}: shares its process with others; simclr-orch stop {progress.name} ends all"
            )
        found |= dict.fromkeys(left)
    if problems:
        raise PlanError(problems)
    return list(found)


def _is_called(name: str, fingerprint: str, cell: CellProgress) -> bool:
    if len(name) >= SHORTEST and fingerprint.startswith(name):
        return True
    wanted = _plain(name)
    labels = {_plain(label) for label in _labels(cell)}
    return wanted in labels


def _labels(cell: CellProgress) -> list[str]:
    """All that a cell is called: by its places, and by these with its seed."""
    places = [" · ".join(place) for place in cell.places]
    return [cell.name, *places, *(f"{place} · seed {cell.seed}" for place in places)]


def _plain(name: str) -> str:
    return " ".join(name.replace("·", " ").replace(",", " ").casefold().split())


def _choices(name: str, progress: SweepProgress) -> str:
    left = [cell.name for cell in progress.cells.values() if cell.state in ("running", "waiting")]
    if near := did_you_mean(name, left):
        return near
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    return f"; those that have not ended are {', '.join(map(repr, left[:SHOWN]))}{more}"


def _news(names: Iterable[str], progress: SweepProgress, told: set[str]) -> list[str]:
    """A line for each cell that has stopped since the last look."""
    new = [name for name in names if progress.cells[name].state == "stopped" and name not in told]
    told |= set(new)
    lines = []
    for name in new:
        cell = progress.cells[name]
        if cell.epoch:
            lines.append(f"{cell.name}: stopped after epoch {cell.epoch}, whose checkpoint is kept")
        else:
            lines.append(f"{cell.name}: stopped before it had kept anything")
    return lines
