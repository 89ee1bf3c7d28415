"""Frozen features, and the proof that extracting them left the encoder as it was."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workloads.datasets import Split
from workloads.simclr.views import center_view
from workloads.worker import Worker

__all__ = ["encoder_digest", "extract"]


def extract(
    encoder: nn.Module, split: Split, *, view_size: int, worker: Worker, bf16: bool, batch: int = 500
) -> NDArray[np.float32]:
    """Features h [N, D] of a split's images, resized as at test time (no augmentation), in the split's order."""
    was_training = encoder.training
    encoder.eval()
    rows = []
    with torch.inference_mode(), torch.autocast(worker.device.type, torch.bfloat16, enabled=bf16):
        for start in range(0, len(split), batch):
            images = split.take(slice(start, start + batch)).to(worker.device)
            views = center_view(images, view_size).contiguous(memory_format=torch.channels_last)
            rows.append(encoder(views).float().cpu())
    encoder.train(was_training)
    return torch.cat(rows).numpy()


def encoder_digest(encoder: nn.Module) -> str:
    """Hex digest of every parameter and buffer: equal before and after an evaluation that froze the encoder."""
    sha = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
