"""Images of any size as the squares that are stored."""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

__all__ = ["Decoded", "decode", "fit", "fit_all", "glance", "read"]

CHUNK = 256
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


class Decoded(NamedTuple):
    """One image: pixels uint8 [3, S, S], or None and the reason why it cannot be read."""

    pixels: NDArray[np.uint8] | None
    is_grey: bool = False
    reason: str = ""


def fit(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Fit an RGB image to uint8 [3, size, size]: the shorter side resized, the centre kept.

    Resized bicubically, low-passed. An image of that size is kept as it is. Rounding follows
    torchvision's Resize and CenterCrop.
    """
    if image.size != (size, size):
        short = min(image.size)
        width, height = (int(size * side / short) for side in image.size)
        left, top = round((width - size) / 2), round((height - size) / 2)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        image = image.crop((left, top, left + size, top + size))
    return np.asarray(image).transpose(2, 0, 1)


def fit_all(images: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield chunks of uint8 [n, 3, size, size] from grey [N, H, W] or colour [N, H, W, 3]."""
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        yield np.stack([fit(Image.fromarray(image).convert("RGB"), size) for image in chunk])


def read(path: Path, size: int) -> Decoded:
    """Read the image in a file, fitted to `size`; anything wrong with it becomes the reason."""
    try:
        with Image.open(path) as image:
            return Decoded(fit(_rgb(image), size), _is_grey(image))
    except UNREADABLE as error:
        return Decoded(
            None, reason=str(error).replace(str(path), path.name) or type(error).__name__
        )


def decode(data: bytes, size: int) -> Decoded:
    """Decode the image in the bytes of a file, as `read` does."""
    try:
        with Image.open(BytesIO(data)) as image:
            return Decoded(fit(_rgb(image), size), _is_grey(image))
    except UNREADABLE as error:
        return Decoded(None, reason=_reason(error))


def glance(data: bytes) -> Decoded:
    """Read the header of an image: whether it is grey, or the reason why it is unreadable.

    Its pixels are None. The beginning of a file is enough for most formats; where it is not, the
    reason says so.
    """
    try:
        with Image.open(BytesIO(data)) as image:
            _refuse_float(image)
            return Decoded(None, _is_grey(image))
    except UNREADABLE as error:
        return Decoded(None, reason=_reason(error))


def _reason(error: Exception) -> str:
    # Whose own words name an object by its address in memory.
    is_unknown = isinstance(error, UnidentifiedImageError)
    return "cannot identify image file" if is_unknown else str(error) or type(error).__name__


def _is_grey(image: Image.Image) -> bool:
    return image.mode.split(";")[0] in ("1", "L", "LA", "La", "I", "F")


def _refuse_float(image: Image.Image) -> None:
    if image.mode == "F":
        raise ValueError("grey values in floating point have no known range")


def _rgb(image: Image.Image) -> Image.Image:
    _refuse_float(image)
    if image.mode.startswith("I"):  # 16 bits, which PIL would clip to 8 rather than scale
        image = Image.fromarray(
            (np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)
        )
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
