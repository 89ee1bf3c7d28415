"""The filters before labels come: contrastive pre-training, a control, or nothing.

Legend: B runs, R = 2m filters, d length of a patch.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workloads.two_layer_cnn.contrastive import (
    contrastive_step,
    predicted_alignment,
    pretraining_spectrum,
    principal_component,
    summed_patches,
)
from workloads.two_layer_cnn.data import (
    Samples,
    Signals,
    fresh_views,
    initial_filters,
    pretraining_inputs,
)
from workloads.two_layer_cnn.descent import Curve, Renewal, descend
from workloads.two_layer_cnn.span import Span, tables
from workloads.two_layer_cnn.spec import TwoLayerSpec

__all__ = ["Pretrained", "pretrain"]


@dataclass(frozen=True)
class Pretrained:
    """Filters [R, d] before fine-tuning, plain-number metrics, and the training curve.

    Filters are in the order of their initial ones.
    """

    filters: Tensor
    metrics: dict[str, float]
    curve: Curve | None = None


def pretrain(
    specs: Sequence[TwoLayerSpec], source: Signals, resume: dict[str, Any] | None = None
) -> Generator[dict[str, Any], None, list[Pretrained]]:
    """Make the filters of each specification.

    Specifications agree in everything but seed, SNR, noise and view correlation. Yields states now
    and then, from which it continues; returns what it gave, in the order of `specs`.
    """
    match specs[0].pretrain.method:
        case "none":
            return [_untrained(spec, source) for spec in specs]
        case "pca":
            return [_on_principal_component(spec, source) for spec in specs]
        case _:
            return (yield from _contrastive(specs, source, resume))


def _untrained(spec: TwoLayerSpec, source: Signals) -> Pretrained:
    filters = spec.network.initial_std * initial_filters(spec)
    return Pretrained(filters.to(spec.dtype), {"alignment": _alignment(filters, source.direction)})


def _on_principal_component(spec: TwoLayerSpec, source: Signals) -> Pretrained:
    """Each filter is its initial one's share of the first principal component.

    That is where the power method ends.
    """
    inputs, _ = summed_patches(pretraining_inputs(spec, source), spec.data.signal_norm)
    component = principal_component(inputs)
    filters = torch.outer(initial_filters(spec) @ component, component)
    filters *= spec.pretrained_norm / filters.norm(dim=1).mean()
    metrics = {
        "alignment": _alignment(filters, source.direction),
        "unlabeled_snr2": _unlabeled_snr2(spec),
    }
    return Pretrained(filters.to(spec.dtype), metrics)


def _contrastive(
    specs: Sequence[TwoLayerSpec], source: Signals, resume: dict[str, Any] | None
) -> Generator[dict[str, Any], None, list[Pretrained]]:
    shared, owner = tables(specs, _identity, lambda spec: pretraining_inputs(spec, source))
    dtype = specs[0].dtype
    # Labels, and which patches belong together, are the same in all: only the numbers differ.
    first = shared[0].to(dtype)

    starts = [spec.pretrain.initial_std * initial_filters(spec) for spec in specs]
    initial = torch.stack(starts).to(dtype)
    scale = torch.stack([first.scale(spec.data.signal_norm) for spec in specs])
    rows = [samples.rows.to(dtype) for samples in shared]
    fresh = specs[0].pretrain.views == "fresh"
    span = Span(initial, rows, owner, scale, gram=False if fresh else None)
    renewal = _renewal(_of_tables(specs, owner), shared, source) if fresh else None

    rates = torch.tensor([spec.pretrain_rate for spec in specs], dtype=dtype)
    norms = torch.tensor([spec.pretrained_norm for spec in specs], dtype=dtype)
    how = specs[0].pretrain

    def step(activations: Tensor, runs: Tensor) -> tuple[Tensor, Tensor]:
        relu = how.method == "simclr-relu"
        loss, gradient = contrastive_step(
            activations, first, temperature=how.temperature, relu=relu
        )
        return loss, gradient.mul_(rates[runs, None, None])

    def long_enough(span: Span, _: Tensor) -> Tensor:
        return span.norms().mean(1) >= norms[span.runs]

    direction = source.direction.to(dtype)
    ended = yield from descend(
        span,
        step,
        long_enough,
        direction,
        max_steps=how.max_steps,
        renewal=renewal,
        resume=resume,
    )

    given = []
    for run, spec in enumerate(specs):
        curve = ended.curves[run]
        metrics = {
            "alignment": curve["alignment"][-1],
            "pretrain_loss": curve["loss"][-1],
            "pretrain_steps": float(ended.steps[run]),
            "pretrain_converged": float(ended.arrived[run]),
            **_theory(spec, shared[owner[run]], source),
        }
        given.append(Pretrained(ended.filters[run].clone(), metrics, curve))
    return given


def _identity(spec: TwoLayerSpec) -> tuple[object, ...]:
    """Runs of one batch that agree in this have the same unlabeled inputs, up to ||mu||."""
    return (spec.seed, spec.data.noise_std, spec.data.view_correlation)


def _of_tables(specs: Iterable[TwoLayerSpec], owner: Iterable[int]) -> list[TwoLayerSpec]:
    """The specification of a run for each table of patches, in their order."""
    return list(dict(zip(owner, specs, strict=True)).values())


def _renewal(specs: Sequence[TwoLayerSpec], shared: Sequence[Samples], source: Signals) -> Renewal:
    """What gives each table of patches the second views of a step."""

    def renew(span: Span, step: int) -> None:
        views = {}
        for table in span.tables:
            spec, samples = specs[table], shared[table]
            first = samples.rows[samples.signal_count :][: len(samples.labels)]
            drawn = fresh_views(spec, first, source.direction, step)
            views[table] = drawn.to(spec.dtype)
        span.show(views)

    return renew


def _theory(spec: TwoLayerSpec, samples: Samples, source: Signals) -> dict[str, float]:
    """What the paper's analysis of the linear network speaks of (Lemmas 5.1 and 5.2).

    It has one matrix A; with fresh views there is another in each step.
    """
    metrics = {"unlabeled_snr2": _unlabeled_snr2(spec)}
    if spec.pretrain.method == "simclr-relu" or spec.pretrain.views == "fresh":
        return metrics

    both = summed_patches(samples, spec.data.signal_norm)
    largest, next_largest, vector = pretraining_spectrum(*both)
    metrics |= {
        "top_eigenvalue_ratio": largest / (2 * spec.data.signal_norm**2),
        "eigenvalue_gap": next_largest / largest,
        "eigenvector_alignment": float((vector @ source.direction).abs()),
    }
    # The prediction is for independent views of Gaussian data.
    if spec.data.view_correlation == 0 and spec.data.name == "gaussian":
        metrics["predicted_alignment"] = predicted_alignment(
            spec.pretrain_inputs, spec.data.signal_to_noise
        )
    return metrics


def _unlabeled_snr2(spec: TwoLayerSpec) -> float:
    """n0 SNR^2, which decides whether pre-training finds the signal (Condition 4.1)."""
    return spec.pretrain_inputs * spec.data.signal_to_noise**2


def _alignment(filters: Tensor, direction: Tensor) -> float:
    """Mean |cos(w_r, mu)|; the sign of a filter is chance."""
    return float(((filters @ direction).abs() / filters.norm(dim=1)).mean())
