"""Batches beyond memory: the exact gradient of a batch's loss, a chunk of the batch at a time.

A contrastive loss compares every image of a batch with every other, so that the gradients of parts
cannot simply be added. Gradient caching (Gao et al. 2021, arXiv 2101.06983) takes two passes: the
outputs of all chunks first, without a graph; then the loss and its gradient by these outputs, which
are small; and last each chunk again, whose graph that gradient enters. What is held is one chunk's
graph and the outputs of all.

The gradient is that of one pass, up to rounding, wherever the outputs of an image do not depend on
the other images of its batch. Batch normalisation makes them depend: here each chunk, over all
workers, is normalised by itself, as in a pass over a network whose BN sees groups of that size. So
a run in chunks is another run than one without, and an equal one on any number of workers.

Shapes: N images of the global batch, n of them on this worker, V views of each, P the width of the
outputs, D that of h.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from workloads.distributed.data_parallel import own_share
from workloads.distributed.worker import Worker
from workloads.simclr.batch_norm import statistics_kept

__all__ = ["backward_in_chunks", "numbers_of", "own_chunks"]

# A network and some images' views to its outputs and, where asked for, h.
Forward = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor | None]]


def own_chunks(batch: int, chunk: int | None, worker: Worker) -> list[slice]:
    """Return which images of a batch this worker has, a slice for each chunk of the batch.

    Every worker has its share of each chunk; without `chunk`, of the whole batch.
    """
    size = chunk or batch
    share = own_share(size, worker)
    return [slice(start + share.start, start + share.stop) for start in range(0, batch, size)]


def numbers_of(chunks: Sequence[slice]) -> Tensor:
    """Return the positions in the batch of all images of the chunks, int64 [n]."""
    return torch.cat([torch.arange(chunk.start, chunk.stop) for chunk in chunks])


def backward_in_chunks(
    model: nn.Module,
    chunks: Sequence[Callable[[], Tensor]],
    forward: Forward,
    loss_of: Callable[[Tensor], Tensor],
    views_per_image: int,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Add the gradient of the loss of all chunks' outputs to the parameters of `model`.

    `chunks` make the views of a chunk's images, twice the same. Outputs go to `loss_of` in the
    order of one pass: [V n, P], all first views before all second ones. Returns them, h [V n, D]
    if `forward` gives it, and the loss, without graphs. Running statistics of BN move once for
    each chunk.
    """
    network: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
    with torch.no_grad(), statistics_kept(network):
        passed = [forward(network, views()) for views in chunks]
    outputs = _joined([of_chunk for of_chunk, _ in passed], views_per_image)
    features = [h for _, h in passed if h is not None]

    outputs.requires_grad_()
    loss = loss_of(outputs)
    (gradient,) = torch.autograd.grad(loss, outputs)
    images = [len(of_chunk) // views_per_image for of_chunk, _ in passed]
    gradients = torch.split(_by_view(gradient, views_per_image), images, dim=1)

    last = len(chunks) - 1
    for number, (views, of_chunk) in enumerate(zip(chunks, gradients, strict=True)):
        # Workers exchange the sum over all chunks, once.
        waits = number < last and isinstance(model, DistributedDataParallel)
        with model.no_sync() if waits else nullcontext():  # type: ignore[operator]
            again, _ = forward(model, views())
            again.backward(of_chunk.flatten(0, 1))  # type: ignore[no-untyped-call]

    joined = _joined(features, views_per_image) if features else None
    return outputs.detach(), joined, loss.detach()


def _joined(of_chunks: list[Tensor], views_per_image: int) -> Tensor:
    """Outputs of chunks [V c, P], each in its order of views, as those of one pass [V n, P]."""
    by_view = [_by_view(each, views_per_image) for each in of_chunks]
    return torch.cat(by_view, dim=1).flatten(0, 1)


def _by_view(outputs: Tensor, views_per_image: int) -> Tensor:
    """[V n, P] as [V, n, P]."""
    return outputs.view(views_per_image, -1, outputs.shape[-1])
