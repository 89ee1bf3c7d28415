"""Digests of weights: what features are keyed by, and the proof that an evaluation froze them."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["encoder_digest", "tensors_digest", "unchanged"]


def encoder_digest(encoder: nn.Module) -> str:
    """Return a hex digest of every parameter and buffer of an encoder.

    Also of buffers that are no part of the state, as the statistics by which images are normalised.
    """
    return tensors_digest({**encoder.state_dict(), **dict(encoder.named_buffers())})


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a hex digest of named tensors, whatever their order and device."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Check that what is done meanwhile leaves an encoder or a head as it is.

    Raises RuntimeError at the end if a parameter or a buffer is another one.
    """
    before = encoder_digest(module)
    yield

    if encoder_digest(module) != before:
        raise RuntimeError(
            "the evaluation changed the encoder or the head that it had to leave frozen"
        )
