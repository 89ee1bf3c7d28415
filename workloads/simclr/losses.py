"""The contrastive losses of Table 2, NT-Xent (equation 1) first, and the metrics of Table 5.

Letters: N images of one worker, W workers, D dimensions of an embedding, A anchors, K keys.

Each worker compares its own anchors with every worker's keys: the mean over workers of loss and
gradient is that of one process on the whole batch, and no worker holds more than a block of rows of
the matrix of similarities.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from workloads.distributed.collectives import all_gather, all_gather_with_gradient, rank
from workloads.simclr.own_losses import own_loss
from workloads.simclr.spec import LossSpec
from workloads.spec import SpecError

__all__ = ["contrastive_loss", "contrastive_metrics", "margin_triplet", "nt_logistic", "nt_xent"]

BLOCK_ELEMENTS = 2**21  # similarities held at a time: 8 MiB in fp32
GPU_BLOCK_ELEMENTS = 2**25  # 128 MiB: small blocks leave a GPU idle

Reduction = Literal["mean", "sum"]
# Logits [a, K] of some anchors and where their positives are [a, 1], to the sum of these anchors'
# losses, [], and its derivative by each logit [a, K].
Terms = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def contrastive_loss(z0: Tensor, z1: Tensor, loss: LossSpec) -> Tensor:
    """Compute the loss that a specification asks for, of two views' embeddings [N, D].

    "sum-of-views" is the authors' code: the mean over the anchors of one view plus that of the
    other, twice equation 1. Raises SpecError for cross-entropy, which compares no views, and for
    one of somebody's own that cannot be found or gives no number.
    """
    if loss.is_own:
        return own_loss(z0, z1, loss)
    mean = _mean_over_anchors(z0, z1, loss)
    match loss.reduction:
        case "mean":
            return mean
        case "sum-of-views":
            return 2 * mean


def _mean_over_anchors(z0: Tensor, z1: Tensor, loss: LossSpec) -> Tensor:
    match loss.name:
        case "nt-xent":
            return nt_xent(
                z0,
                z1,
                temperature=loss.temperature,
                normalize=loss.normalize,
                negatives=loss.negatives,
            )
        case "nt-logistic":
            return nt_logistic(
                z0,
                z1,
                temperature=loss.temperature,
                normalize=loss.normalize,
                semi_hard=loss.semi_hard,
                negative_reduction=loss.negative_reduction,
            )
        case "margin-triplet":
            return margin_triplet(
                z0,
                z1,
                margin=loss.margin,
                normalize=loss.normalize,
                semi_hard=loss.semi_hard,
                negative_reduction=loss.negative_reduction,
            )
        case "cross-entropy":
            raise SpecError(
                [
                    "loss.name='cross-entropy': compares no two views; nt-xent, nt-logistic, "
                    "margin-triplet do"
                ]
            )
    raise AssertionError(f"{loss.name} is built in, and has no branch here")


def nt_xent(
    z0: Tensor,
    z1: Tensor,
    *,
    temperature: float,
    normalize: bool = True,
    negatives: Literal["both", "cross"] = "both",
) -> Tensor:
    """Compute NT-Xent of two views' embeddings [N, D], over their 2N anchors (equation 1).

    It is the mean over anchors. An anchor is compared with the other 2N - 1 embeddings, or, with
    negatives="cross" (Table 4), with the N of the other view; the positive is always among them.
    `normalize=False` takes raw inner products (Table 5). Half-precision inputs are compared in
    fp32, whatever autocast says. In a process group this is a collective over equal N.
    """
    with torch.autocast(z0.device.type, enabled=False):
        anchors, keys, own = _anchors_and_keys(z0, z1, normalize)
        if negatives == "cross":
            return _cross_view_loss(anchors, keys, own, temperature, _softmax_terms)

        # Anchors and keys are the first views and then the second ones: a first view is itself
        # among the first keys and has its positive among the second, and the other way round.
        second = own + keys.shape[1]
        positives, own = torch.cat([second, own]), torch.cat([own, second])
        return _blockwise_loss(
            anchors.flatten(0, 1), keys.flatten(0, 1), positives, own, temperature, _softmax_terms
        )


def nt_logistic(
    z0: Tensor,
    z1: Tensor,
    *,
    temperature: float,
    normalize: bool = True,
    semi_hard: bool = False,
    negative_reduction: Reduction = "mean",
) -> Tensor:
    """Compute NT-Logistic (Table 2) of two views' embeddings [N, D], over their 2N anchors.

    It is the mean over anchors. An anchor's loss is -log sigmoid(s+ / t) and, over its negatives,
    the mean or sum of -log sigmoid(-s- / t). Negatives are the other view's N - 1 embeddings of
    other images ("negatives from one augmentation view only", Table 4; the paper says neither which
    view nor mean or sum).

    `semi_hard` keeps of them only the one most similar to the anchor among those less similar than
    the positive (B.10); where there is none, as for N = 1, the positive's term is all. Precision
    and process groups are as in `nt_xent`.
    """
    with torch.autocast(z0.device.type, enabled=False):
        anchors, keys, positives = _anchors_and_keys(z0, z1, normalize)
        terms = partial(_logistic_terms, semi_hard=semi_hard, reduction=negative_reduction)
        return _cross_view_loss(anchors, keys, positives, temperature, terms)


def margin_triplet(
    z0: Tensor,
    z1: Tensor,
    *,
    margin: float,
    normalize: bool = True,
    semi_hard: bool = False,
    negative_reduction: Reduction = "mean",
) -> Tensor:
    """Compute the margin triplet loss (Table 2) of two views' embeddings [N, D].

    It is the mean over their 2N anchors. An anchor's loss is the mean or sum of max(s- - s+ +
    margin, 0) over its negatives, those of `nt_logistic`.

    `semi_hard` keeps of them only the one most similar to the anchor among those with s+ - margin <
    s- < s+ (B.10); where there is none, as for N = 1 or for margin = 0, the loss and its gradient
    are 0. Precision and process groups are as in `nt_xent`.
    """
    with torch.autocast(z0.device.type, enabled=False):
        anchors, keys, positives = _anchors_and_keys(z0, z1, normalize)
        terms = partial(
            _triplet_terms, margin=margin, semi_hard=semi_hard, reduction=negative_reduction
        )
        return _cross_view_loss(anchors, keys, positives, 1.0, terms)


@torch.no_grad()
def contrastive_metrics(
    z0: Tensor, z1: Tensor, *, temperature: float, normalize: bool = True
) -> tuple[Tensor, Tensor]:
    """Compute contrastive accuracy in percent and entropy in nats (Table 5), both of shape [].

    They are of two views' embeddings [N, D]. As in the authors' code: anchors are the first view's
    embeddings, keys the second view's of all workers, so that the entropy is at most ln(W * N).
    In a process group the values are of the own anchors; their mean over workers is that of one
    process on the whole batch.
    """
    with torch.autocast(z0.device.type, enabled=False):
        anchors, keys = _embeddings(z0, normalize), all_gather(_embeddings(z1, normalize))
        positives = torch.arange(len(anchors), device=anchors.device) + rank() * len(anchors)

        hits, entropy = anchors.new_zeros(()), anchors.new_zeros(())
        for rows in _blocks(anchors, keys):
            log_p = (anchors[rows] / temperature @ keys.T).log_softmax(dim=1)
            hits += (log_p.argmax(dim=1) == positives[rows]).sum()
            entropy += torch.special.entr(log_p.exp_()).sum()
        return 100 * hits / len(anchors), entropy / len(anchors)


def _embeddings(z: Tensor, normalize: bool) -> Tensor:
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    # The bound is the authors' 1e-12 on the squared norm: an embedding of zeros stays zero instead
    # of becoming NaN.
    return F.normalize(z, dim=1, eps=1e-6) if normalize else z


def _anchors_and_keys(z0: Tensor, z1: Tensor, normalize: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Own embeddings [2, N, D], every worker's [2, W * N, D], and an image's own keys [N].

    The last are the numbers, among the W * N, of the images of this worker.
    """
    n = len(z0)
    anchors = _embeddings(torch.cat([z0, z1]), normalize).view(2, n, -1)
    # An image's views travel together: sent one view after the other, they would come back
    # interleaved by worker.
    keys = all_gather_with_gradient(anchors.transpose(0, 1)).transpose(0, 1).contiguous()
    return anchors, keys, torch.arange(n, device=z0.device) + rank() * n


