"""The contrastive loss NT-Xent (equation 1) and what it says about the embeddings (Table 5).

Letters: N images of one worker, W workers, D dimensions of an embedding, A anchors, K keys.

Each worker compares its own anchors with every worker's keys: the mean over workers of loss and gradient is that of one
process on the whole batch, and no worker holds more than a block of rows of the matrix of similarities.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from workloads.simclr.collectives import all_gather, all_gather_with_gradient, rank
from workloads.simclr.spec import LossSpec

__all__ = ["contrastive_loss", "contrastive_metrics", "nt_xent"]

BLOCK_ELEMENTS = 2**21  # similarities held at a time: 8 MiB in fp32


def contrastive_loss(z0: Tensor, z1: Tensor, loss: LossSpec) -> Tensor:
    """The loss that a specification asks for, on two views' embeddings [N, D].

    "sum-of-views" is the authors' code: the mean over the anchors of one view plus that of the other, twice equation 1.
    """
    mean = nt_xent(z0, z1, temperature=loss.temperature, normalize=loss.normalize, negatives=loss.negatives)
    match loss.reduction:
        case "mean":
            return mean
        case "sum-of-views":
            return 2 * mean


def nt_xent(
    z0: Tensor,
    z1: Tensor,
    *,
    temperature: float,
    normalize: bool = True,
    negatives: Literal["both", "cross"] = "both",
) -> Tensor:
    """NT-Xent of two views' embeddings [N, D], averaged over their 2N anchors (equation 1).

    The candidates of an anchor are the other 2N - 1 embeddings, or, with negatives="cross" (Table 4), the N of the
    other view; the positive is always among them. `normalize=False` takes raw inner products (Table 5). Half-precision
    inputs are compared in fp32, whatever autocast says. In a process group this is a collective over equal N.
    """
    n = len(z0)
    with torch.autocast(z0.device.type, enabled=False):
        anchors = _embeddings(torch.cat([z0, z1]), normalize)
        # An image's views travel together: sent one view after the other, they would come back interleaved by worker.
        gathered = all_gather_with_gradient(anchors.view(2, n, -1).transpose(0, 1))
        keys = gathered.transpose(0, 1).flatten(0, 1)
        first = torch.arange(n, device=z0.device) + rank() * n
        second = first + len(keys) // 2
        if negatives == "both":
            return _softmax_loss(anchors, keys, torch.cat([second, first]), torch.cat([first, second]), temperature)
        (first_anchors, second_anchors), (first_keys, second_keys) = anchors.chunk(2), keys.chunk(2)
        return (
            _softmax_loss(first_anchors, second_keys, first, None, temperature)
            + _softmax_loss(second_anchors, first_keys, first, None, temperature)
        ) / 2


@torch.no_grad()
def contrastive_metrics(z0: Tensor, z1: Tensor, *, temperature: float, normalize: bool = True) -> tuple[Tensor, Tensor]:
    """Contrastive accuracy in percent and entropy in nats (Table 5) of two views' embeddings [N, D]; both shapes [].

    As in the authors' code: anchors are the first view's embeddings, candidates the second view's of all workers, so
    that the entropy is at most ln(W * N). In a process group the values are of the own anchors; their mean over workers
    is that of one process on the whole batch.
    """
    with torch.autocast(z0.device.type, enabled=False):
        anchors, keys = _embeddings(z0, normalize), all_gather(_embeddings(z1, normalize))
        positives = torch.arange(len(anchors), device=anchors.device) + rank() * len(anchors)
        hits, entropy = anchors.new_zeros(()), anchors.new_zeros(())
        for rows in _blocks(len(anchors), len(keys)):
            log_p = (anchors[rows] / temperature @ keys.T).log_softmax(dim=1)
            hits += (log_p.argmax(dim=1) == positives[rows]).sum()
            entropy += torch.special.entr(log_p.exp_()).sum()
        return 100 * hits / len(anchors), entropy / len(anchors)


def _embeddings(z: Tensor, normalize: bool) -> Tensor:
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    # The bound is the authors' 1e-12 on the squared norm: an embedding of zeros stays zero instead of becoming NaN.
    return F.normalize(z, dim=1, eps=1e-6) if normalize else z


def _blocks(anchors: int, keys: int) -> Iterator[slice]:
    size = max(1, BLOCK_ELEMENTS // keys)
    return (slice(start, min(start + size, anchors)) for start in range(0, anchors, size))


def _softmax_loss(anchors: Tensor, keys: Tensor, positives: Tensor, own: Tensor | None, temperature: float) -> Tensor:
    loss: Tensor = _SoftmaxLoss.apply(anchors, keys, positives, own, temperature)
    return loss


class _SoftmaxLoss(torch.autograd.Function):
    """Mean cross-entropy of picking key `positives[a]` for anchor a by softmax(anchors @ keys.T / temperature).

    Key `own[a]`, if given, is the anchor itself and no candidate. The gradient (Table 2) is taken block by block while
    a block's softmax is at hand, so that the matrix [A, K] never exists as a whole and nothing is computed twice.
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, keys: Tensor, positives: Tensor, own: Tensor | None, temperature: float) -> Tensor:
        differentiable = any(ctx.needs_input_grad)
        grad_anchors, grad_keys = torch.empty_like(anchors), torch.zeros_like(keys)
        loss = anchors.new_zeros(())
        for rows in _blocks(len(anchors), len(keys)):
            anchor, positive = anchors[rows], positives[rows].unsqueeze(1)
            logits = anchor / temperature @ keys.T
            if own is not None:
                logits.scatter_(1, own[rows].unsqueeze(1), -torch.inf)
            log_p = logits.log_softmax(dim=1)
            loss -= log_p.gather(1, positive).sum()
            if differentiable:
                residual = log_p.exp_()
                residual.scatter_add_(1, positive, residual.new_full((), -1).expand_as(positive))
                torch.matmul(residual, keys, out=grad_anchors[rows])
                grad_keys.addmm_(residual.T, anchor)
        if differentiable:
            ctx.save_for_backward(grad_anchors, grad_keys)
            ctx.scale = 1 / (temperature * len(anchors))
        return loss / len(anchors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        grad_anchors, grad_keys = ctx.saved_tensors
        return grad_anchors * (grad * ctx.scale), grad_keys * (grad * ctx.scale), None, None, None
