"""Collectives of workers that train together; alone, every one of them is the identity.

So it is without a process group.

Every worker must hold the same shapes (drop the last, smaller batch) and call in the same order.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["all_gather", "all_gather_with_gradient", "all_reduce_sum", "rank", "world_size"]


def world_size() -> int:
    """Return the number of workers that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this worker among them; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def all_gather(tensor: Tensor) -> Tensor:
    """Gather every worker's [N, ...] in order of rank: [W * N, ...], without gradient."""
    tensor = tensor.detach().contiguous()
    if world_size() == 1:
        return tensor
    gathered = tensor.new_empty((world_size() * tensor.shape[0], *tensor.shape[1:]))
    dist.all_gather_into_tensor(gathered, tensor)
    return gathered


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sum over workers into a new tensor, without gradient."""
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def all_gather_with_gradient(tensor: Tensor) -> Tensor:
    """Gather every worker's [N, ...] in order of rank: [W * N, ...], differentiable on each.

    The gradient of a worker's slice is the sum of what all workers ask of it: with local anchors
    against gathered keys and gradients averaged over workers afterwards (DDP), that is the gradient
    of the whole batch in one process. Keeping only what the own loss asks shortens the gradient and
    turns it.
    """
    if world_size() == 1:
        return tensor
    gathered: Tensor = _AllGather.apply(tensor)
    return gathered


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.samples = tensor.shape[0]
        return all_gather(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        return all_reduce_sum(grad).narrow(0, rank() * ctx.samples, ctx.samples)
