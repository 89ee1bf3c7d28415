"""Seconds, in this process: what is shown of a recipe before it is trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.report.figures.planned import planned_rows
from orchestrator.report.figures.views import draw_views
from workloads.catalog.simclr import SIMCLR
from workloads.simclr.encoder import multiply_adds
from workloads.simclr.model import initial_model
from workloads.simclr.optim import learning_rate
from workloads.simclr.presets import PRESETS, preset

PNG = b"\x89PNG"


def show(*words: str) -> Result:
    return CliRunner().invoke(app, ["show", *words], catch_exceptions=False)


def shown(*words: str) -> dict[str, Any]:
    ended = show(*words, "--json")
    assert ended.exit_code == 0, ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def test_views_are_drawn_as_training_makes_them(tmp_path: Path) -> None:
    file = tmp_path / "views.png"
    told = shown(
        *("views", "--preset", "digits", "-o", str(file), "--images", "2", "--pairs", "2"),
        *("--set", "augment.branches=one", "--set", "augment.operations=[crop,blur,solarize]"),
        *("--set", "schedule.image_sizes=[[8,0.5],[16,0.5]]"),
    )
    assert file.read_bytes().startswith(PNG)
    assert told["sides"] == [8, 16]
    assert [one["name"] for one in told["operations"]] == ["crop", "blur", "solarize"]
    assert told["operations"][2]["probability"] == 0.2
    # a tenth of 16 pixels is a kernel of one, which is said
    assert told["without_effect"] == ["blur"]
    assert "on the second only" in told["policy"]


def test_crops_are_told_apart_by_colours_until_these_are_distorted(tmp_path: Path) -> None:
    file = tmp_path / "histograms.svg"
    told = shown("histograms", "--preset", "textures", "-o", str(file), "--crops", "2")
    assert b"<svg" in file.read_bytes()
    assert told["among"] == 500
    assert told["matched"]["without_distortion"] > 0.4
    assert told["matched"]["with_distortion"] < 0.15
    weak = shown(
        *("histograms", "--preset", "textures", "-o", str(file)),
        *(
            "--set",
            "augment.color.jitter_probability=0",
            "--set",
            "augment.color.grayscale_probability=0",
        ),
    )
    assert weak["matched"]["with_distortion"] == weak["matched"]["without_distortion"]


def test_enlarged_pixels_are_not_smoothed() -> None:
    spec = preset("shapes")
    figure = draw_views(SIMCLR.example_views(spec, images=2, pairs=1))  # type: ignore[attr-defined]
    drawn = [image for axes in figure.axes for image in axes.images]
    assert len(drawn) == 2 * (1 + 2 + 2 * len(spec.augment.operations))
    assert {image.get_interpolation() for image in drawn} == {"nearest"}


def test_an_operation_of_ones_own_is_shown(own_module: Callable[[str], str]) -> None:
    name = own_module("def darker(images, draws, *, by: float = 0.5):\n    return images * by\n")
    told = shown(
        *("views", "--preset", "digits", "--images", "1", "--pairs", "1"),
        *("--set", f"augment.operations=[crop,{name}:darker]"),
        *("--set", "augment.options={darker: {by: 0.25}}"),
    )
    assert told["operations"][1]["parameters"] == {"by": 0.25}
    assert Path("views.png").is_file()  # the default


def test_the_schedule_is_that_of_training(tmp_path: Path) -> None:
    told = shown("schedule", "--preset", "digits", "-o", str(tmp_path / "schedule.svg"))
    spec = preset("digits")
    per_epoch = told["training_images"] // spec.schedule.batch_size
    assert told["total_steps"] == per_epoch * spec.schedule.epochs
    assert told["steps"][0] == 0
    assert told["steps"][-1] == told["total_steps"] - 1
    for step, rate in zip(told["steps"], told["rates"], strict=True):
        assert rate == pytest.approx(
            learning_rate(
                step,
                peak=spec.learning_rate,
                warmup_steps=per_epoch,
                total_steps=told["total_steps"],
            )
        )


@pytest.mark.parametrize("name", [*PRESETS, "vit-s16"])
def test_layers_add_up_to_the_network(name: str) -> None:
    spec = preset(name) if name in PRESETS else preset("cifar10")
    if name not in PRESETS:
        spec = spec.with_values({"encoder.architecture": name})
    told = SIMCLR.layers(spec)  # type: ignore[attr-defined]

    model = initial_model(spec)
    counted = {
        part: sum(one.numel() for one in getattr(model, part).parameters())
        for part in ("encoder", "head")
    }
    assert told.parameters == counted
    of_encoder = [one for one in told.layers if one.name.startswith("encoder.")]
    assert sum(one.multiply_adds or 0 for one in of_encoder) == multiply_adds(
        spec.encoder, spec.view_size
    )
    assert all(one.shape for one in told.layers)


def test_the_encoder_is_told_in_lines() -> None:
    told = show("encoder", "--preset", "shapes")
    assert told.exit_code == 0
    assert "3 x 24 x 24" in told.stdout
    assert "head.0" in told.stdout
    assert "encoder in all" in told.stdout


def test_a_plan_is_told_and_drawn(tmp_path: Path) -> None:
    file = tmp_path / "plan.png"
    told = shown(
        *("plan", "temperature", "--preset", "shapes", "--seeds", "2", "-o", str(file)),
        *("--storage", str(tmp_path / "storage")),
    )
    assert file.read_bytes().startswith(PNG)
    assert len(told["cells"]) == 14


def test_a_run_that_two_cells_share_is_counted_once() -> None:
    from types import SimpleNamespace

    def cell(name: str, fingerprint: str) -> SimpleNamespace:
        return SimpleNamespace(name=f"{name} · seed 0", fingerprint=fingerprint)

    plans: Any = [
        SimpleNamespace(name="a", cells=[cell("x", "1"), cell("y", "2"), cell("z", "3")]),
        SimpleNamespace(name="b", cells=[cell("x", "1"), cell("w", "4")]),
    ]
    rows = planned_rows(plans, {"2"}, {"1": 5.0, "3": 6.0, "4": 7.0})
    assert [(row.name, row.finished, row.shared, row.to_run, row.seconds) for row in rows] == [
        ("a: x", 0, 0, 1, 5.0),
        ("a: y", 1, 0, 0, 0),
        ("a: z", 0, 0, 1, 6.0),
        ("b: x", 0, 1, 0, 0),
        ("b: w", 0, 0, 1, 7.0),
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["views", "--preset", "gaussian-patches"], "have no views of images to show"),
        (["encoder", "--preset", "gaussian-patches"], "have no encoder to show"),
        (["schedule", "--preset", "gaussian-patches"], "have no schedule"),
        (["views", "--preset", "shpaes"], "did you mean shapes"),
        (["views", "-o", "views.gif"], "--output views.gif: must end in one of .png, .svg, .pdf"),
        (["views", "-o", "no/such/views.png"], "is no folder"),
        (["views", "--images", "0"], "--images 0: must lie between 1 and 32"),
        (["histograms", "--crops", "9"], "--crops 9: must lie between 1 and 6"),
        (["histograms", "--preset", "gaussian-patches"], "have no crops of images to show"),
        (["views", "--pairs", "99"], "--pairs 99: must lie between 1 and 16"),
        (
            ["schedule", "--set", "schedule.epochs=0", "--set", "schedule.warmup_epochs=0"],
            "epochs=0",
        ),
        (["schedule", "--set", "schedule.batch_size=4096"], "schedule.batch_size=4096: is larger"),
        (["encoder", "--set", "encoder.architecture=no_such:Net"], "no_such"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(words: list[str], told: str) -> None:
    ended = show(*words)
    assert ended.exit_code == 2
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
