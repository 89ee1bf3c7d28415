"""Pre-training states as bytes. Reading never runs code from the file."""

import io
from typing import Any

import torch

__all__ = ["decode", "encode"]


def encode(state: dict[str, Any]) -> bytes:
    """Write a state of tensors, numbers, strings, lists and dictionaries as bytes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def decode(data: bytes) -> dict[str, Any]:
    """Read the state in `data`, on the CPU.

    Raises pickle.UnpicklingError when it holds anything but plain data.
    """
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state
