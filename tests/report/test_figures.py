"""One process: figures are drawn in memory and asked what they show; one test starts another."""

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from orchestrator.report.figures.ablation import draw, save
from orchestrator.report.figures.curves import chosen_cells, draw_curves
from orchestrator.report.figures.overlays import path_between_cells
from orchestrator.report.summary import Summary
from search_spaces import ABLATIONS, Axis, Layout, Overlay
from search_spaces.ablation import Scale

OPERATIONS = ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
UNTRAINED = Summary(("untrained",), (20.0, 22.0), 0, 0, None)


def summaries(
    layout: Layout, *, seeds: int = 2, gaps: Mapping[tuple[str, ...], str] | None = None
) -> list[Summary]:
    """Make up a value for every cell and seed; none for cells in `gaps`.

    There is one for the metric that points are drawn against, too.
    """
    numbers = random.Random(0)
    found: list[Summary] = []
    for index, cell in enumerate(layout.cells):
        gap = (gaps or {}).get(cell.at)
        base = 0.9 * (cell.paper or 60.0) + 10
        values = () if gap else tuple(base + numbers.gauss(0, 0.8) for _ in range(seeds))
        failed, missing, uncounted = (
            seeds if gap == word else 0 for word in ("failed", "missing", "none counts")
        )
        against = (0.1 * 1.3**index,) * len(values)
        found.append(Summary(cell.at, values, failed, missing, cell.paper, uncounted, against))
    return found


def picture(
    name: str,
    cells: list[Summary],
    *,
    scale: Scale = "small",
    reference: Summary | None = UNTRAINED,
) -> Figure:
    ablation = ABLATIONS[name]
    return draw(
        ablation,
        ablation.layout(scale),
        cells,
        reference=reference,
        subtitle="preset p, two CPU cores",
    )


