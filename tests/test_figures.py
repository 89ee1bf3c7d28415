"""One process: figures are drawn in memory and asked what they show. One test starts a Python process."""

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

import orchestrator.figures
from orchestrator.figures import Summary, draw, save
from search_spaces import ABLATIONS, Layout
from search_spaces.ablation import Scale

OPERATIONS = ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
UNTRAINED = Summary(("untrained",), (20.0, 22.0), 0, 0, None)


def summaries(layout: Layout, *, seeds: int = 2, gaps: Mapping[tuple[str, ...], str] | None = None) -> list[Summary]:
    """A made-up value for every cell and seed, and none for the cells in `gaps`."""
    numbers = random.Random(0)
    found: list[Summary] = []
    for cell in layout.cells:
        gap = (gaps or {}).get(cell.at)
        base = 0.9 * (cell.paper or 60.0) + 10
        values = () if gap else tuple(base + numbers.gauss(0, 0.8) for _ in range(seeds))
        failed, missing = (seeds if gap == "failed" else 0), (seeds if gap == "missing" else 0)
        found.append(Summary(cell.at, values, failed, missing, cell.paper))
    return found


def picture(name: str, cells: list[Summary], *, scale: Scale = "small", reference: Summary | None = UNTRAINED) -> Figure:
    ablation = ABLATIONS[name]
    return draw(ablation, ablation.layout(scale), cells, reference=reference, subtitle="preset p, two CPU cores")


