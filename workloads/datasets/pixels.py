"""Images of any size and depth as the squares that are stored.

What a header says and what decoding gives agree: `glance` and `decode` refuse for equal reasons.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from workloads.datasets.decoder_limits import room_for, unlimited, without_texts
from workloads.datasets.headers import (
    Header,
    header_of,
    remarks_of,
    rgb_of,
    samples_of,
)
from workloads.datasets.reading import Reading
from workloads.datasets.value_range import Ranges, Values, to_bytes

__all__ = ["Decoded", "decode", "fit", "fit_all", "glance", "is_read_anew", "read"]

CHUNK = 256
SCATTERED = (b"II", b"MM", b"GIF8")  # files that say further in how many pictures they have
UNREADABLE = (
    # what PIL's readers raise on files that are not what they should be
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, MemoryError),
    Image.DecompressionBombError,
)
# Pixels of an image on the way to its square; up to it the rounding is torchvision's.
ENLARGED = 1 << 23
REACH = 4  # pixels of the coarser grid that bicubic resampling may look beyond an edge


class Decoded(NamedTuple):
    """One image: pixels uint8 [3, S, S], or None and the reason why it cannot be read.

    `values` are the extremes of an image of more than 8 bits, `is_deep` says that it is one, and
    `remarks` what of it is left out.
    """

    pixels: NDArray[np.uint8] | None
    is_grey: bool = False
    reason: str = ""
    values: Values | None = None
    is_deep: bool = False
    remarks: tuple[str, ...] = ()


def fit(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Fit an RGB image to uint8 [3, size, size]: the shorter side resized, the centre kept.

    Resized bicubically, low-passed. An image of that size is kept as it is. Rounding follows
    torchvision's Resize and CenterCrop. Of a strip, the part that will be kept is cut out first:
    enlarged as a whole it could take any amount of memory.
    """
    if image.size != (size, size):
        short = min(image.size)
        width, height = (int(size * side / short) for side in image.size)
        left, top = round((width - size) / 2), round((height - size) / 2)
        if width * height > ENLARGED:
            image = _resized_part(image, (width, height), (left, top), size)
        else:
            image = image.resize((width, height), Image.Resampling.BICUBIC)
            image = image.crop((left, top, left + size, top + size))
    return np.asarray(image).transpose(2, 0, 1)


def _resized_part(
    image: Image.Image, resized: tuple[int, int], corner: tuple[int, int], size: int
) -> Image.Image:
    """The square at `corner` of what `resized` pixels would be, without making these."""
    bounds, box = [], []
    for side, wanted, start in zip(image.size, resized, corner, strict=True):
        scale = side / wanted
        first, last = start * scale, (start + size) * scale
        # Of what is cut out first, positions are small enough for PIL's single precision.
        reach = REACH * max(1.0, scale)
        begin, end = max(0, int(first - reach)), min(side, int(last + reach) + 1)
        bounds.append((begin, end))
        box.append((first - begin, min(last, side) - begin))
    (x0, x1), (y0, y1) = bounds
    (left, right), (top, bottom) = box
    return image.crop((x0, y0, x1, y1)).resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, right, bottom)
    )


