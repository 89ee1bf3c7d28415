"""The learning rate of a run by step, with its warm-up, and the sizes of its views."""

import matplotlib
from matplotlib.figure import Figure

from orchestrator.report.figures.style import (
    COLORS,
    DARK_GREY,
    RC_PARAMETERS,
    SMALLEST,
    add_grid,
    wrapped,
)
from workloads.shown import ScheduleShown

__all__ = ["draw_schedule"]


def draw_schedule(shown: ScheduleShown, title: str) -> Figure:
    """Draw the learning rate over the steps, epochs above, the size of the views if it changes."""
    with matplotlib.rc_context(RC_PARAMETERS):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(shown.steps, shown.rates, color=COLORS[0], linewidth=1.6)
        axes.set_xlim(0, shown.total_steps)
        axes.set_ylim(0, 1.12 * max(shown.rates))
        axes.set_xlabel(f"step, {shown.batch_size:,} images each")
        axes.set_ylabel(f"learning rate of {shown.optimizer}")
        add_grid(axes)
        if shown.warmup_steps:
            axes.axvspan(0, shown.warmup_steps, color=COLORS[4], alpha=0.15, linewidth=0)
            axes.text(
                shown.warmup_steps, 1.1 * max(shown.rates), " warm-up ends", va="top",
                fontsize=SMALLEST, color=DARK_GREY,
            )  # fmt: skip
        above = axes.twiny()
        above.set_xlim(0, shown.epochs)
        above.set_xlabel("epoch")
        above.spines["top"].set_visible(True)
        if len(shown.sides) > 1:
            for step, side in shown.sides:
                axes.axvline(step, color=DARK_GREY, linewidth=0.8, linestyle=":")
                axes.text(
                    step, 0.03 * max(shown.rates), f" {side} px", fontsize=SMALLEST,
                    color=DARK_GREY,
                )  # fmt: skip
        figure.suptitle(wrapped([title], figure, points=10), fontsize=10)
    return figure
