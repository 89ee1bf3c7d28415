"""Limits of PIL that say nothing on whether a file is sound, and what holds in their place."""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

__all__ = ["room_for", "unlimited", "without_texts"]

LARGE = 1 << 24  # pixels; an image of fewer waits for no other
AT_ONCE = 1 << 28  # pixels of large images that are decoded at the same time, 1 GiB
SIGNATURE = b"\x89PNG\r\n\x1a\n"
WITHOUT_PIXELS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf")

_lock = threading.Lock()
_readers = 0
_limit_of_pil: int | None = None
_in_use = 0
_freed = threading.Condition()


@contextmanager
def unlimited() -> Iterator[None]:
    """Have PIL open images of any size meanwhile; what it was told before holds again afterwards.

    Its limit is one for a process, so that threads that decode at the same time share this.
    """
    global _readers, _limit_of_pil
    with _lock:
        if _readers == 0:
            _limit_of_pil, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                Image.MAX_IMAGE_PIXELS = _limit_of_pil


@contextmanager
def room_for(pixels: int) -> Iterator[None]:
    """Wait until an image of so many pixels may be decoded; one may always be.

    Large ones only: for however many threads decode, memory holds few of them.
    """
    global _in_use
    if pixels < LARGE:
        yield
        return
    with _freed:
        _freed.wait_for(lambda: _in_use == 0 or _in_use + pixels <= AT_ONCE)
        _in_use += pixels
    try:
        yield
    finally:
        with _freed:
            _in_use -= pixels
            _freed.notify_all()


def without_texts(data: bytes) -> bytes:
    """Take the texts, EXIF and colour profile, which change no pixel here, out of a PNG file.

    PIL refuses a file whose texts are longer than it likes. Other files are given back as they are.
    """
    if not data.startswith(SIGNATURE):
        return data
    kept, at = [SIGNATURE], len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind not in WITHOUT_PIXELS:
            kept.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(kept)
