"""Batch normalisation with the statistics of all workers' samples (section 2.2, "Global BN").

With the statistics of one worker, the two views of an image share their companions, and the network
can tell positives from negatives by them. torch's SyncBatchNorm runs on GPUs only; this runs
wherever a process group does.

Letters: N samples of one worker, C channels, W workers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.distributed.collectives import all_gather, all_reduce_sum, world_size

__all__ = ["GlobalBatchNorm", "statistics_kept"]


class GlobalBatchNorm(nn.Module):
    """Batch normalisation of [N, C] or [N, C, H, W] with the statistics of all workers' samples.

    Alone it is exactly `nn.BatchNorm1d` / `2d`. Training mode is a collective: every worker must
    call it. Running statistics are equal on all of them, with the unbiased variance over all
    samples. State-dict keys are those of `nn.BatchNorm2d`. `offset=False` leaves out the bias (the
    last layer of the authors' projection head). Momentum 0.1 is the authors' decay of 0.9.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, num_features: int, *, eps: float = 1e-5, momentum: float = 0.1, offset: bool = True
    ) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.tracks = True  # whether training mode moves the running statistics
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features)) if offset else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x: by the statistics of this batch in training mode, else by running ones."""
        if self.training and self.tracks:
            self.num_batches_tracked.add_(1)
        if not self.training or world_size() == 1:
            reads = self.tracks or not self.training
            return F.batch_norm(
                x,
                self.running_mean if reads else None,
                self.running_var if reads else None,
                self.weight,
                self.bias,
                self.training,
                self.momentum,
                self.eps,
            )

        mean, var, count = _moments_of_all_workers(x)
        if self.tracks:
            unbiased = var * count / (count - 1)
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
                self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        normalized: Tensor = _Normalize.apply(x, self.weight, self.bias, mean, var, count, self.eps)
        return normalized

    def extra_repr(self) -> str:
        return (
            f"{len(self.weight)}, eps={self.eps}, momentum={self.momentum}, "
            f"offset={self.bias is not None}"
        )


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Leave the running statistics of a model's layers as they are, in training mode, too."""
    layers = [layer for layer in model.modules() if isinstance(layer, GlobalBatchNorm)]
    try:
        for layer in layers:
            layer.tracks = False
        yield
    finally:
        for layer in layers:
            layer.tracks = True


@torch.no_grad()
def _moments_of_all_workers(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C], biased variance [C] and number of samples [] over all workers, at least in fp32."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    channels = x.shape[1]
    var, mean = torch.var_mean(wide, dim=[0, *range(2, x.dim())], correction=0)
    count = mean.new_full((1,), x.numel() // channels)

    rows = all_gather(torch.cat([mean, var, count]).unsqueeze(0))
    means, variances, counts = torch.split(rows, [channels, channels, 1], dim=1)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    # Sums of squares would cancel where the mean is large; variances within workers and between
    # them do not.
    var = (counts * (variances + (means - mean).square())).sum(0) / total
    return mean, var, total


class _Normalize(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, differentiable.

    The mean and var depend on the x of every worker. Backward gives x the gradient of the sum of
    all workers' losses, and weight and bias that of the own loss: DDP averages those afterwards, as
    it does everywhere else.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.eps = eps
        ctx.offset = bias is not None
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, weight, mean, var, count = ctx.saved_tensors
        wanted, inverse = [False, True, True], torch.rsqrt(var + ctx.eps)
        # The CPU reads mean and var, a GPU mean and inverse, as a forward pass would have saved
        # them.
        _, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, var, mean, inverse, False, ctx.eps, wanted
        )

        # Mean and var are of all workers' x, so that what comes back through them is, too.
        of_xhat, of_ones = (all_reduce_sum(torch.stack([grad_weight, grad_bias])) / count).unbind()
        scale = weight * inverse
        through_moments = F.batch_norm(
            x, mean, var, -scale * of_xhat, -scale * of_ones, training=False, eps=ctx.eps
        )
        grad_x = through_moments + grad * scale.view(-1, *[1] * (x.dim() - 2))

        of_bias = grad_bias if ctx.offset else None
        return grad_x.to(x.dtype), grad_weight, of_bias, None, None, None, None
