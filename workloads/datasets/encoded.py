"""Images that lie encoded in files and are decoded whenever they are asked for, in any order.

Legend: M stored images, B images asked for, S side in pixels.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.cpus import usable_cpus
from workloads.datasets.pixels import decode
from workloads.datasets.reading import Reading
from workloads.spec import SpecError

__all__ = ["EncodedImages", "Pending", "decoders"]

TASK = 8  # images that a thread decodes in one go
MOST_THREADS = 32


class Pending(NamedTuple):
    """Images that threads are decoding: uint8 [B, 3, S, S], to be read once the parts are done."""

    images: NDArray[np.uint8]
    parts: list[Future[None]]

    def result(self) -> NDArray[np.uint8]:
        """Return the images, once all of them are there.

        Raises SpecError when one cannot be decoded, OSError for a lost file.
        """
        for part in self.parts:
            part.result()
        return self.images

    def cancel(self) -> None:
        """Leave undone what has not been begun."""
        for part in self.parts:
            part.cancel()


class EncodedImages:
    """M images by an index of where they lie, one record each.

    `shape` and length are those of the array they stand for. `read` gives the bytes of a record's
    image, from any thread, and `name` says for people which image it is. Memory holds the batches
    that are under way and no others.
    """

    def __init__(
        self,
        index: NDArray[Any],
        size: int,
        read: Callable[[np.void], bytes],
        name: Callable[[np.void], str],
        reading: Reading | None = None,
    ) -> None:
        self._index, self._size, self._read, self._name = index, size, read, name
        self._reading = reading or Reading()

    def __len__(self) -> int:
        return len(self._index)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return the shape of the array they stand for: M, 3, S, S."""
        return len(self), 3, self._size, self._size

    def start(self, rows: NDArray[np.int64]) -> Pending:
        """Begin to decode the images of `rows` [B], in that order."""
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        records = self._index[rows]
        parts = [
            decoders().submit(
                self._decode, records[start : start + TASK], images[start : start + TASK]
            )
            for start in range(0, len(rows), TASK)
        ]
        return Pending(images, parts)

    def _decode(self, records: NDArray[Any], images: NDArray[np.uint8]) -> None:
        for record, image in zip(records, images, strict=True):
            decoded = decode(self._read(record), self._size, self._reading)
            if decoded.pixels is None:
                raise SpecError(
                    [
                        f"{self._name(record)}: {decoded.reason}; with data.allow_unreadable "
                        "above 0 such images are looked "
                        "for, and left out, before a run starts"
                    ]
                )
            image[:] = decoded.pixels


@cache
def decoders() -> ThreadPoolExecutor:
    """Return the threads of this process that decode.

    PIL lets go of the interpreter's lock meanwhile.
    """
    return ThreadPoolExecutor(min(usable_cpus(), MOST_THREADS), thread_name_prefix="decoder")
