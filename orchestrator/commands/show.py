"""Look before training: views, learning rates, layers, and what a question would train.

Nothing is started, and nothing is written but the picture that is asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.request import Request, base_recipe, workload_asked
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from workloads.shown import EncoderShown, ScheduleShown, ShowsTraining
from workloads.workload import Specification

if TYPE_CHECKING:
    from orchestrator.report.figures.both import Figure

__all__ = ["show_encoder", "show_histograms", "show_plan", "show_schedule", "show_views"]

ENDINGS = (".png", ".svg", ".pdf")
MOST_IMAGES, MOST_PAIRS = 32, 16
MOST_DRAWN, MOST_CROPS = 8, 6  # of histograms


def show_views(
    request: Request, output: Path, *, images: int, pairs: int, console: Console
) -> Finished:
    """Draw what the policy of a recipe does to images of its data. Raises PlanError, SpecError."""
    from orchestrator.report.figures.views import draw_views, without_effect

    _check_output(output)
    _check_counts(images=(images, MOST_IMAGES), pairs=(pairs, MOST_PAIRS))
    spec, seen = _recipe(request, "no views of images")
    shown = seen.example_views(spec, images=images, pairs=pairs, download=request.download)
    nothing, side = without_effect(shown), shown.originals.shape[1]
    for operation in nothing:
        print_line(console, f"{operation}: changes no pixel of these images of {side} x {side}")
    _save(draw_views(shown), output, console)
    operations = [
        {"name": one.name, "probability": one.probability, "parameters": dict(one.parameters)}
        for one in shown.alone
    ]
    return Finished(
        0,
        {
            "file": str(output),
            "data": shown.data,
            "seed": shown.seed,
            "policy": shown.policy,
            "images": len(shown.originals),
            "sides": [pair.shape[2] for pair in shown.pairs],
            "operations": operations,
            "without_effect": nothing,
        },
    )


def show_histograms(
    request: Request, output: Path, *, images: int, crops: int, console: Console
) -> Finished:
    """Draw what crops of an image have in common, and count how often that tells the image.

    Raises PlanError, SpecError.
    """
    from orchestrator.report.figures.histograms import TITLES, draw_histograms

    _check_output(output)
    _check_counts(images=(images, MOST_DRAWN), crops=(crops, MOST_CROPS))
    spec, seen = _recipe(request, "no crops of images")
    shown = seen.crop_histograms(spec, images=images, crops=crops, download=request.download)
    for title, share in zip(TITLES, shown.matched, strict=True):
        print_line(
            console,
            f"{title}: {100 * share:.1f} % of {shown.among} images told from the others by the "
            f"colours of two crops (chance {100 / shown.among:.1f} %)",
        )
    _save(draw_histograms(shown), output, console)
    matched = {"without_distortion": shown.matched[0], "with_distortion": shown.matched[1]}
    return Finished(
        0,
        {
            "file": str(output),
            "data": shown.data,
            "seed": shown.seed,
            "strength": shown.strength,
            "images": len(shown.originals),
            "crops": crops,
            "among": shown.among,
            "chance": 1 / shown.among,
            "matched": matched,
        },
    )


def show_schedule(request: Request, output: Path, console: Console) -> Finished:
    """Draw the learning rate of a recipe by step, and say it in words."""
    from orchestrator.report.figures.schedule import draw_schedule

    _check_output(output)
    spec, seen = _recipe(request, "no schedule of a learning rate")
    shown = seen.schedule(spec, download=request.download)
    for line in _schedule_lines(shown):
        print_line(console, line)
    title = f"{request.recipe}: {workload_asked(request, ()).setting(spec.tree())}"
    _save(draw_schedule(shown, title), output, console)
    return Finished(0, {"file": str(output), "total_steps": shown.total_steps, **vars(shown)})


def show_encoder(request: Request, console: Console) -> Finished:
    """Print the layers of a recipe's encoder and head."""
    spec, seen = _recipe(request, "no encoder")
    shown = seen.layers(spec)
    for line in _layer_lines(shown):
        print_line(console, line)
    return Finished(0, vars(shown) | {"layers": [vars(layer) for layer in shown.layers]})


