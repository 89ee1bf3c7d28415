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

BLOCK_ELEMENTS = 2**17  # half a megabyte in fp32, which a core's cache holds


class GlobalBatchNorm(nn.Module):
    """Batch normalisation of [N, C] or [N, C, H, W] with the statistics of all workers' samples.

    It is `nn.BatchNorm1d` / `2d`, with sums in single precision that err in the seventh digit:
    torch's err in the fourth on a CPU. Alone in bf16 or on a GPU it is torch's, to the bit.
    Training mode is a collective: every worker must call it. Running statistics are equal on all of
    them, with the unbiased variance over all samples. State-dict keys are those of
    `nn.BatchNorm2d`. `offset=False` leaves out the bias (the last layer of the authors' projection
    head). Momentum 0.1 is the authors' decay of 0.9.
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
        if not self.training or (world_size() == 1 and not _sums_badly(x)):
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
            unbiased = var * (count / (count - 1))
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


def _sums_badly(x: Tensor) -> bool:
    """Whether torch's own kernel would lose digits of x that x has.

    On a CPU it adds the samples of a channel one after the other, so that half a million of them
    leave four digits of the variance. bf16 has fewer. One sample is left to torch, which refuses
    it.
    """
    exact = x.dtype in (torch.float32, torch.float64)
    return exact and x.device.type == "cpu" and x.numel() > x.shape[1]


@torch.no_grad()
def _moments_of_all_workers(x: Tensor) -> tuple[Tensor, Tensor, float | Tensor]:
    """Mean [C], biased variance [C] and number of samples over all workers, at least in fp32."""
    mean, var = _moments_in_blocks(x) if x.device.type == "cpu" else _moments(x)
    count, channels = x.numel() // x.shape[1], x.shape[1]
    if world_size() == 1:
        return mean, var, count
    rows = all_gather(torch.cat([mean, var, mean.new_full((1,), count)]).unsqueeze(0))
    means, variances, counts = torch.split(rows, [channels, channels, 1], dim=1)
    return *_joined(means, variances, counts), counts.sum()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C] and biased variance [C] of x."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    var, mean = torch.var_mean(wide, dim=[0, *range(2, x.dim())], correction=0)
    return mean, var


def _moments_in_blocks(x: Tensor) -> tuple[Tensor, Tensor]:
    """`_moments` on a CPU, where x has its channels last: in a tenth of the time.

    Over rows torch sums in pairs, to the last digit or two, and a block of rows stays in the cache
    while it is read twice.
    """
    samples = x.movedim(1, -1).reshape(-1, x.shape[1])
    rows = max(1, BLOCK_ELEMENTS // x.shape[1])
    means, variances, room = list[Tensor](), list[Tensor](), None
    for block in torch.split(samples, rows):
        wide = block.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(0)
        room = wide - mean if room is None else torch.sub(wide, mean, out=room[: len(wide)])
        means.append(mean)
        variances.append(room.square_().mean(0))
    if len(means) == 1:
        return means[0], variances[0]
    counts = torch.full((len(means), 1), rows, dtype=means[0].dtype)
    counts[-1] -= rows * len(means) - len(samples)
    return _joined(torch.stack(means), torch.stack(variances), counts)


def _joined(means: Tensor, variances: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C] and biased variance [C] of parts together, from each one's: [P, C], counts [P, 1].

    Sums of squares would cancel where the mean is large; variances within parts and between them do
    not.
    """
    shares = counts / counts.sum()
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean).square())).sum(0)


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
        count: float | Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var)
        ctx.count, ctx.eps = count, eps
        ctx.offset = bias is not None
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, weight, mean, var = ctx.saved_tensors
        inverse = torch.rsqrt(var + ctx.eps)
        backward = torch.ops.aten.native_batch_norm_backward
        if world_size() == 1:
            # These moments are of this x and no other, as the kernel takes them to be.
            grad_x, grad_weight, grad_bias = backward(
                grad, x, weight, None, None, mean, inverse, True, ctx.eps, [True, True, True]
            )
            of_bias = grad_bias if ctx.offset else None
            return grad_x, grad_weight, of_bias, None, None, None, None

        # The CPU reads mean and var, a GPU mean and inverse, as a forward pass would have saved
        # them.
        _, grad_weight, grad_bias = backward(
            grad, x, weight, mean, var, mean, inverse, False, ctx.eps, [False, True, True]
        )

        # Mean and var are of all workers' x, so that what comes back through them is, too.
        of_xhat, of_ones = (
            all_reduce_sum(torch.stack([grad_weight, grad_bias])) / ctx.count
        ).unbind()
        scale = weight * inverse
        through_moments = F.batch_norm(
            x, mean, var, -scale * of_xhat, -scale * of_ones, training=False, eps=ctx.eps
        )
        grad_x = through_moments + grad * scale.view(-1, *[1] * (x.dim() - 2))

        of_bias = grad_bias if ctx.offset else None
        return grad_x.to(x.dtype), grad_weight, of_bias, None, None, None, None
