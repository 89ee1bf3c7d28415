"""Per-sample parameters: dataclasses of small CPU tensors with one row per sample."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Generator, Tensor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["coin", "indices", "joined", "moved", "sliced", "uniform", "uniform_integer"]

P = TypeVar("P", bound="DataclassInstance")


def sliced(parameters: P, rows: slice | Tensor) -> P:
    """Return the parameters of some of the samples, given as a slice or as booleans `[N]`."""
    return replace(
        parameters,
        **{field.name: getattr(parameters, field.name)[rows] for field in fields(parameters)},
    )


def joined(first: P | None, second: P | None) -> P | None:
    """Join the parameters of the first's samples and then of the second's.

    None of an operation that is not in the policy.
    """
    if first is None or second is None:
        return None
    rows = {}
    for field in fields(first):
        both = (getattr(first, field.name), getattr(second, field.name))
        rows[field.name] = torch.cat(both)
    return replace(first, **rows)


def moved(parameters: P, device: torch.device) -> P:
    """Move parameters to the device of the images."""
    values = {field.name: getattr(parameters, field.name) for field in fields(parameters)}
    return replace(
        parameters, **{name: value.to(device, non_blocking=True) for name, value in values.items()}
    )


def indices(chosen: Tensor, device: torch.device) -> Tensor:
    """Return where `chosen` `[N]` is true.

    Found on the CPU, where it costs no synchronisation with the device.
    """
    return chosen.nonzero().squeeze(1).to(device, non_blocking=True)


def uniform(low: float, high: float, count: int, generator: Generator) -> Tensor:
    """Draw `count` numbers from U(low, high), float64."""
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)


def uniform_integer(bounds: Tensor, generator: Generator) -> Tensor:
    """Draw one integer from {0, ..., bound - 1} for each bound, int64."""
    drawn = torch.rand(bounds.shape, generator=generator, dtype=torch.float64) * bounds
    return drawn.long().minimum(bounds - 1)  # the product may have rounded up to the bound


def coin(probability: float, count: int, generator: Generator) -> Tensor:
    """Draw `count` booleans, each true with `probability`."""
    return torch.rand(count, generator=generator, dtype=torch.float64) < probability
