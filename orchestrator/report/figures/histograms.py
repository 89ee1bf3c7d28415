"""Figure 6: the pixel intensities of crops of an image, without and with color distortion."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.figures.style import (
    COLORS,
    DARK_GREY,
    RC_PARAMETERS,
    SMALLEST,
    wrapped,
)
from workloads.shown import CropHistograms

__all__ = ["TITLES", "draw_histograms"]

TITLES = ("without color distortion", "with color distortion")
CELL = 1.05  # inches, of a crop or its histogram


def draw_histograms(shown: CropHistograms) -> Figure:
    """Draw for each image its crops and their histograms, first without, then with distortion.

    Of one image all histograms have one scale, so that they can be compared by eye.
    """
    images, crops = shown.histograms.shape[:2]
    rows = 2 * images
    with matplotlib.rc_context(RC_PARAMETERS):
        figure = Figure(figsize=(CELL * (2 * crops + 1) + 0.4, CELL * rows + 1.1))
        figure.set_layout_engine("constrained")
        grid = figure.subplots(rows, 2 * crops + 1, squeeze=False)
        for image in range(images):
            # saturated values would make all the others invisible
            highest = float(shown.histograms[image, ..., 1:-1].max())
            for way in range(2):
                of_way = COLORS[0] if way == 0 else COLORS[1]
                row = grid[2 * image + way]
                _picture(row[0], shown.originals[image] if way == 0 else None)
                for crop in range(crops):
                    first = row[1 + 2 * crop]
                    _picture(first, shown.crops[image, crop, way])
                    if crop == 0:
                        first.set_ylabel(
                            TITLES[way].replace(" color", "\ncolor"), fontsize=SMALLEST
                        )
                    shares = shown.histograms[image, crop, way]
                    _bars(
                        row[2 + 2 * crop],
                        shares,
                        highest,
                        of_way,
                        is_last=2 * image + way == rows - 1,
                    )
            grid[2 * image][0].set_title(f"image {image + 1}", fontsize=SMALLEST)
        for crop in range(crops):
            grid[0][1 + 2 * crop].set_title(f"crop {crop + 1}", fontsize=SMALLEST)
        text = wrapped([_caption(shown)], figure, points=SMALLEST)
        figure.supxlabel(text, fontsize=SMALLEST, color=DARK_GREY, x=0.01, ha="left")
    return figure


def _picture(axes: Axes, pixels: object) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if pixels is not None:
        axes.imshow(np.asarray(pixels), interpolation="nearest", aspect="equal")


def _bars(
    axes: Axes, shares: "np.ndarray[tuple[int], np.dtype[np.float64]]", highest: float, color: str,
    *, is_last: bool,
) -> None:  # fmt: skip
    edges = np.linspace(0, 1, len(shares) + 1)
    axes.stairs(shares, edges, fill=True, color=color)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.05 * highest)
    axes.set_yticks([])
    axes.set_xticks([0, 1], ["0", "1"] if is_last else ["", ""], fontsize=SMALLEST)
    if is_last:
        axes.set_xlabel("intensity", fontsize=SMALLEST, labelpad=-6)


def _caption(shown: CropHistograms) -> str:
    without, with_ = (f"{100 * share:.1f} %" for share in shown.matched)
    return (
        f"{shown.data}, training images, seed {shown.seed}; the same crops in both rows, "
        f"distortion of strength {shown.strength:g}. Bars: share of the pixel values of all "
        "channels, one scale an image, those of 0 and 1 cut off. By the colours of two of its "
        f"crops alone, {without} of {shown.among} images were told from the others without "
        f"distortion, {with_} with it (chance {100 / shown.among:.1f} %)."
    )