def panels(figure: Figure) -> list[Axes]:
    """The panels without the colour bars, left to right and top to bottom."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def caption(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def cell_texts(axes: Axes) -> dict[tuple[int, int], str]:
    """What is written in each cell of a heat map, by row and column."""
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}


def curves(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """The places and values of each line of a panel."""
    found = {}
    for bars in axes.containers:
        assert isinstance(bars, ErrorbarContainer)
        x, y = bars.lines[0].get_data()
        found[str(bars.get_label())] = ([float(v) for v in np.asarray(x)], [float(v) for v in np.asarray(y)])
    return found


def marks(axes: Axes, gap: str) -> list[float]:
    """Where a panel marks cells that are `gap`."""
    lines = [artist for artist in axes.get_children() if isinstance(artist, Line2D) and artist.get_gid() == gap]
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


# Numbers of a cell ----------------------------------------------------------------------------------------------------


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


# Heat map -------------------------------------------------------------------------------------------------------------


def test_a_heat_map_writes_the_means_in_their_places_and_the_papers_beside_them() -> None:
    cells = summaries(ABLATIONS["augmentations"].small)
    run, paper = panels(picture("augmentations", cells))
    written, papers = cell_texts(run), cell_texts(paper)
    for cell in cells:
        place = OPERATIONS.index(cell.at[0]), OPERATIONS.index(cell.at[1])
        assert written[place] == f"{cell.mean:.1f}"
        assert papers[place] == f"{cell.paper:.1f}"
    assert (papers[0, 2], papers[2, 0], papers[4, 2]) == ("56.3", "55.8", "7.5")
    assert [papers[row, 7] for row in range(4)] == ["39.2", "29.4", "25.7", "18.8"]
    assert written[6, 7] == f"{sum(cell.mean or 0 for cell in cells[-7:]) / 7:.1f}"
    assert len(written) == len(papers) == 7 * 8


def test_both_heat_maps_have_the_papers_order_and_the_same_limits() -> None:
    run, paper = panels(picture("augmentations", summaries(ABLATIONS["augmentations"].small)))
    for axes in (run, paper):
        assert tick_labels(axes, "x") == [*OPERATIONS, "Average"]
        assert tick_labels(axes, "y") == OPERATIONS
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("2nd transformation", "1st transformation")
    assert (run.get_xlim(), run.get_ylim()) == (paper.get_xlim(), paper.get_ylim())
    assert run.get_ylim() == (6.5, -0.5), "the first row is not at the top"


def test_a_heat_map_says_which_cells_failed_or_are_missing_and_averages_no_broken_row() -> None:
    cells = summaries(ABLATIONS["augmentations"].small, gaps={("crop", "noise"): "failed", ("color", "crop"): "missing"})
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
    assert [axes.get_ylabel() for axes in bars] == ["linear evaluation top-1 (%)"] * 2
    assert "Untrained encoder: 21.0 ± 1.4 % (n = 2; dashed on the colour bar)." in caption(figure)


# Lines ----------------------------------------------------------------------------------------------------------------


def test_lines_go_through_the_means_with_bars_of_one_deviation() -> None:
    cells = {cell.at: cell for cell in summaries(ABLATIONS["batch-size"].small, seeds=3)}
    run = panels(picture("batch-size", list(cells.values())))[0]
    assert list(curves(run)) == ["x 1/4", "x 1/2", "x 1", "x 2"]
    for bars in run.containers:
        assert isinstance(bars, ErrorbarContainer)
        expected = [cells[str(bars.get_label()), length, "linear"] for length in ("x 1", "x 2", "x 4")]
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
    assert tick_labels(sqrt, "x") == [str(epochs) for epochs in range(100, 1001, 100)]
    assert curves(sqrt)["256"] == ([0, 1, 3, 7], [62.8, 64.3, 65.7, 66.5])


def test_a_cell_without_a_value_breaks_the_line_and_is_marked() -> None:
    gaps: dict[tuple[str, ...], str] = {("x 1/4", "x 2", "linear"): "failed", ("x 2", "x 4", "linear"): "missing"}
    figure = picture("batch-size", summaries(ABLATIONS["batch-size"].small, gaps=gaps))
    run, paper, run_sqrt, _ = panels(figure)
    assert [math.isnan(value) for value in curves(run)["x 1/4"][1]] == [False, True, False]
    assert [math.isnan(value) for value in curves(run)["x 2"][1]] == [False, False, True]
    assert (marks(run, "failed"), marks(run, "missing")) == ([1.0], [2.0])
    assert [marks(axes, gap) for axes in (paper, run_sqrt) for gap in ("failed", "missing")] == [[]] * 4
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["x 1/4", "x 1/2", "x 1", "x 2", "failed (above panel)", "missing (above panel)"]
    assert "Failed: 1 of 24 cells, (x 1/4, x 2, linear)." in caption(figure)


def test_no_head_is_a_single_marker_at_the_width_of_h_and_depth_3_has_no_paper_line() -> None:
    run, paper = panels(picture("head", summaries(ABLATIONS["head"].small, seeds=1)))
    assert tick_labels(run, "x") == tick_labels(paper, "x") == ["32", "64", "128", "256", "width of h"]
    assert list(curves(run)) == ["none", "linear", "non-linear", "depth 3"]
    assert curves(run)["none"][0] == [9.0]
    assert curves(run)["linear"][0] == [5.0, 6.0, 7.0, 8.0]
    assert curves(paper)["none"] == ([9.0], [50.0])
    assert list(curves(paper)) == ["none", "linear", "non-linear"]


def test_no_two_lines_share_colour_marker_and_dash() -> None:
    run = panels(picture("batch-size", summaries(ABLATIONS["batch-size"].paper), scale="paper"))[0]
    lines = [bars.lines[0] for bars in run.containers if isinstance(bars, ErrorbarContainer)]
    assert len(lines) == 6
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 6


# Rows -----------------------------------------------------------------------------------------------------------------


def test_rows_have_their_number_from_the_top_and_a_word_where_there_is_none() -> None:
    cells = summaries(ABLATIONS["temperature"].small, gaps={("no, 10",): "failed"})
    figure = picture("temperature", cells)
    run, paper = panels(figure)
    labels = ["yes, 0.05", "yes, 0.1", "yes, 0.5", "yes, 1", "no, 10", "no, 100"]
    assert tick_labels(run, "y") == labels
    assert run.get_ylim() == paper.get_ylim() == (5.5, -0.7), "the first row is not at the top"
    expected = ["failed" if cell.mean is None else f"{cell.mean:.1f}" for cell in cells]
    assert [text.get_text() for text in run.texts] == expected
    assert [text.get_text() for text in paper.texts] == ["59.7", "64.4", "60.7", "58.0", "57.2", "57.0"]
    (dots,) = [line for line in paper.lines if list(np.asarray(line.get_xdata())) == [64.4]]
    assert list(np.asarray(dots.get_ydata())) == [1]
    assert np.diff(run.get_xlim()) == pytest.approx(np.diff(paper.get_xlim()))


# What every figure says -----------------------------------------------------------------------------------------------


def test_the_untrained_encoder_is_a_dashed_line_where_it_fits_and_in_words_where_it_does_not() -> None:
    cells = summaries(ABLATIONS["head"].small)
    near, far = Summary(("u",), (53.0,), 0, 0, None), Summary(("u",), (9.0,), 0, 0, None)

    def dashed(figure: Figure) -> list[float]:
        lines = [line for axes in panels(figure) for line in axes.lines if line.get_label() == "untrained"]
        return [float(np.asarray(line.get_ydata())[0]) for line in lines]

    drawn, told = picture("head", cells, reference=near), picture("head", cells, reference=far)
    assert dashed(drawn) == [53.0]
    assert "Untrained encoder: 53.0 % (n = 1; dashed line)." in caption(drawn)
    assert dashed(told) == []
    assert "Untrained encoder: 9.0 % (n = 1; out of the panel's range)." in caption(told)
    assert "ntrained" not in caption(picture("head", cells, reference=None))


def test_the_caption_counts_seeds_and_says_what_the_bars_are() -> None:
    layout = ABLATIONS["temperature"].small
    assert "n = 1 seed a cell, hence no spread." in caption(picture("temperature", summaries(layout, seeds=1)))
    assert "n = 3 seeds a cell, bars: sample sd." in caption(picture("temperature", summaries(layout, seeds=3)))
    cells = summaries(layout, seeds=2)
    cells[0] = Summary(cells[0].at, (60.0,), 1, 0, cells[0].paper)
    expected = "n = 1 to 2 seeds a cell (fewer than asked in 1 of 6 cells), bars: sample sd, none where n = 1."
    assert expected in caption(picture("temperature", cells))


def test_the_caption_of_a_heat_map_gives_the_median_and_the_largest_spread() -> None:
    cells = [Summary(c.at, (40.0, 41.0), 0, 0, c.paper) for c in ABLATIONS["augmentations"].small.cells]
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
    gaps = {cell.at: word for cell, word in zip(cells[3::5], itertools.cycle(["failed", "missing"]), strict=False)}
    figure = picture(name, summaries(ABLATIONS[name].layout(scale), seeds=3, gaps=gaps), scale=scale)
    figure.draw_without_rendering()
    texts = drawn_texts(figure)
    assert min(float(text.get_fontsize()) for text in texts) >= 8
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    titles = [box for text, box in boxes if text.startswith("This run")]
    marked = [mark for mark in figure.findobj(Line2D) if isinstance(mark, Line2D) and mark.get_gid()]
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


# Files ----------------------------------------------------------------------------------------------------------------


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


def test_drawing_needs_no_window_system() -> None:
    script = "import sys, orchestrator.figures; print('matplotlib.pyplot' in sys.modules)"
    root = Path(orchestrator.figures.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