def _cross_view_loss(
    anchors: Tensor, keys: Tensor, positives: Tensor, temperature: float, terms: Terms
) -> Tensor:
    """The mean of both directions: own views of either kind against all views of the other."""
    (first_anchors, second_anchors), (first_keys, second_keys) = anchors.unbind(), keys.unbind()
    return (
        _blockwise_loss(first_anchors, second_keys, positives, None, temperature, terms)
        + _blockwise_loss(second_anchors, first_keys, positives, None, temperature, terms)
    ) / 2


def _blocks(anchors: Tensor, keys: Tensor) -> Iterator[slice]:
    """Rows of the anchors that are compared at a time with all keys."""
    elements = BLOCK_ELEMENTS if anchors.device.type == "cpu" else GPU_BLOCK_ELEMENTS
    rows, size = len(anchors), max(1, elements // len(keys))
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def _softmax_terms(logits: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of picking the positive by softmax(logits)."""
    log_p = logits.log_softmax(dim=1)
    loss = -log_p.gather(1, positive).sum()
    # Its derivative is softmax(logits), less 1 at the positive.
    slope = log_p.exp_()
    slope.scatter_add_(1, positive, slope.new_full((), -1).expand_as(positive))
    return loss, slope


def _logistic_terms(
    logits: Tensor, positive: Tensor, semi_hard: bool, reduction: Reduction
) -> tuple[Tensor, Tensor]:
    at_positive = logits.gather(1, positive)
    weights = _negative_weights(logits, positive, semi_hard, reduction)
    loss = -F.logsigmoid(at_positive).sum() - (weights * F.logsigmoid(-logits)).sum()
    return loss, (weights * logits.sigmoid()).scatter_(1, positive, -torch.sigmoid(-at_positive))


def _triplet_terms(
    logits: Tensor, positive: Tensor, margin: float, semi_hard: bool, reduction: Reduction
) -> tuple[Tensor, Tensor]:
    at_positive = logits.gather(1, positive)
    weights = _negative_weights(logits, positive, semi_hard, reduction)
    violation = (logits - at_positive + margin).clamp_(min=0)
    slope = weights * (violation > 0)
    return (weights * violation).sum(), slope.scatter_(1, positive, -slope.sum(dim=1, keepdim=True))


def _negative_weights(
    logits: Tensor, positive: Tensor, semi_hard: bool, reduction: Reduction
) -> Tensor:
    """What each key weighs as a negative in its anchor's loss, [a, K].

    That is all keys but the positive, or one semi-hard one.
    """
    if semi_hard:
        # That it lies inside a margin needs no asking: beyond, its loss is 0. Of equally similar
        # ones the first is taken.
        farther = logits < logits.gather(1, positive)
        closest = logits.masked_fill(~farther, -torch.inf).argmax(dim=1, keepdim=True)
        # 0 where no key is farther than the positive, and argmax has nothing to find.
        weight_of_closest = farther.gather(1, closest).to(logits.dtype)
        return torch.zeros_like(logits).scatter_(1, closest, weight_of_closest)

    weight = 1 / max(1, logits.shape[1] - 1) if reduction == "mean" else 1.0
    return torch.full_like(logits, weight).scatter_(1, positive, 0)


def _blockwise_loss(
    anchors: Tensor,
    keys: Tensor,
    positives: Tensor,
    own: Tensor | None,
    temperature: float,
    terms: Terms,
) -> Tensor:
    loss: Tensor = _BlockwiseLoss.apply(anchors, keys, positives, own, temperature, terms)
    return loss


class _BlockwiseLoss(torch.autograd.Function):
    """The mean loss of anchors [A, D] that are compared with keys [K, D], block by block.

    Logits are anchors @ keys.T / temperature, positives are keys `positives[a]`. Key `own[a]`, if
    given, is the anchor itself and left out. The gradient (Table 2) is taken while a block's
    logits are at hand, so that the matrix [A, K] never exists as a whole and nothing is computed
    twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        keys: Tensor,
        positives: Tensor,
        own: Tensor | None,
        temperature: float,
        terms: Terms,
    ) -> Tensor:
        differentiable = any(ctx.needs_input_grad)
        grad_anchors, grad_keys = torch.empty_like(anchors), torch.zeros_like(keys)
        loss = anchors.new_zeros(())
        for rows in _blocks(anchors, keys):
            anchor = anchors[rows]
            logits = anchor / temperature @ keys.T
            if own is not None:
                logits.scatter_(1, own[rows].unsqueeze(1), -torch.inf)

            of_rows, slope = terms(logits, positives[rows].unsqueeze(1))
            loss += of_rows
            if differentiable:
                torch.matmul(slope, keys, out=grad_anchors[rows])
                grad_keys.addmm_(slope.T, anchor)

        if differentiable:
            ctx.save_for_backward(grad_anchors, grad_keys)
            ctx.scale = 1 / (temperature * len(anchors))
        return loss / len(anchors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        grad_anchors, grad_keys = ctx.saved_tensors
        return (
            grad_anchors * (grad * ctx.scale),
            grad_keys * (grad * ctx.scale),
            None,
            None,
            None,
            None,
        )
