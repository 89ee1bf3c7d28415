"""What an evaluation has done so far, kept so that a killed one goes on and does not begin again.

Whoever evaluates says where the pieces lie; evaluations read and leave them by name. Without such a
place nothing is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ["Shelf", "keeping_pieces", "shelf_in_use"]


class Shelf(Protocol):
    """Where the pieces of one evaluation lie."""

    def read_piece(self, name: str) -> dict[str, Any] | None:
        """Read a piece; None where there is none, or a damaged one."""

    def write_piece(self, name: str, piece: dict[str, Any]) -> None:
        """Replace a piece, which has tensors and plain values."""


_shelf: ContextVar[Shelf | None] = ContextVar("_shelf", default=None)


@contextmanager
def keeping_pieces(shelf: Shelf) -> Iterator[None]:
    """Have the evaluations inside keep their pieces there."""
    token = _shelf.set(shelf)
    try:
        yield
    finally:
        _shelf.reset(token)


def shelf_in_use() -> Shelf | None:
    """Return where pieces are kept now, if anywhere."""
    return _shelf.get()
