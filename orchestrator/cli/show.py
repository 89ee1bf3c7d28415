"""Commands that show what a run is given, before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import (
    AblationNames,
    Assignments,
    Config,
    Download,
    Json,
    Only,
    OverAxes,
    OverClaims,
    OverMetric,
    OverName,
    Preset,
    Seeds,
    StorageUri,
    console_for,
    guarded,
    refuse_without_over,
)

if TYPE_CHECKING:
    from orchestrator.commands.request import Request
    from orchestrator.commands.result import Finished

__all__ = ["encoder", "histograms", "plan", "schedule", "views"]

show = typer.Typer(
    name="show",
    help="What a recipe does, before it is trained.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(show)

Picture = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help="The picture: .png, .svg or .pdf."),
]


@show.command()
def views(
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    output: Picture = Path("views.png"),
    images: Annotated[int, typer.Option(help="Training images, a row each.")] = 6,
    pairs: Annotated[int, typer.Option(help="Pairs of views of each image.")] = 3,
    download: Download = False,
    as_json: Json = False,
) -> None:
    """Draw what the augmentation policy does to images of the data set: pairs of views as training
    gets them, and each operation alone.
    """

    def work() -> "Finished":
        from orchestrator.commands.show import show_views

        request = _request(preset, config, assignments, download=download)
        return show_views(request, output, images=images, pairs=pairs, console=console_for(as_json))

    guarded(work, as_json=as_json)


@show.command()
def histograms(
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    output: Picture = Path("histograms.png"),
    images: Annotated[int, typer.Option(help="Training images to draw.")] = 2,
    crops: Annotated[int, typer.Option(help="Crops of each.")] = 3,
    download: Download = False,
    as_json: Json = False,
) -> None:
    """Draw the colours of crops of an image with and without color distortion, as Figure 6, and
    count how often they alone tell which image a crop is of.
    """

    def work() -> "Finished":
        from orchestrator.commands.show import show_histograms

        request = _request(preset, config, assignments, download=download)
        return show_histograms(
            request, output, images=images, crops=crops, console=console_for(as_json)
        )

    guarded(work, as_json=as_json)


@show.command()
def schedule(
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    output: Picture = Path("schedule.png"),
    download: Download = False,
    as_json: Json = False,
) -> None:
    """Draw the learning rate by step: warm-up and decay, steps, sizes of the views."""

    def work() -> "Finished":
        from orchestrator.commands.show import show_schedule

        request = _request(preset, config, assignments, download=download)
        return show_schedule(request, output, console_for(as_json))

    guarded(work, as_json=as_json)


@show.command()
def encoder(
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Print the layers of encoder and head, with shapes, parameters and multiply-adds."""

    def work() -> "Finished":
        from orchestrator.commands.show import show_encoder

        return show_encoder(_request(preset, config, assignments), console_for(as_json))

    guarded(work, as_json=as_json)


@show.command()
def plan(
    names: AblationNames = None,
    only: Only = None,
    over: OverAxes = None,
    claims: OverClaims = None,
    metric: OverMetric = None,
    name: OverName = None,
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    seeds: Seeds = 1,
    output: Picture = Path("plan.png"),
    download: Download = False,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Print what a question would train, as `ablate --dry-run` does, and draw it: each cell, its
    runs, which have finished or are shared, and how long they take.
    """
    refuse_without_over(over, claims, metric, name)

    def work() -> "Finished":
        from orchestrator.commands.over import over_of
        from orchestrator.commands.request import Request
        from orchestrator.commands.show import show_plan

        request = Request(
            ablations=tuple(names or ()),
            only=tuple(only or ()),
            over=over_of(over, claims, metric, name),
            preset=preset,
            config=config,
            assignments=tuple(assignments or ()),
            seeds=seeds,
            download=download,
            flags={"storage": storage},
        )
        return show_plan(request, output, console_for(as_json))

    guarded(work, as_json=as_json)


def _request(
    preset: str | None,
    config: Path | None,
    assignments: list[str] | None,
    *,
    download: bool = False,
) -> "Request":
    from orchestrator.commands.request import Request

    return Request(
        ablations=(),
        preset=preset,
        config=config,
        assignments=tuple(assignments or ()),
        download=download,
    )
