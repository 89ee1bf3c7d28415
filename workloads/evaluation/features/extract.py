"""Frozen features, and the proof that extracting them left the encoder as it was."""

import hashlib
from collections.abc import Generator, Iterator, Mapping

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workloads.datasets import Split
from workloads.distributed.worker import Worker
from workloads.simclr.views import center_view

__all__ = ["encoder_digest", "extract", "feature_blocks", "tensors_digest"]

BATCH = 500


def extract(
    encoder: nn.Module,
    split: Split,
    *,
    view_size: int,
    worker: Worker,
    bf16: bool,
    batch: int = BATCH,
) -> NDArray[np.float32]:
    """Features h [N, D] of a split's images, resized as at test time (no augmentation), in the
    split's order.

    Every worker calls; all but the first get none, [0, D].
    """
    return np.concatenate(
        list(
            feature_blocks(
                encoder, split, view_size=view_size, worker=worker, bf16=bf16, batch=batch
            )
        )
    )


def feature_blocks(
    encoder: nn.Module,
    split: Split,
    *,
    view_size: int,
    worker: Worker,
    bf16: bool,
    batch: int = BATCH,
) -> Generator[NDArray[np.float32]]:
    """The same features `batch` rows at a time, [B, D], so that they need not be in memory
    together.

    Workers compute a batch each and send it to the first, which yields all in order; the others
    yield empty ones. Batches are those of one worker, and so, on equal devices, is every bit of the
    features. All of several workers must go on to the end. The encoder's mode is put back there, or
    when the generator is closed.
    """
    was_training, workers = encoder.training, worker.world_size
    batches = [
        slice(start, min(start + batch, len(split))) for start in range(0, len(split), batch)
    ]
    rounds = [batches[first : first + workers] for first in range(0, len(batches), workers)]
    # Whose turn does not come in the last round repeats its last batch, because every worker has to
    # send something.
    mine = (together[min(worker.rank, len(together) - 1)] for together in rounds)
    encoder.eval()
    try:
        for together, images in zip(rounds, split.stream(mine), strict=True):
            h = _features(encoder, images, view_size, worker, bf16)
            yield from _in_order(h, [rows.stop - rows.start for rows in together], worker)
    finally:
        encoder.train(was_training)


def _features(
    encoder: nn.Module, images: Tensor, view_size: int, worker: Worker, bf16: bool
) -> Tensor:
    with torch.inference_mode(), torch.autocast(worker.device.type, torch.bfloat16, enabled=bf16):
        views = center_view(images.to(worker.device), view_size).contiguous(
            memory_format=torch.channels_last
        )
        h: Tensor = encoder(views).float()
    return h


def _in_order(h: Tensor, sizes: list[int], worker: Worker) -> Iterator[NDArray[np.float32]]:
    """The batches of one round, of these sizes, on the first worker; an empty one on each other."""
    if worker.world_size == 1:
        yield h.cpu().numpy()
        return
    # Only the split's last batch may be smaller than the first of its round; all have to be equally
    # large to be sent.
    sent = functional.pad(h, (0, 0, 0, sizes[0] - len(h))).contiguous()
    gathered = (
        [torch.empty_like(sent) for _ in range(worker.world_size)] if worker.rank == 0 else None
    )
    dist.gather(sent, gathered)
    if gathered is None:
        yield h[:0].cpu().numpy()
        return
    for each, size in zip(gathered, sizes, strict=False):
        yield each[:size].cpu().numpy()


def encoder_digest(encoder: nn.Module) -> str:
    """Hex digest of every parameter and buffer: equal before and after an evaluation that froze the
    encoder.

    Also of buffers that are no part of the state, as the statistics by which images are normalised.
    """
    return tensors_digest({**encoder.state_dict(), **dict(encoder.named_buffers())})


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex digest of named tensors, whatever their order and device."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
