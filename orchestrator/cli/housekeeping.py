"""Commands that keep order: what nobody needs any more."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import Json, StorageUri, console_for, guarded

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["gc"]


@app.command()
def gc(
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove what is listed; without it nothing is.")
    ] = False,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Only this kind; may be repeated: checkpoints (older ones), runs (stopped, in no "
            "plan), damaged, partial, leftovers, progress, temporary; and, only where named, "
            "states (last ones of finished runs) and cache (decoded images).",
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Only what was written so long ago: 30m, 12h, 7d, 2w; default: an hour, of "
            "progress a week.",
        ),
    ] = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """List what nobody needs any more, in the storage and on this machine; --yes removes it."""

    def work() -> "Finished":
        from orchestrator.commands.gc import GarbageQuestion, collect_garbage
        from orchestrator.commands.request import command_line
        from orchestrator.commands.stores import results_at

        question = GarbageQuestion(tuple(kinds or ()), older_than, yes)
        again = command_line([*sys.argv[1:], "--yes"])
        return collect_garbage(question, results_at(storage), console_for(as_json), again)

    guarded(work, as_json=as_json)
