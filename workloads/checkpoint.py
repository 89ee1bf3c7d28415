"""Pre-training states as bytes. Reading never runs code from the file."""

import io
import math
from typing import Any

from workloads.spec import SpecError

__all__ = ["StateError", "decode", "encode", "is_finite"]


class StateError(SpecError):
    """A state that training cannot continue from, of another run or damaged."""


def encode(state: dict[str, Any]) -> bytes:
    """Write a state of tensors, numbers, strings, lists and dictionaries as bytes."""
    import torch  # takes seconds, which most of those who know of states can do without

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def decode(data: bytes) -> dict[str, Any]:
    """Read the state in `data`, on the CPU.

    Raises pickle.UnpicklingError when it holds anything but plain data.
    """
    import torch

    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def is_finite(tree: Any) -> bool:
    """Tell whether every number in a state is finite, of tensors and outside of them."""
    import torch

    match tree:
        case torch.Tensor():
            return bool(tree.isfinite().all())
        case dict():
            return all(map(is_finite, tree.values()))
        case list() | tuple():
            return all(map(is_finite, tree))
        case float():
            return math.isfinite(tree)
        case _:
            return True
