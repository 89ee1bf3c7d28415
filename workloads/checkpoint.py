"""Pre-training states as bytes. Reading never runs code from the file.

A state is a file of `torch.save`, a zip, whose comment is the digest of all that stands before it.
Files of earlier versions have none, and are read as they are.
"""

import hashlib
import io
import math
import struct
from typing import Annotated, Any

from pydantic import Field

from workloads.spec import Part, SpecError

__all__ = ["MOST_KEPT", "CheckpointSpec", "StateError", "decode", "encode", "is_finite"]

BEGIN = b"PK\x03\x04"  # of a zip
END = b"PK\x05\x06"  # begins the last part of a zip, which ends with the length of a comment
MARK = b"simclr-orch sha256 "
LENGTH = len(MARK) + 2 * hashlib.sha256().digest_size
MOST_KEPT = 20  # checkpoints of an unfinished run


class CheckpointSpec(Part):
    """How often a run's state is kept, and how many of them. No result depends on it."""

    every_minutes: Annotated[float, Field(ge=0)] = Field(
        0.25,
        description="minutes between checkpoints, also within an epoch; they are kept more rarely "
        "where writing them would take more than a twentieth of the time",
    )
    keep: Annotated[int, Field(ge=1, le=MOST_KEPT)] = Field(
        2,
        description="how many of the last checkpoints an unfinished run keeps, for when the newest "
        "is damaged",
    )


class StateError(SpecError):
    """A state that training cannot continue from, of another run or damaged."""


def encode(state: dict[str, Any]) -> bytes:
    """Write a state of tensors, numbers, strings, lists and dictionaries as bytes."""
    import torch  # takes seconds, which most of those who know of states can do without

    buffer = io.BytesIO()
    torch.save(state, buffer)
    with buffer.getbuffer() as data:  # not copied: states have gigabytes
        assert data[-22:-18] == END, "torch writes a zip without a comment"
        comment = MARK + hashlib.sha256(data[:-2]).hexdigest().encode()
    buffer.seek(-2, io.SEEK_END)
    buffer.write(struct.pack("<H", len(comment)) + comment)
    return buffer.getvalue()


def decode(data: bytes) -> dict[str, Any]:
    """Read the state in `data`, on the CPU.

    Raises ValueError for a content that is not what was written, which is found out first, and
    pickle.UnpicklingError when it holds anything but plain data.
    """
    import torch

    if not data.startswith(BEGIN):
        raise ValueError("is no file of a state" if data else "is empty")
    comment = data[-LENGTH:]
    if comment.startswith(MARK):
        content = memoryview(data)[: -LENGTH - 2]
        if hashlib.sha256(content).hexdigest().encode() != comment[len(MARK) :]:
            raise ValueError("its content is not what was written: the checksum differs")
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