def panels(figure: Figure) -> list[Axes]:
    """The panels without the colour bars, left to right and top to bottom."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def caption(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def cell_texts(axes: Axes) -> dict[tuple[int, int], str]:
    """What is written in each cell of a heat map, by row and column."""
    return {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in axes.texts
    }


def curves(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """Where the points of each line of a panel stand, and their values."""
    found = {}
    for bars in axes.containers:
        assert isinstance(bars, ErrorbarContainer)
        x, y = bars.lines[0].get_data()
        found[str(bars.get_label())] = (
            [float(v) for v in np.asarray(x)],
            [float(v) for v in np.asarray(y)],
        )
    return found


def marks(axes: Axes, gap: str) -> list[float]:
    """Where a panel marks cells that are `gap`."""
    lines = [
        artist
        for artist in axes.get_children()
        if isinstance(artist, Line2D) and artist.get_gid() == gap
    ]
    return sorted({float(np.asarray(line.get_xdata())[0]) for line in lines})


def tick_labels(axes: Axes, which: str) -> list[str]:
    ticks = axes.get_xticklabels() if which == "x" else axes.get_yticklabels()
    return [tick.get_text() for tick in ticks]


def drawn_texts(figure: Figure) -> list[Text]:
    """Every text that the reader sees: matplotlib also keeps labels for ticks beyond the limits."""
    hidden: set[Text] = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                hidden |= {tick.label1, tick.label2}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in hidden]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


# Numbers of a cell --------------------------------------------------------------------------------


def test_a_summary_has_the_mean_and_the_sample_deviation_of_its_seeds() -> None:
    three = Summary(("a",), (50.0, 53.0, 59.0), 0, 0, None)
    assert (three.n, three.mean) == (3, 54.0)
    assert three.spread == pytest.approx(math.sqrt((16 + 1 + 25) / 2))
    one, none = Summary(("a",), (50.0,), 0, 0, None), Summary(("a",), (), 1, 0, None)
    assert (one.n, one.mean, one.spread) == (1, 50.0, None)
    assert (none.n, none.mean, none.spread) == (0, None, None)


def test_a_summary_refuses_numbers_that_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="nan"):
        Summary(("a",), (50.0, float("nan")), 0, 0, None)


# Heat map -----------------------------------------------------------------------------------------


def test_a_heat_map_writes_the_means_in_their_places_and_the_papers_beside_them() -> None:
    cells = summaries(ABLATIONS["augmentations"].small)
    run, paper = panels(picture("augmentations", cells))
    written, papers = cell_texts(run), cell_texts(paper)
    for cell in cells:
        where = OPERATIONS.index(cell.at[0]), OPERATIONS.index(cell.at[1])
        assert written[where] == f"{cell.mean:.1f}"
        assert papers[where] == f"{cell.paper:.1f}"
    assert (papers[0, 2], papers[2, 0], papers[4, 2]) == ("56.3", "55.8", "7.5")
    assert [papers[row, 7] for row in range(4)] == ["39.2", "29.4", "25.7", "18.8"]
    assert written[6, 7] == f"{sum(cell.mean or 0 for cell in cells[-7:]) / 7:.1f}"
    assert len(written) == len(papers) == 7 * 8


def test_both_heat_maps_have_the_papers_order_and_the_same_limits() -> None:
    run, paper = panels(picture("augmentations", summaries(ABLATIONS["augmentations"].small)))
    for axes in (run, paper):
        assert tick_labels(axes, "x") == [*OPERATIONS, "Average"]
        assert tick_labels(axes, "y") == OPERATIONS
        assert (axes.get_xlabel(), axes.get_ylabel()) == (
            "2nd transformation",
            "1st transformation",
        )
    assert (run.get_xlim(), run.get_ylim()) == (paper.get_xlim(), paper.get_ylim())
    assert run.get_ylim() == (6.5, -0.5), "the first row is not at the top"


def test_a_heat_map_says_which_cells_failed_or_are_missing_and_averages_no_broken_row() -> None:
    cells = summaries(
        ABLATIONS["augmentations"].small,
        gaps={("crop", "noise"): "failed", ("color", "crop"): "missing"},
    )
    figure = picture("augmentations", cells)
    run, paper = panels(figure)
    written = cell_texts(run)
    assert (written[0, 4], written[0, 7]) == ("failed", "n/a")
    assert (written[2, 0], written[2, 7]) == ("missing", "n/a")
    assert [patch.get_hatch() for patch in run.patches] == ["///"] * 4
    assert "Failed: 1 of 49 cells, (crop, noise)." in caption(figure)
    assert "Missing: 1 of 49 cells, (color, crop)." in caption(figure)
    assert cell_texts(paper)[0, 4] == "39.9"


def test_the_colour_bar_marks_the_untrained_encoder() -> None:
    figure = picture("augmentations", summaries(ABLATIONS["augmentations"].small))
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert {line.get_ydata()[0] for line in bars[0].lines if len(line.get_ydata())} >= {21.0}  # type: ignore[arg-type,index]
    assert [axes.get_ylabel() for axes in bars] == ["linear evaluation top-1 (%)"]


def test_a_heat_map_and_the_papers_have_one_scale_of_colour() -> None:
    figure = picture("augmentations", summaries(ABLATIONS["augmentations"].small))
    norms = [image.norm for axes in panels(figure) for image in axes.images]
    assert len(norms) == 2
    assert len({(norm.vmin, norm.vmax) for norm in norms}) == 1
    assert "one scale of colour" in caption(figure)


def test_cells_that_are_not_above_the_untrained_encoder_are_underlined() -> None:
    cells = summaries(ABLATIONS["augmentations"].small)
    best = max(cell.mean for cell in cells if cell.mean is not None)
    figure = picture("augmentations", cells, reference=Summary((), (best,), 0, 0, None))
    marks = [line for line in panels(figure)[0].lines if line.get_gid() == "no-gain"]
    assert len(marks) == len(cells)
    assert f"Underlined: {len(cells)} cells are" in caption(figure)
    below = Summary((), (0.0,), 0, 0, None)
    assert "Underlined" not in caption(picture("augmentations", cells, reference=below))


# Lines --------------------------------------------------------------------------------------------


def test_lines_go_through_the_means_with_bars_of_one_deviation() -> None:
    cells = {cell.at: cell for cell in summaries(ABLATIONS["batch-size"].small, seeds=3)}
    run = panels(picture("batch-size", list(cells.values())))[0]
    assert list(curves(run)) == ["x 1/4", "x 1/2", "x 1", "x 2"]
    for bars in run.containers:
        assert isinstance(bars, ErrorbarContainer)
        expected = [
            cells[str(bars.get_label()), length, "linear"] for length in ("x 1", "x 2", "x 4")
        ]
        _, y = bars.lines[0].get_data()
        assert np.asarray(y) == pytest.approx([cell.mean for cell in expected])
        segments = [np.asarray(path.vertices) for path in bars.lines[2][0].get_paths()]
        heights = [float(ends[1, 1] - ends[0, 1]) for ends in segments]
        assert heights == pytest.approx([2 * (cell.spread or 0) for cell in expected])


def test_lines_have_a_panel_for_each_scaling_rule_and_the_papers_values_on_the_right() -> None:
    figure = picture("batch-size", summaries(ABLATIONS["batch-size"].small))
    found = panels(figure)
    assert [axes.get_title() for axes in found] == [
        "This run\nlinear learning-rate scaling",
        "Paper: Figure 9 and Table B.1 (ImageNet)\nlinear learning-rate scaling",
        "This run\nsqrt learning-rate scaling",
        "Paper: Figure 9 and Table B.1 (ImageNet)\nsqrt learning-rate scaling",
    ]
    assert curves(found[1])["x 1/4"] == ([0, 1, 2], [62.8, 65.3, 67.2])
    assert curves(found[3])["x 2"] == ([0, 1, 2], [64.8, 67.0, 68.3])
    assert {tuple(tick_labels(axes, "x")) for axes in found} == {("x 1", "x 2", "x 4")}
    assert len({axes.get_xlim() for axes in found}) == 1
    spans = {round(axes.get_ylim()[1] - axes.get_ylim()[0], 6) for axes in found}
    assert len(spans) == 1, "a point of accuracy is not equally long everywhere"


def test_a_place_without_a_cell_does_not_break_the_line() -> None:
    cells = summaries(ABLATIONS["batch-size"].paper)
    sqrt = panels(picture("batch-size", cells, scale="paper"))[3]
    assert tick_labels(sqrt, "x") == [str(epochs) for epochs in (*range(100, 1001, 100), 3200)]
    assert curves(sqrt)["256"] == ([0, 1, 3, 7], [62.8, 64.3, 65.7, 66.5])


def test_a_cell_without_a_value_breaks_the_line_and_is_marked() -> None:
    gaps: dict[tuple[str, ...], str] = {
        ("x 1/4", "x 2", "linear"): "failed",
        ("x 2", "x 4", "linear"): "missing",
    }
    figure = picture("batch-size", summaries(ABLATIONS["batch-size"].small, gaps=gaps))
    run, paper, run_sqrt, _ = panels(figure)
    assert [math.isnan(value) for value in curves(run)["x 1/4"][1]] == [False, True, False]
    assert [math.isnan(value) for value in curves(run)["x 2"][1]] == [False, False, True]
    assert (marks(run, "failed"), marks(run, "missing")) == ([1.0], [2.0])
    assert [marks(axes, gap) for axes in (paper, run_sqrt) for gap in ("failed", "missing")] == [
        []
    ] * 4
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "x 1/4",
        "x 1/2",
        "x 1",
        "x 2",
        "failed (above panel)",
        "missing (above panel)",
    ]
    assert "Failed: 1 of 24 cells, (x 1/4, x 2, linear)." in caption(figure)


def test_no_head_is_a_single_marker_at_the_width_of_h_and_depth_3_has_no_paper_line() -> None:
    run, paper = panels(picture("head", summaries(ABLATIONS["head"].small, seeds=1)))
    assert (
        tick_labels(run, "x") == tick_labels(paper, "x") == ["32", "64", "128", "256", "width of h"]
    )
    assert list(curves(run)) == ["none", "linear", "non-linear", "depth 3"]
    assert curves(run)["none"][0] == [9.0]
    assert curves(run)["linear"][0] == [5.0, 6.0, 7.0, 8.0]
    assert curves(paper)["none"] == ([9.0], [50.0])
    assert list(curves(paper)) == ["none", "linear", "non-linear"]


def test_no_two_lines_share_colour_marker_and_dash() -> None:
    run = panels(picture("batch-size", summaries(ABLATIONS["batch-size"].paper), scale="paper"))[0]
    lines = [bars.lines[0] for bars in run.containers if isinstance(bars, ErrorbarContainer)]
    assert len(lines) == 6
    assert (
        len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 6
    )


# Rows ---------------------------------------------------------------------------------------------


def test_rows_have_their_number_from_the_top_and_a_word_where_there_is_none() -> None:
    cells = summaries(ABLATIONS["temperature"].small, gaps={("no, 10",): "failed"})
    figure = picture("temperature", cells)
    run, paper = panels(figure)
    labels = ["yes, 0.05", "yes, 0.1", "yes, 0.5", "yes, 1", "no, 10", "no, 100"]
    assert tick_labels(run, "y") == labels
    assert run.get_ylim() == paper.get_ylim() == (5.5, -0.7), "the first row is not at the top"
    expected = ["failed" if cell.mean is None else f"{cell.mean:.1f}" for cell in cells]
    assert [text.get_text() for text in run.texts] == expected
    assert [text.get_text() for text in paper.texts] == [
        "59.7",
        "64.4",
        "60.7",
        "58.0",
        "57.2",
        "57.0",
    ]
    (dots,) = [line for line in paper.lines if list(np.asarray(line.get_xdata())) == [64.4]]
    assert list(np.asarray(dots.get_ydata())) == [1]
    assert np.diff(run.get_xlim()) == pytest.approx(np.diff(paper.get_xlim()))


# A prediction drawn in ----------------------------------------------------------------------------

SIMCLR, DIRECT = "SimCLR pre-training", "direct"


def legend_texts(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def prediction(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    """Where the line of that label runs, without what lies outside of the cells."""
    (line,) = [line for line in axes.lines if str(line.get_label()).startswith(label)]
    x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    seen = np.isfinite(x) & np.isfinite(y)
    return x[seen].tolist(), y[seen].tolist()


def with_uncounted(
    cells: list[Summary], at: tuple[str, ...], lost: int, *, left: int
) -> list[Summary]:
    return [
        replace(cell, values=cell.values[:left], against=cell.against[:left], uncounted=lost)
        if cell.at == at
        else cell
        for cell in cells
    ]


def test_maps_have_every_mean_in_its_place_and_one_scale_of_colour() -> None:
    cells = {cell.at: cell for cell in summaries(ABLATIONS["label-complexity"].small)}
    figure = picture("label-complexity", list(cells.values()), reference=None)
    found = panels(figure)
    assert [axes.get_title() for axes in found] == [
        "training: SimCLR pre-training",
        "training: direct",
    ]
    rows, columns = ("0.1", "0.15", "0.2", "0.3", "0.4"), [str(2**power) for power in range(1, 11)]
    for axes, arm in zip(found, (SIMCLR, DIRECT), strict=True):
        written = cell_texts(axes)
        for (row, ratio), (column, count) in itertools.product(enumerate(rows), enumerate(columns)):
            assert written[row, column] == f"{cells[ratio, count, arm].mean:.1f}"
        assert axes.get_ylim() == (-0.5, 4.5), "the signal-to-noise ratio does not grow upwards"
    assert len([axes for axes in figure.axes if axes.get_label() == "<colorbar>"]) == 1
    assert len({(image.norm.vmin, image.norm.vmax) for axes in found for image in axes.images}) == 1
    assert "sample sd: median" in caption(figure)


def test_the_predicted_threshold_runs_between_the_cells_that_it_separates() -> None:
    """2 / SNR^3 labels are at column log2(2 / SNR^3) - 1, as column 0 has 2 labels.

    Rows are spaced unevenly.
    """
    figure = picture(
        "label-complexity", summaries(ABLATIONS["label-complexity"].small), reference=None
    )
    pretrained, direct = panels(figure)
    x, y = prediction(direct, "2 / SNR^3")
    for row, ratio in enumerate((0.15, 0.2, 0.3, 0.4), start=1):
        nearest = int(np.argmin(np.abs(np.array(y) - row)))
        assert x[nearest] == pytest.approx(math.log2(2 / ratio**3) - 1, abs=0.02)
    # the middle of rows 2 and 3, whose steps are wider than those of rows 1 and 2
    between = math.sqrt(0.2 * 0.3)
    assert np.interp(2.5, y, x) == pytest.approx(math.log2(2 / between**3) - 1, abs=0.02)
    assert direct.get_xlim() == (-0.5, 9.5)
    assert not [line for line in pretrained.lines if "SNR" in str(line.get_label())]
    assert [text for text in legend_texts(figure) if text.startswith("2 / SNR^3")]


@pytest.mark.parametrize("upwards", [("1", "4", "16"), ("16", "4", "1")])
def test_a_prediction_meets_the_centres_of_rows_in_either_order_and_ends_at_the_border(
    upwards: tuple[str, ...],
) -> None:
    shown = {"1": 0.0, "4": 1.0, "16": 2.0}
    x, y = path_between_cells(
        Overlay(label="x = y", points=((1e-3, 1e-3), (1e3, 1e3))),
        Axis(name="across", labels=tuple(shown)),
        Axis(name="up", labels=upwards),
    )
    inside = np.isfinite(x)
    assert (x[inside].min(), x[inside].max()) == pytest.approx((-0.5, 2.5), abs=0.02)
    rises = upwards[0] == "1"
    assert y[inside] == pytest.approx(x[inside] if rises else 2 - x[inside])


def test_a_prediction_along_words_is_refused_and_one_along_zero_is_not_logarithmic() -> None:
    line, up = Overlay(label="half", points=((0, 1), (1, 2))), Axis(name="up", labels=("1", "2"))
    x, y = path_between_cells(line, Axis(name="correlation", labels=("0", "0.5", "1")), up)
    assert (x[0], x[-1], y[0], y[-1]) == (0, 2, 0, 1)
    with pytest.raises(ValueError, match="'a', 'b'"):
        path_between_cells(line, Axis(name="words", labels=("a", "b")), up)


def test_maps_mark_cells_of_which_runs_do_not_count_and_the_caption_says_how_many() -> None:
    cells = summaries(
        ABLATIONS["label-complexity"].small, seeds=3, gaps={("0.1", "8", SIMCLR): "failed"}
    )
    cells = with_uncounted(cells, ("0.2", "4", DIRECT), 1, left=2)
    cells = with_uncounted(cells, ("0.4", "2", SIMCLR), 3, left=0)
    figure = picture("label-complexity", cells, reference=None)
    pretrained, direct = panels(figure)
    dots = [
        line for axes in (pretrained, direct) for line in axes.lines if line.get_gid() == "partial"
    ]
    assert [
        (round(float(x)), round(float(y))) for (x,), (y,) in (dot.get_data() for dot in dots)
    ] == [(1, 2)]
    assert dots[0] in direct.lines
    written = cell_texts(pretrained)
    assert (written[0, 2], written[4, 0]) == ("failed", "none")
    assert [patch.get_hatch() for patch in pretrained.patches] == ["///"] * 2
    expected = (
        "Left out, as converged is not 1: 4 of 297 runs, in 2 of 100 cells (dot; hatched: "
        "none is left): "
        "(0.2, 4, direct) 1 of 3, (0.4, 2, SimCLR pre-training) 3 of 3."
    )
    assert expected in caption(figure)
    assert "n = 2 to 3 seeds a cell (fewer than asked in 1 of 100 cells)" in caption(figure)
    assert "Failed: 1 of 100 cells, (0.1, 8, SimCLR pre-training)." in caption(figure)
    assert "Left out" not in caption(
        picture("label-complexity", summaries(ABLATIONS["label-complexity"].small))
    )


def test_cells_of_which_runs_were_lost_are_marked_and_named() -> None:
    layout = ABLATIONS["augmentations"].small
    cells = [
        replace(
            cell, values=cell.values[:2], against=(), failed=2, lost={1: "diverged", 3: "failed"}
        )
        if cell.at == ("color", "sobel")
        else cell
        for cell in summaries(layout, seeds=4)
    ]
    figure = picture("augmentations", cells)
    ours, _ = panels(figure)
    (dot,) = (line for line in ours.lines if line.get_gid() == "partial")
    ((x,), (y,)) = dot.get_data()
    assert (round(float(x)), round(float(y))) == (3, 2)
    expected = "Lost runs, in 1 of 49 cells (dot): (color, sobel) 1 diverged and 1 failed of 4."
    assert expected in caption(figure)
    assert "Lost" not in caption(picture("augmentations", summaries(layout, seeds=4)))


def test_points_stand_at_both_metrics_with_bars_of_one_deviation() -> None:
    at = ("0.1", "250")
    cells = [
        Summary(at, (0.88, 0.92), 0, 0, None, 0, (2.0, 3.0)),
        Summary(("0.2", "250"), (0.97,), 0, 0, None, 2, (10.0,)),
    ]
    figure = picture("signal-to-noise", cells, reference=None)
    (axes,) = panels(figure)
    bars = {
        str(bar.get_label()): bar for bar in axes.containers if isinstance(bar, ErrorbarContainer)
    }
    dot, _, (across, upwards) = bars["0.1"].lines
    assert [float(np.asarray(value)[0]) for value in dot.get_data()] == pytest.approx([2.5, 0.9])
    ends = [np.asarray(line.get_paths()[0].vertices) for line in (across, upwards)]
    assert ends[0][:, 0] == pytest.approx([2.5 - math.sqrt(0.5), 2.5 + math.sqrt(0.5)])
    assert ends[1][:, 1] == pytest.approx([0.9 - 0.04 / math.sqrt(2), 0.9 + 0.04 / math.sqrt(2)])
    assert (dot.get_gid(), bars["0.2"].lines[0].get_gid()) == (None, "partial")
    assert bars["0.2"].lines[0].get_markerfacecolor() == "white"
    assert dot.get_marker() != bars["0.2"].lines[0].get_marker()
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "n₀ SNR²",
        "alignment of filters with the signal (cosine)",
    )
    assert "(hollow): (0.2, 250) 2 of 3." in caption(figure)
    assert "Missing: 26 of 28 cells" in caption(figure)


def test_the_predicted_curve_lies_over_the_points_in_their_own_numbers() -> None:
    cells = [Summary(("0.2", "250"), (0.97, 0.98), 0, 0, None, 0, (10.0, 10.0))]
    figure = picture("signal-to-noise", cells, reference=None)
    (axes,) = panels(figure)
    x, y = prediction(axes, "(1 + 1 / (2 n0 SNR^2))")
    assert np.interp(10.0, x, y) == pytest.approx(1 / math.sqrt(1.05))
    assert axes.get_ylim()[1] <= 1.02, "room for cosines that cannot be"
    labels = legend_texts(figure)
    assert labels[:7] == ["0.05", "0.07", "0.1", "0.15", "0.2", "0.3", "0.4"]
    assert labels[7].startswith("(1 + 1 / (2 n0")


def test_where_the_paper_has_no_number_there_is_one_side() -> None:
    figure = picture(
        "augmentation-quality", summaries(ABLATIONS["augmentation-quality"].small), reference=None
    )
    (axes,) = panels(figure)
    assert (axes.get_title(), axes.get_ylabel()) == (
        "",
        "alignment of filters with the signal (cosine)",
    )
    (crowded, *_) = panels(
        picture("total-budget", summaries(ABLATIONS["total-budget"].small), reference=None)
    )
    assert crowded.get_title() == "signal-to-noise ratio: 0.15"
    assert np.diff(crowded.get_xticks()) == pytest.approx(1.0), (
        "labels of 248 and 256 run into each other"
    )


def test_lines_mark_cells_of_which_no_run_counts_above_and_of_which_some_do_not_hollow() -> None:
    cells = summaries(ABLATIONS["unlabeled-data"].small, gaps={("0.2", "50"): "none counts"})
    figure = picture(
        "unlabeled-data", with_uncounted(cells, ("0.1", "100"), 1, left=1), reference=None
    )
    (axes,) = panels(figure)
    assert marks(axes, "none counts") == [pytest.approx(math.log2(50))]
    assert [round(x, 1) for x in marks(axes, "partial")] == [round(math.log2(100), 1)]
    assert "none counts (above panel)" in legend_texts(figure)


# What every figure says ---------------------------------------------------------------------------


def test_the_untrained_encoder_is_a_dashed_line_where_it_fits_and_in_words_elsewhere() -> None:
    cells = summaries(ABLATIONS["head"].small)
    near, far = Summary(("u",), (53.0,), 0, 0, None), Summary(("u",), (9.0,), 0, 0, None)

    def dashed(figure: Figure) -> list[float]:
        lines = [
            line
            for axes in panels(figure)
            for line in axes.lines
            if line.get_label() == "untrained"
        ]
        return [float(np.asarray(line.get_ydata())[0]) for line in lines]

    drawn, told = picture("head", cells, reference=near), picture("head", cells, reference=far)
    assert dashed(drawn) == [53.0]
    assert "Untrained encoder: 53.0 % (n = 1; dashed line)." in caption(drawn)
    assert dashed(told) == []
    assert "Untrained encoder: 9.0 % (n = 1; out of the panel's range)." in caption(told)
    assert "ntrained" not in caption(picture("head", cells, reference=None))


def test_the_caption_counts_seeds_and_says_what_the_bars_are() -> None:
    layout = ABLATIONS["temperature"].small
    assert ("n = 1 seed a cell, hence no spread.") in caption(
        picture("temperature", summaries(layout, seeds=1))
    )
    assert ("n = 3 seeds a cell, bars: sample sd.") in caption(
        picture("temperature", summaries(layout, seeds=3))
    )
    cells = summaries(layout, seeds=2)
    cells[0] = Summary(cells[0].at, (60.0,), 1, 0, cells[0].paper)
    expected = (
        "n = 1 to 2 seeds a cell (fewer than asked in 1 of 6 cells), bars: sample sd, none where "
        "n = 1."
    )
    assert expected in caption(picture("temperature", cells))


def test_the_caption_of_a_heat_map_gives_the_median_and_the_largest_spread() -> None:
    cells = [
        Summary(c.at, (40.0, 41.0), 0, 0, c.paper) for c in ABLATIONS["augmentations"].small.cells
    ]
    cells[5] = Summary(cells[5].at, (40.0, 44.0), 0, 0, cells[5].paper)
    expected = "n = 2 seeds a cell, sample sd: median 0.7, largest 2.8 points (crop, blur)."
    assert expected in caption(picture("augmentations", cells))


def test_title_subtitle_and_the_layouts_note_are_on_the_figure() -> None:
    ablation = ABLATIONS["batch-size"]
    figure = picture("batch-size", summaries(ablation.small))
    assert figure.get_suptitle() == f"{ablation.title}\npreset p, two CPU cores"
    assert ablation.small.note in caption(figure)


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_sweep_that_has_not_begun_shows_every_cell_as_missing(name: str) -> None:
    figure = picture(name, [], reference=None)
    count = len(ABLATIONS[name].small.cells)
    assert "No cell has a result yet." in caption(figure)
    assert f"Missing: {count} of {count} cells" in caption(figure)


def test_a_summary_of_no_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="'crop', 'flip'"):
        picture("augmentations", [Summary(("crop", "flip"), (50.0,), 0, 0, None)])


@pytest.mark.parametrize("scale", get_args(Scale))
@pytest.mark.parametrize("name", ABLATIONS)
def test_no_text_is_too_small_or_runs_into_another_or_off_the_page(name: str, scale: Scale) -> None:
    cells = ABLATIONS[name].layout(scale).cells
    words = (
        ["failed", "missing"]
        if ABLATIONS[name].counts_if is None
        else ["failed", "missing", "none counts"]
    )
    gaps = {cell.at: word for cell, word in zip(cells[3::5], itertools.cycle(words), strict=False)}
    figure = picture(
        name, summaries(ABLATIONS[name].layout(scale), seeds=3, gaps=gaps), scale=scale
    )
    figure.draw_without_rendering()
    texts = drawn_texts(figure)
    assert min(float(text.get_fontsize()) for text in texts) >= 8
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    titles = [box for text, box in boxes if text.startswith("This run")]
    marked = [
        mark for mark in figure.findobj(Line2D) if isinstance(mark, Line2D) and mark.get_gid()
    ]
    assert not any(mark.get_window_extent().overlaps(title) for mark in marked for title in titles)
    width, height = figure.bbox.size
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        assert apart, f"{one!r} runs into {other!r}"


# Training curves ----------------------------------------------------------------------------------


def history(
    phase: int, steps: list[int], losses: list[float], start: int = 0
) -> list[dict[str, float]]:
    points = zip(steps, losses, strict=True)
    return [
        {"epoch": start + step, "phase": phase, "loss": loss, "alignment": 0.5}
        for step, loss in points
    ]


def curves_of(
    name: str, histories: Mapping[tuple[str, ...], list[list[dict[str, float]]]]
) -> Figure | None:
    return draw_curves(ABLATIONS[name], ABLATIONS[name].small, histories, subtitle="preset p")


def test_curves_are_medians_in_a_range_and_a_run_that_has_stopped_keeps_its_last_value() -> None:
    at = ("0.1", "0.5")
    runs = [
        history(0, [0, 20], [5.0, 4.0]) + history(1, [0, 20, 30], [0.7, 0.6, 0.5], start=21),
        history(0, [0, 20], [5.0, 4.4]) + history(1, [0, 10], [0.7, 0.1], start=21),
        history(0, [0, 20], [5.0, 4.8]) + history(1, [0, 30], [0.7, 0.4], start=21),
    ]
    figure = curves_of("augmentation-quality", {at: runs})
    assert figure is not None
    before, after, *_ = panels(figure)
    assert [axes.get_title() for axes in (before, after)] == ["Pre-training", "Fine-tuning"]
    assert np.asarray(before.lines[0].get_xydata()).tolist() == [[0, 5.0], [20, 4.4]]
    # At 20: 0.6, the last value 0.1, and 0.5 on the way from 0.7 to 0.4.
    assert dict(np.asarray(after.lines[0].get_xydata()).tolist()) == pytest.approx(
        {0: 0.7, 10: 0.6, 20: 0.5, 30: 0.4}
    )
    band = np.asarray(after.collections[0].get_paths()[0].vertices)
    assert band[band[:, 0] == 20][:, 1].tolist() == pytest.approx([0.1, 0.6])
    assert [axes.get_ylabel() for axes in panels(figure)][::2] == [
        "training loss (nats)",
        "alignment of filters with\nthe signal (cosine)",
    ]
    assert "n = 3 seeds a cell: line, median; band, lowest to highest." in caption(figure)
    assert "1 of 10 cells shown." in caption(figure)


def test_a_phase_without_a_course_has_no_panel_and_a_loss_that_falls_far_is_logarithmic() -> None:
    at = ("0.1", "0")
    figure = curves_of(
        "augmentation-quality",
        {at: [history(0, [0, 20], [5.0, 0.01]) + history(1, [0], [0.7], start=21)]},
    )
    assert figure is not None
    assert [axes.get_title() for axes in panels(figure)] == ["Pre-training", ""]
    assert panels(figure)[0].get_yscale() == "log"
    assert curves_of("augmentation-quality", {at: [history(1, [0], [0.7])]}) is None
    assert curves_of("augmentation-quality", {}) is None


def test_a_large_study_has_curves_of_six_cells_and_a_large_sweep_of_simclr_has_none() -> None:
    expected = {("0.2", count, arm) for count in ("2", "32", "1024") for arm in (SIMCLR, DIRECT)}
    assert set(chosen_cells(ABLATIONS["label-complexity"].small)) == expected
    epochs = [{"epoch": 1.0, "loss": 5.0}, {"epoch": 2.0, "loss": 4.0}]
    assert (
        curves_of(
            "augmentations", {cell.at: [epochs] for cell in ABLATIONS["augmentations"].small.cells}
        )
        is None
    )
    figure = curves_of(
        "temperature", {cell.at: [epochs] for cell in ABLATIONS["temperature"].small.cells}
    )
    assert figure is not None
    (axes,) = panels(figure)
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 5], [2, 4]]] * 6
    assert legend_texts(figure) == [cell.at[0] for cell in ABLATIONS["temperature"].small.cells]


# Files --------------------------------------------------------------------------------------------


def test_png_and_svg_are_written_and_equal_figures_give_equal_files(tmp_path: Path) -> None:
    cells = summaries(ABLATIONS["temperature"].small, gaps={("no, 10",): "missing"})
    first = save(picture("temperature", cells), tmp_path / "new" / "folder", "temperature")
    again = save(picture("temperature", cells), tmp_path / "again", "temperature")
    assert [path.name for path in first] == ["temperature.png", "temperature.svg"]
    png, svg = (path.read_bytes() for path in first)
    assert png.startswith(b"\x89PNG")
    assert len(png) > 5000
    assert b"</svg>" in svg
    assert b"<dc:date>" not in svg
    assert [path.read_bytes() for path in again] == [png, svg]


def test_drawing_needs_no_window_system(repository: Path) -> None:
    script = (
        "import sys, orchestrator.report.figures.ablation; print('matplotlib.pyplot' in "
        "sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
