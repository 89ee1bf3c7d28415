"""Milliseconds: what a terminal shows of a running sweep, at any size, with colours and without."""

import io
import random
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from orchestrator.live.view import SweepView
from orchestrator.storage.progress import Axis, CellProgress, MachineUse, SweepProgress

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OPERATIONS = ("crop", "cutout", "color", "sobel", "noise", "blur", "rotate")


def cell(at: tuple[str, ...], number: int, seed: int = 0) -> CellProgress:
    """Of five in a row three have ended, one runs, and one waits."""
    about = {"name": f"{' · '.join(at)} · seed {seed}", "places": (at,), "seed": seed}
    match number % 5:
        case 3:
            return CellProgress(
                **about,
                state="running",
                epoch=30,
                epochs=60,
                loss=5.4571,
                images_per_second=16179.2,
                seconds_left=754.0,
                since=NOW,
            )
        case 4:
            return CellProgress(**about)
        case _:
            return CellProgress(**about, state="finished", result=30.0 + number / 3)


def grid(seeds: int = 1) -> SweepProgress:
    cells = {
        f"{first}-{second}-{seed}": cell((first, second), 7 * row + column, seed)
        for row, first in enumerate(OPERATIONS)
        for column, second in enumerate(OPERATIONS)
        for seed in range(seeds)
    }
    cells["reference"] = CellProgress(
        name="untrained · seed 0",
        places=(("untrained",),),
        role="reference",
        state="finished",
        result=38.31,
    )
    cells["crop-blur-0"] = CellProgress(
        name="crop · blur · seed 0",
        places=(("crop", "blur"),),
        state="failed",
        message="no memory",
    )
    return SweepProgress(
        name="augmentations",
        sweep="0123456789ab",
        started=NOW - timedelta(seconds=125),
        updated=NOW,
        expected_end=NOW + timedelta(seconds=220),
        metric="linear_top1",
        unit="%",
        axes=(
            Axis(name="first operation", labels=OPERATIONS),
            Axis(name="second operation", labels=OPERATIONS),
        ),
        machine=MachineUse(cpu=0.97, memory=12.3, memory_total=24.0, gpus=(0.5,), gpu_memory=(8,)),
        cells=cells,
    )


def along(labels: tuple[str, ...]) -> SweepProgress:
    cells = {label: cell((label,), number) for number, label in enumerate(labels)}
    whole = grid().model_dump() | {"axes": (Axis(name="temperature", labels=labels),)}
    return SweepProgress.model_validate(whole | {"cells": cells})


def printed(*sweeps: SweepProgress, width: int = 80, height: int = 24, **more: object) -> list[str]:
    options: dict[str, object] = {"color_system": None, "force_terminal": True} | more
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, **options)  # type: ignore[arg-type]
    console.print(SweepView(sweeps, NOW))
    return file.getvalue().splitlines()


def test_the_figure_has_a_number_or_a_sign_in_each_cell() -> None:
    lines = printed(grid())
    assert "augmentations 0123456789ab" in lines[0]
    assert "1 failed" in lines[0]
    shown = "\n".join(lines)
    assert "about 3:40 left" in shown
    row = next(line for line in lines if line.startswith("crop"))
    assert row.split() == ["crop", "30.0", "30.3", "30.7", "▸50%", "·", "✗", "32.0"]
    assert "linear top1 in %; untrained 38.3" in shown
    assert "✗ crop · blur · seed 0: no memory" in shown
    assert "CPU 97 % · memory 12.3 of 24 GB · GPU 0 50 %, 8.0 GB" in shown
    assert "30/60" in shown
    assert "5.457" in shown
    assert "16,179" in shown
    assert "12:34" in shown


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
@pytest.mark.parametrize("height", [10, 24, 50])
@pytest.mark.parametrize("seeds", [1, 5])
def test_it_fits_any_terminal(width: int, height: int, seeds: int) -> None:
    many = tuple("abcdefghijklmnopqrstu")
    for progress in (grid(seeds), along(("0.1", "0.5", "1")), along(many)):
        lines = printed(progress, width=width, height=height)
        assert 3 < len(lines) < height
        assert max(map(len, lines)) <= width


def test_the_whole_grid_of_many_seeds_and_what_runs_fit_80_columns_and_24_lines() -> None:
    lines = printed(grid(seeds=5))
    for operation in OPERATIONS:
        assert any(line.startswith(operation) for line in lines)
    assert any("30/60" in line for line in lines)
    assert any(line.startswith("CPU") for line in lines)


def test_a_wide_terminal_has_what_runs_beside_the_figure() -> None:
    row = next(line for line in printed(grid(), width=140) if line.startswith("cutout"))
    assert "30/60" in row


def test_colours_come_with_the_value_and_numbers_stay_without_them() -> None:
    coloured = "\n".join(printed(grid(), color_system="truecolor"))
    assert "48;2;0;34;78" in coloured, "the darkest for the least"
    assert "48;2;254;232;56" in coloured, "the lightest for the most"
    plain = "\n".join(printed(grid(), color_system="truecolor", no_color=True))
    assert "48;2" not in plain
    assert "30.3" in plain


def test_an_axis_has_its_labels_above_its_numbers() -> None:
    labels = ("yes, 0.05", "yes, 0.1", "no, 100")
    lines = printed(along(labels))
    place = next(number for number, line in enumerate(lines) if "yes, 0.05" in line)
    assert lines[place].split() == ["yes,", "0.05", "yes,", "0.1", "no,", "100"]
    assert lines[place + 1].split() == ["30.0", "30.3", "30.7"]


def test_a_terminal_without_unicode_has_signs_that_it_can_show() -> None:
    kept = io.BytesIO()
    file = io.TextIOWrapper(kept, encoding="ascii")
    console = Console(file=file, width=80, height=24, force_terminal=True, color_system=None)
    console.print(SweepView([grid()], NOW))
    file.flush()
    row = next(line for line in kept.getvalue().decode().splitlines() if line.startswith("crop "))
    assert row.split() == ["crop", "30.0", "30.3", "30.7", ">50%", ".", "x", "32.0"]


def test_of_several_sweeps_the_one_at_work_is_drawn_and_each_has_its_line() -> None:
    done = {name: one for name, one in grid().cells.items() if one.state == "finished"}
    ended = SweepProgress.model_validate(grid().model_dump() | {"name": "heads", "cells": done})
    lines = printed(ended, grid())
    assert lines[0].startswith("augmentations")
    assert any(line.startswith("heads") for line in lines)


def test_the_number_of_a_cell_is_the_mean_of_its_seeds() -> None:
    draws = random.Random(0)
    values = [draws.uniform(20, 60) for _ in range(3)]
    cells = {
        str(seed): CellProgress(
            name="a", places=(("a",),), seed=seed, state="finished", result=value
        )
        for seed, value in enumerate(values)
    }
    whole = along(("a", "b")).model_dump() | {"cells": cells}
    shown = "\n".join(printed(SweepProgress.model_validate(whole)))
    assert f"{sum(values) / 3:.1f}" in shown
