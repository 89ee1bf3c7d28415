"""Frozen features, and the proof that extracting them left the encoder as it was."""

import hashlib
from collections.abc import Generator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workloads.datasets import Split
from workloads.simclr.views import center_view
from workloads.worker import Worker

__all__ = ["encoder_digest", "extract", "feature_blocks", "tensors_digest"]

BATCH = 500


def extract(
    encoder: nn.Module, split: Split, *, view_size: int, worker: Worker, bf16: bool, batch: int = BATCH
) -> NDArray[np.float32]:
    """Features h [N, D] of a split's images, resized as at test time (no augmentation), in the split's order."""
    return np.concatenate(list(feature_blocks(encoder, split, view_size=view_size, worker=worker, bf16=bf16, batch=batch)))


def feature_blocks(
    encoder: nn.Module, split: Split, *, view_size: int, worker: Worker, bf16: bool, batch: int = BATCH
) -> Generator[NDArray[np.float32]]:
    """The same features `batch` rows at a time, [B, D], so that they need not be in memory together.

    The encoder's mode is put back at the end, or when the generator is closed.
    """
    was_training = encoder.training
    encoder.eval()
    try:
        for start in range(0, len(split), batch):
            yield _features(encoder, split.take(slice(start, start + batch)), view_size, worker, bf16)
    finally:
        encoder.train(was_training)


def _features(encoder: nn.Module, images: torch.Tensor, view_size: int, worker: Worker, bf16: bool) -> NDArray[np.float32]:
    with torch.inference_mode(), torch.autocast(worker.device.type, torch.bfloat16, enabled=bf16):
        views = center_view(images.to(worker.device), view_size).contiguous(memory_format=torch.channels_last)
        h: NDArray[np.float32] = encoder(views).float().cpu().numpy()
    return h


def encoder_digest(encoder: nn.Module) -> str:
    """Hex digest of every parameter and buffer: equal before and after an evaluation that froze the encoder.

    Also of buffers that are no part of the state, as the statistics by which images are normalised.
    """
    return tensors_digest({**encoder.state_dict(), **dict(encoder.named_buffers())})


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hex digest of named tensors, whatever their order and device."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
