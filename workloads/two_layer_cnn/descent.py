"""Gradient descent of several runs at once, each of which stops at a step of its own.

Then it changes no more.

Legend: B runs, A of them still moving, R filters of a run, K patches, d length of a patch.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workloads.two_layer_cnn.span import Span

__all__ = ["Curve", "Descended", "NotFiniteError", "descend"]

REPORT_EVERY = 20  # steps between points of a curve
REPORT_EVERY_AT_FIRST = 4  # in the first hundred, within which pre-training ends

Curve = dict[str, list[float]]
# From activations [A, R, K] and the indices of the moving runs [A]: loss [A] and learning rate
# times gradient [A, R, K].
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
# From the span and the losses [A]: which runs have arrived [A].
Arrival = Callable[[Span, Tensor], Tensor]
# Given the span and the number of a step, gives it the patches of that step.
Renewal = Callable[[Span, int], None]


class NotFiniteError(RuntimeError):
    """The loss of a run became infinite or undefined; a smaller learning rate may help."""

    def __init__(self, run: int, step: int) -> None:
        super().__init__(run, step)
        self.run, self.step = run, step

    def __str__(self) -> str:
        return f"the loss of run {self.run} is not finite at step {self.step}"


@dataclass
class Descended:
    """The ends of B runs: filters [B, R, d], steps taken, whether each arrived, and curves.

    A curve has the lists `step`, `loss`, `alignment` (mean |cos(w_r, mu)|) and `norm` (mean
    ||w_r||), the last point included.
    """

    filters: Tensor
    steps: list[int]
    arrived: list[bool]
    curves: list[Curve]


def descend(
    span: Span,
    objective: Objective,
    arrival: Arrival,
    direction: Tensor,
    *,
    max_steps: int,
    renewal: Renewal | None = None,
    resume: dict[str, Any] | None = None,
) -> Generator[dict[str, Any], None, Descended]:
    """Step until every run has arrived or taken `max_steps`.

    `renewal` is called before each step. Yields a state now and then, and returns where the runs
    ended. `resume` is a state that an equal
    descent yielded; the rest is then as if nothing had happened. Raises NotFiniteError.
    """
    count = len(span.runs)
    ended = Descended(
        span.filters(), [0] * count, [False] * count, [_empty_curve() for _ in range(count)]
    )
    step = _restore(span, ended, resume) if resume else 0

    while len(span.runs):
        if renewal is not None:
            renewal(span, step)
        loss, change = objective(span.activations, span.runs)
        arrived = arrival(span, loss)
        stop = arrived if step < max_steps else torch.ones_like(arrived)

        if _reported(step) or bool(stop.any()):
            _observe(span, ended.curves, step, loss, direction, stop | _reported(step))
        if bool(stop.any()):
            _end(span, ended, step, arrived, stop)
            change = change[~stop]

        if len(span.runs):
            span.descend(change)
            step += 1
            if _reported(step):
                yield _state(span, ended, step)
    return ended


def _reported(step: int) -> bool:
    return step % (REPORT_EVERY_AT_FIRST if step < 100 else REPORT_EVERY) == 0


def _empty_curve() -> Curve:
    return {"step": [], "loss": [], "alignment": [], "norm": []}


def _observe(
    span: Span, curves: list[Curve], step: int, loss: Tensor, direction: Tensor, which: Tensor
) -> None:
    norms = span.norms()
    alignment = (span.along(direction).abs() / norms).mean(1)
    seen = torch.stack([loss, alignment, norms.mean(1)], 1)[which].tolist()

    for run, values in zip(span.runs[which].tolist(), seen, strict=True):
        if not all(map(_is_finite, values)):
            raise NotFiniteError(run, step)
        for name, value in zip(("step", "loss", "alignment", "norm"), (step, *values), strict=True):
            curves[run][name].append(value)


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")


def _end(span: Span, ended: Descended, step: int, arrived: Tensor, stop: Tensor) -> None:
    runs = span.runs[stop].tolist()
    ended.filters[runs] = span.filters()[stop]
    for run, reached in zip(runs, arrived[stop].tolist(), strict=True):
        ended.steps[run], ended.arrived[run] = step, reached
    span.keep(~stop)


def _state(span: Span, ended: Descended, step: int) -> dict[str, Any]:
    # Copies: the next step overwrites the live tensors and lists.
    return {
        "step": step,
        "moving": span.runs.clone(),
        "coordinates": span.coordinates.to("cpu", copy=True),
        "filters": ended.filters.to("cpu", copy=True),
        "steps": list(ended.steps),
        "arrived": list(ended.arrived),
        "curves": _copied(ended.curves),
    }


def _restore(span: Span, ended: Descended, state: dict[str, Any]) -> int:
    moving = torch.zeros(len(span.runs), dtype=torch.bool)
    moving[state["moving"]] = True
    span.keep(moving)
    span.move_to(state["coordinates"])
    ended.filters = state["filters"].to(ended.filters, copy=True)
    ended.steps, ended.arrived = list(state["steps"]), list(state["arrived"])
    ended.curves = _copied(state["curves"])
    step: int = state["step"]
    return step


def _copied(curves: list[Curve]) -> list[Curve]:
    copies = []
    for curve in curves:
        copies.append({name: list(values) for name, values in curve.items()})
    return copies
