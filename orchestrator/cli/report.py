"""Commands that answer: the report of an ablation, and the verdicts on its claims."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import (
    Json,
    Only,
    StorageUri,
    console_for,
    guarded,
)
from orchestrator.commands.completion import sweep_names
from orchestrator.commands.result import Finished

__all__ = ["report", "verdicts"]

Long = Annotated[
    bool, typer.Option("--long", help="Say all of it: every comparison, and facts at full length.")
]


@app.command()
def report(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="`simclr-orch spaces` lists them; tune: a search; or a file, PATH/report.json, to "
            "judge again. With --html also all: every sweep; or a folder of such files.",
            autocompletion=sweep_names,
        ),
    ],
    sweep: Annotated[
        str | None, typer.Option(help="Beginning of a sweep's id; default: the latest sweep.")
    ] = None,
    only: Only = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the files here and not into the storage.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write one page to send around, which needs no network: a file, or a folder."
        ),
    ] = None,
    details: Long = False,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Table, figure beside the paper's, Markdown and JSON of an ablation.

    Of a report.json the claims are judged again, without a storage; files are written with --output
    only.
    """

    def show() -> "Finished":
        from orchestrator.commands.report import check_name, report_again, report_on
        from orchestrator.commands.stores import results_at
        from orchestrator.errors import PlanError

        check_name(name, html)
        if html is not None and (name == "all" or Path(name).is_dir()):
            from orchestrator.commands.pages import pages_again, pages_on

            given = {"--sweep": sweep, "--only": only, "--output": output}
            given |= {} if name == "all" else {"--storage": storage}
            if unread := [option for option, value in given.items() if value is not None]:
                raise PlanError([f"{', '.join(unread)}: not together with {name}"])
            if name == "all":
                return pages_on(results_at(storage), console_for(as_json), html)
            return pages_again(Path(name), console_for(as_json), html)

        if name.endswith(".json"):
            given = {"--sweep": sweep, "--only": only, "--storage": storage}
            if unread := [option for option, value in given.items() if value is not None]:
                raise PlanError([f"{', '.join(unread)}: not together with a file, {name}"])
            return report_again(
                Path(name), console_for(as_json), output=output, details=details, html=html
            )

        if name == "tune":
            from orchestrator.commands.search import search_report

            if only is not None:
                raise PlanError(["--only: is of an ablation, and tune is a search"])
            return search_report(
                results_at(storage), console_for(as_json), sweep=sweep, output=output, html=html
            )

        return report_on(
            name,
            results_at(storage),
            console_for(as_json),
            sweep=sweep,
            only=tuple(only or ()),
            output=output,
            details=details,
            html=html,
        )

    guarded(show, as_json=as_json)


@app.command()
def verdicts(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="Default: every ablation that was run.",
            autocompletion=sweep_names,
        ),
    ] = None,
    details: Long = False,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Claim by claim: what was reproduced here, with what certainty."""

    def show() -> "Finished":
        from orchestrator.commands.report import verdicts_on
        from orchestrator.commands.stores import results_at

        return verdicts_on(names or [], results_at(storage), console_for(as_json), details=details)

    guarded(show, as_json=as_json)
