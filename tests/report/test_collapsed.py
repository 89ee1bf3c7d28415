"""Milliseconds: runs that are no better than the untrained encoder, in cells that otherwise are."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from orchestrator.report.brief import short_answer
from orchestrator.report.collapsed import Collapsed, Column, collapsed
from orchestrator.report.quantities import quantity
from workloads.quantity import Quantity

TOP1 = quantity("linear_top1")
LOSS = Quantity("loss", better="lower")
UNTRAINED = (29.0, 31.0, 28.0)


def column(name: str, *values: float) -> Column:
    return Column((name,), values, tuple(range(len(values))))


def test_one_run_at_the_untrained_level_is_named_and_its_cell_is_not() -> None:
    cells = [
        column("a", 80.0, 30.0, 82.0),
        column("b", 81.0, 79.0, 80.0),
        column("c", 60.0, 61.0, 62.0),
    ]
    assert collapsed(cells, UNTRAINED, TOP1) == [Collapsed(("a",), 1, 30.0, 80.0)]


@pytest.mark.parametrize(
    "values",
    [
        (25.0, 26.0, 24.0),  # bad with every seed: the cell's answer
        (34.0, 30.5, 35.0),  # below the best untrained one by what a run varies
        (80.0, 30.0),  # which of two it is, nobody knows
        (80.0, 45.0, 82.0),  # bad, and better than untrained
    ],
)
def test_others_have_not_collapsed(values: tuple[float, ...]) -> None:
    cells = [column("a", *values), column("b", 81.0, 79.0, 80.0), column("c", 60.0, 58.0, 62.0)]
    assert not collapsed(cells, UNTRAINED, TOP1)


def test_without_an_untrained_encoder_nothing_is_said() -> None:
    assert not collapsed([column("a", 80.0, 30.0, 82.0), column("b", 8.0, 8.1, 8.2)], (), TOP1)


def test_of_what_is_better_when_lower_the_worst_is_the_highest() -> None:
    cells = [column("a", 0.5, 2.3, 0.6), column("b", 0.4, 0.5, 0.6), column("c", 0.4, 0.5, 0.5)]
    (found,) = collapsed(cells, (2.2, 2.3), LOSS)
    assert (found.seed, found.value) == (1, 2.3)


def test_normal_cells_are_named_rarely() -> None:
    """300 sweeps of 12 cells, 5 seeds, of which a third is hardly better than untrained."""
    draw = random.Random(0)
    named = 0
    for _ in range(300):
        untrained = [draw.gauss(30, 2) for _ in range(5)]
        means = [33.0] * 4 + [50.0] * 4 + [80.0] * 4
        cells = [
            column(str(number), *(draw.gauss(mean, 2) for _ in range(5)))
            for number, mean in enumerate(means)
        ]
        named += bool(collapsed(cells, untrained, TOP1))
    assert named <= 15


def test_the_short_answer_names_them(repository: Path) -> None:
    file = repository / "docs/results/few-augmentations-textures/report.json"
    document: Any = json.loads(file.read_bytes())
    assert not [line for line in short_answer(document) if "collapsed" in line]
    document["collapsed"] = ["crop · crop, seed 1: 28.0 %, the cell's median 70.1"]
    (line,) = [line for line in short_answer(document) if "collapsed" in line]
    assert line.endswith("level: crop · crop, seed 1: 28.0 %, the cell's median 70.1")