def fit_all(images: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield chunks of uint8 [n, 3, size, size] from grey [N, H, W] or colour [N, H, W, 3]."""
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        yield np.stack([fit(Image.fromarray(image).convert("RGB"), size) for image in chunk])


def read(path: Path, size: int, reading: Reading | None = None) -> Decoded:
    """Read the image in a file, fitted to `size`; anything wrong with it becomes the reason."""
    try:
        with path.open("rb") as file:
            decoded = _decoded(file, size, reading or Reading())
    except OSError as error:
        return Decoded(None, reason=str(error).replace(str(path), path.name))
    if decoded.pixels is None and "MAX_TEXT" in decoded.reason:
        return decode(path.read_bytes(), size, reading)
    return decoded


def decode(data: bytes, size: int, reading: Reading | None = None) -> Decoded:
    """Decode the image in the bytes of a file, as `read` does."""
    decoded = _decoded(BytesIO(data), size, reading or Reading())
    if decoded.pixels is None and "MAX_TEXT" in decoded.reason:
        return _decoded(BytesIO(without_texts(data)), size, reading or Reading())
    return decoded


def glance(data: bytes, reading: Reading | None = None, *, is_whole: bool = True) -> Decoded:
    """Read the header of an image: whether it is grey, or the reason why it is unreadable.

    Its pixels are None. The beginning of a file is enough for most formats, and `data` may be that
    if `is_whole` says so; where it is not enough, the reason says so.
    """
    reading = reading or Reading()
    if not is_whole and data.startswith(SCATTERED):
        return Decoded(None, reason="has to be read as a whole")
    try:
        with unlimited(), header_of(BytesIO(data), reading.channels) as header:
            _refuse(header, reading)
            remarks = remarks_of(header, reading.channels)
            return Decoded(None, header.is_grey, "", None, header.is_deep, remarks)
    except UNREADABLE as error:
        if "MAX_TEXT" in str(error) and (shorter := without_texts(data)) != data:
            return glance(shorter, reading)
        return Decoded(None, reason=_reason(error))


def is_read_anew(files: Iterable[BinaryIO]) -> bool:
    """Return whether other pixels were stored for these files before there was a value range.

    Their samples were cut to the upper 8 of 16 bits, whatever they held, and bands that are not
    said to be alpha were dropped. Of files that hold all of 16 bits nothing changed.
    """
    known: bool | None = None
    is_deep = False
    for file in files:  # to the end, for the caller digests them on the way
        if known is not None:
            continue
        try:
            with unlimited(), header_of(file, None) as header:
                if header.problem and header.layout is not None:
                    known = True
                if known or not header.is_deep:
                    continue
                samples = samples_of(header, file, None)
                values = to_bytes(samples, Ranges())[1]
        except UNREADABLE:
            continue
        if values.is_real:
            continue  # which was refused
        is_deep = True
        if values.low < 0 or values.high >= 1 << 16 or header.is_inverted:
            known = True
        elif values.high >= 1 << 14:
            known = False
    return is_deep if known is None else known


def _decoded(file: BinaryIO, size: int, reading: Reading) -> Decoded:
    try:
        with unlimited(), header_of(file, reading.channels) as header:
            _refuse(header, reading)
            with room_for(header.pixels):
                return _pixels(header, file, size, reading)
    except UNREADABLE as error:
        return Decoded(None, reason=_reason(error))


def _pixels(header: Header, file: BinaryIO, size: int, reading: Reading) -> Decoded:
    if not header.is_deep:
        image, values = rgb_of(header, file, reading.channels), None
    else:
        samples = samples_of(header, file, reading.channels)
        levels, values = to_bytes(samples, reading.ranges)
        if header.is_inverted:
            levels = 255 - levels
        is_one = levels.shape[2] == 1
        image = Image.fromarray(levels[..., 0] if is_one else levels).convert("RGB")
    pixels = fit(image, size)
    remarks = remarks_of(header, reading.channels)
    return Decoded(pixels, header.is_grey, "", values, header.is_deep, remarks)


def _refuse(header: Header, reading: Reading) -> None:
    """Raise ValueError for what is not taken, by the header alone."""
    if header.pixels > reading.max_pixels:
        width, height = header.size
        raise ValueError(
            f"has {width} x {height} pixels, more than data.max_pixels={reading.max_pixels}"
        )
    if header.problem:
        raise ValueError(header.problem)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "does not fit into memory (data.max_pixels bounds what is tried)"
    # Whose own words name an object by its address in memory.
    is_unknown = isinstance(error, UnidentifiedImageError)
    return "cannot identify image file" if is_unknown else str(error) or type(error).__name__