def show_plan(request: Request, output: Path, console: Console) -> Finished:
    """Print what a question would train, as `--dry-run` does, and draw its cells and their cost."""
    from orchestrator.commands.cost import cost_line
    from orchestrator.commands.dry_run import look_ahead, tell_ahead
    from orchestrator.report.figures.planned import draw_planned

    _check_output(output)
    ahead = look_ahead(request)
    told = tell_ahead(ahead, console)
    planned = ahead.planned
    note = cost_line(planned, ahead.cost)
    _save(draw_planned(planned.plans, planned.done, ahead.cost, note), output, console)
    return Finished(told.exit_code, told.document | {"file": str(output)})


def _recipe(request: Request, lacks: str) -> tuple[Specification, ShowsTraining[Any]]:
    """Return the recipe and what shows it. Raises PlanError for a workload that shows nothing."""
    workload = workload_asked(request, ())
    spec = base_recipe(workload, request.preset, request.config, request.assignments)
    if not isinstance(workload, ShowsTraining):
        raise PlanError(
            [
                f"{request.recipe}: runs of {workload.name} have {lacks} to show; `simclr-orch "
                "show plan NAME` shows what a question on them trains"
            ]
        )
    return spec, workload


def _schedule_lines(shown: ScheduleShown) -> list[str]:
    peak = max(shown.rates)
    decays = shown.warmup_steps < shown.total_steps
    lines = [
        f"{shown.total_steps:,} steps: {shown.epochs:,} epochs of {shown.steps_per_epoch:,} steps, "
        f"{shown.batch_size:,} of {shown.training_images:,} images each",
        f"learning rate of {shown.optimizer}: "
        + (f"from 0 in {shown.warmup_steps:,} steps " if shown.warmup_steps else "")
        + f"to {peak:.4g}"
        + (", then by a cosine to 0" if decays else ", and no decay: the warm-up is the whole run"),
    ]
    if len(shown.sides) > 1:
        sides = ", ".join(f"{side} px from step {step:,}" for step, side in shown.sides)
        lines.append(f"views: {sides}")
    else:
        lines.append(f"views: {shown.sides[0][1]} x {shown.sides[0][1]} pixels")
    return [*lines, *shown.notes]


def _layer_lines(shown: EncoderShown) -> list[str]:
    head = ("layer", "kind", "output", "parameters", "multiply-adds")
    rows = [
        (
            layer.name,
            layer.kind.removeprefix("_"),
            " x ".join(map(str, layer.shape)) if layer.shape else "",
            f"{layer.parameters:,}",
            f"{layer.multiply_adds:,}",
        )
        for layer in shown.layers
    ]
    rows += [
        (f"{name} in all", "", "", f"{count:,}", f"{shown.multiply_adds[name]:,}")
        for name, count in shown.parameters.items()
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(row: tuple[str, ...]) -> str:
        texts = [text.ljust(width) for text, width in zip(row[:3], widths[:3], strict=True)]
        numbers = [text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)]
        return "  ".join([*texts, *numbers]).rstrip()

    return [
        f"{shown.name}: one image of 3 x {shown.side} x {shown.side} to {shown.feature_dim} "
        "features h",
        line(head),
        *map(line, rows),
        *shown.notes,
    ]


def _check_counts(**given: tuple[int, int]) -> None:
    """Refuse numbers of options that are below 1 or above the most. Raises PlanError for all."""
    problems = [
        f"--{option} {value}: must lie between 1 and {most}"
        for option, (value, most) in given.items()
        if not 1 <= value <= most
    ]
    if problems:
        raise PlanError(problems)


def _check_output(output: Path) -> None:
    """Refuse a picture that could not be written. Raises PlanError."""
    if output.suffix.lower() not in ENDINGS:
        raise PlanError([f"--output {output}: must end in one of {', '.join(ENDINGS)}"])
    if not output.absolute().parent.is_dir():
        raise PlanError([f"--output {output}: {output.absolute().parent} is no folder"])


def _save(figure: "Figure", output: Path, console: Console) -> None:
    try:
        figure.savefig(output, dpi=150)
    except OSError as error:
        raise PlanError([f"--output {output}: cannot be written ({error})"]) from None
    print_line(console, f"{output}")
