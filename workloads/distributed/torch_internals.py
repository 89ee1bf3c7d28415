"""Private names of torch, in one file: what each is for, and what happens where it is gone.

Checked on torch 2.14. A new version of torch is tried by tests/simclr/test_optim.py, which compares
LARS with a loop over weights, and by `simclr-orch doctor`, which says whether bf16 is used.
"""

import torch
from torch import Tensor

__all__ = [
    "add_",
    "added",
    "cpu_has_bf16",
    "multiply_",
    "norms",
    "subtract_",
]

Tensors = tuple[Tensor, ...] | list[Tensor]  # what torch's own annotations ask for


def cpu_has_bf16() -> bool:
    """Return whether this CPU multiplies bf16 by itself; emulated, it is slower than fp32.

    Where torch has no such question any more the answer is no, and a CPU trains in fp32.
    """
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return asked is not None and bool(asked())


# One kernel for all weights of a model, where a loop starts one for each. torch's own optimizers
# are made of these. Where one is gone the first step of LARS raises AttributeError: a loop would do
# the same, several times slower on a GPU, and nobody would notice.


def multiply_(tensors: Tensors, by: float | Tensors) -> None:
    """Multiply each tensor in place: all by one number, or each by its own scalar tensor."""
    torch._foreach_mul_(tensors, by)


def add_(tensors: Tensors, others: Tensors, *, alpha: float = 1.0) -> None:
    """Add alpha times its counterpart to each tensor, in place."""
    torch._foreach_add_(tensors, others, alpha=alpha)


def added(tensors: Tensors, others: Tensors, *, alpha: float = 1.0) -> tuple[Tensor, ...]:
    """Return new tensors, each with alpha times its counterpart added."""
    return tuple(torch._foreach_add(tensors, others, alpha=alpha))


def subtract_(tensors: Tensors, others: Tensors) -> None:
    """Subtract its counterpart from each tensor, in place."""
    torch._foreach_sub_(tensors, others)


def norms(tensors: Tensors) -> tuple[Tensor, ...]:
    """Return the Euclidean norm of each tensor, as scalar tensors on their device."""
    return tuple(torch._foreach_norm(tensors))
