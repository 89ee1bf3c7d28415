"""What several kinds of panels mark: cells without a value, cells that lack runs, the untrained."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from orchestrator.report.figures.sides import Side
from orchestrator.report.figures.style import DARK_GREY, GREY, SMALLEST

__all__ = ["hatch", "mark_no_gain", "mark_partial", "mark_reference", "reference_line"]


def hatch(axes: Axes, box: tuple[float, float, float, float], text: str) -> None:
    """Draw a grey hatched box (left, bottom, width, height) that says why it holds no value."""
    left, bottom, width, height = box
    axes.add_patch(
        Rectangle((left, bottom), width, height, facecolor=GREY, edgecolor="#8c8c8c", hatch="///")
    )
    plate = {"facecolor": GREY, "edgecolor": "none", "pad": 1}
    axes.text(
        left + width / 2,
        bottom + height / 2,
        text,
        ha="center",
        va="center",
        fontsize=SMALLEST,
        bbox=plate,
    )


def mark_partial(axes: Axes, x: float, y: float) -> None:
    """Draw the dot in a cell of which some runs were lost: they failed, or do not count."""
    axes.plot(
        x,
        y,
        "o",
        markersize=4,
        color="white",
        markeredgecolor="black",
        markeredgewidth=0.7,
        gid="partial",
        zorder=4,
    )


def mark_no_gain(axes: Axes, x: float, y: float, color: str) -> None:
    """Draw the bar under the number of a cell that is not above the untrained encoder."""
    axes.plot((x - 0.18, x + 0.18), (y, y), color=color, linewidth=1.2, gid="no-gain")


def mark_reference(bar: Axes, reference: float | None) -> None:
    """Draw the untrained encoder on a colour bar, if there is one."""
    if reference is not None:
        bar.axhline(reference, color="white", linewidth=3)
        bar.axhline(reference, color="black", linewidth=1.5, linestyle="--")


def reference_line(
    axes: Axes, side: Side, window: tuple[float, float], *, across: bool = True
) -> None:
    """Draw the untrained encoder as a dashed line, where it is in the window."""
    if side.reference is not None and window[0] <= side.reference <= window[1]:
        line = axes.axhline if across else axes.axvline
        line(
            side.reference,
            color=DARK_GREY,
            linestyle=(0, (5, 3)),
            linewidth=1.2,
            zorder=1.2,
            label="untrained",
        )
