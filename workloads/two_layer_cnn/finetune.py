"""Supervised training of the two-layer CNN from given filters, and its test error.

Legend: B runs, A of them with the same inputs, R = 2m filters, K patches, N inputs, d length of a
patch.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from workloads.two_layer_cnn.data import Signals, filter_split, labeled_inputs, unseen_inputs
from workloads.two_layer_cnn.descent import Curve, descend
from workloads.two_layer_cnn.network import logistic_loss, logistic_step, outputs
from workloads.two_layer_cnn.span import Span, tables
from workloads.two_layer_cnn.spec import TwoLayerSpec

__all__ = ["Finetuned", "finetune"]


@dataclass(frozen=True)
class Finetuned:
    """Plain-number metrics of a trained and tested network, and its training curve."""

    metrics: dict[str, float]
    curve: Curve


def finetune(
    specs: Sequence[TwoLayerSpec],
    filters: Sequence[Tensor],
    source: Signals,
    resume: dict[str, Any] | None = None,
) -> Generator[dict[str, Any], None, list[Finetuned]]:
    """Train each specification's network from its filters [R, d].

    The sizes and the optimizer of all agree. The filters are split at random into those of F_+ and
    those of F_-. Yields states now and then, from which it continues; returns what it gave, in the
    order of `specs`.
    """
    shared, owner = tables(specs, _identity, lambda spec: labeled_inputs(spec, source))
    dtype = specs[0].dtype
    # Labels, and which patches belong together, are the same in all: only the numbers differ.
    first = shared[0].to(dtype)

    initial = torch.stack(
        [start[filter_split(spec)] for spec, start in zip(specs, filters, strict=True)]
    )
    scale = torch.stack([first.scale(spec.data.signal_norm) for spec in specs])
    span = Span(initial, [samples.rows.to(dtype) for samples in shared], owner, scale)

    rates = torch.tensor([spec.finetune_rate for spec in specs], dtype=dtype)
    power, how = specs[0].network.power, specs[0].finetune

    def step(activations: Tensor, runs: Tensor) -> tuple[Tensor, Tensor]:
        loss, gradient = logistic_step(activations, first, power)
        return loss, gradient.mul_(rates[runs, None, None])

    def fitted(_: Span, loss: Tensor) -> Tensor:
        return loss <= how.loss_target

    direction = source.direction.to(dtype)
    ended = yield from descend(
        span, step, fitted, direction, max_steps=how.max_steps, resume=resume
    )

    tests = _test(specs, ended.filters, source)
    given = []
    for run, (error, loss) in enumerate(tests):
        metrics = {
            "test_error": error,
            "test_loss": loss,
            "training_loss": ended.curves[run]["loss"][-1],
            "finetune_steps": float(ended.steps[run]),
            "converged": float(ended.arrived[run]),
            "finetuned_alignment": _top_alignment(ended.filters[run], direction),
        }
        given.append(Finetuned(metrics, ended.curves[run]))
    return given


def _identity(spec: TwoLayerSpec) -> tuple[object, ...]:
    """What runs of one batch must agree in to have the same inputs, up to ||mu||.

    That is labeled inputs and test inputs.
    """
    return (spec.seed, spec.data.noise_std)


def _test(
    specs: Sequence[TwoLayerSpec], filters: Tensor, source: Signals
) -> list[tuple[float, float]]:
    """Error in % and logistic loss of each run on its test inputs.

    An output of exactly 0 is an error.
    """
    scores = []
    # Runs with the same inputs stand together, and draw them once.
    for _, together in groupby(zip(specs, filters, strict=True), lambda pair: _identity(pair[0])):
        samples = None
        for spec, trained in together:
            samples = samples or unseen_inputs(spec, source).to(spec.dtype)
            activations = (trained @ samples.rows.T) * samples.scale(spec.data.signal_norm)
            out = outputs(activations[None], samples, spec.network.power)
            error = (out * samples.labels <= 0).double().mean()
            scores.append((100 * float(error), float(logistic_loss(out, samples.labels))))
    return scores


def _top_alignment(filters: Tensor, direction: Tensor) -> float:
    """Mean |cos(w, mu)| of the longest filter of F_+ and that of F_-, which decide the output."""
    norms = filters.norm(dim=1)
    half = len(filters) // 2
    top = [int(norms[:half].argmax()), half + int(norms[half:].argmax())]
    return float(((filters[top] @ direction).abs() / norms[top]).mean())
