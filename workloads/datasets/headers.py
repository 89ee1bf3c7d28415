"""What the header of an image says, and its samples, whoever reads them, PIL or we.

Legend: H rows, W columns, C bands.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workloads.datasets import tiff

__all__ = ["Channels", "Header", "header_of", "remarks_of", "rgb_of", "samples_of"]

Channels = tuple[int, int, int]

REDUCED_FROM = 178_956_970  # pixels of a JPEG file from which it is decoded at a reduced scale
REDUCED_TO = 1024  # pixels that its shorter side keeps at least: twice the largest image_size
TRANSPARENT = ("RGBA", "RGBa", "LA", "La", "PA")
EXTRA_SAMPLES = 338  # the tag of TIFF that says what bands beyond grey or RGB are
JPEG2000_SIZE = b"\xff\x4f\xff\x51"  # before the marker of sizes, whose byte 38 has the depth
MOST_BYTES = 4  # of a pixel, as PIL has it; more count as more pixels


@dataclass(frozen=True)
class Header:
    """An image that is open and not decoded.

    `pixels` says what decoding takes, in pixels of four bytes. An image `is_deep` whose samples are
    not unsigned numbers of 8 bits, and `is_halved` where only 8 of them can be had. `problem` is
    why it is not taken, or ''.
    """

    size: tuple[int, int]
    pixels: int
    is_grey: bool
    is_deep: bool
    is_halved: bool
    problem: str
    image: Image.Image | None
    layout: tiff.Layout | None

    @property
    def is_inverted(self) -> bool:
        """Return whether a deep image's smallest sample is white."""
        return self.layout is not None and self.layout.is_white_zero


@contextmanager
def header_of(file: BinaryIO, channels: Channels | None) -> Iterator[Header]:
    """Open the image in a file. Raises whatever PIL raises on files that are none."""
    layout = tiff.layout_of(file)
    if layout is not None:
        yield _of_layout(layout, channels)
        return
    with Image.open(file) as image:
        yield _of_pil(image, file, channels)


def rgb_of(header: Header, file: BinaryIO, channels: Channels | None) -> Image.Image:
    """Decode an image of 8 bits: in RGB, or the bands that `channels` names."""
    image = header.image
    if image is None:
        samples = np.ascontiguousarray(samples_of(header, file, channels))
        is_one = samples.shape[2] == 1
        return Image.fromarray(samples[..., 0] if is_one else samples).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if channels is not None:
        bands = image if image.mode in _BANDS else image.convert("RGB")
        each = [bands.getchannel(number - 1) for number in channels]
        return Image.merge("RGB", [band.convert("L") for band in each])
    if image.mode == "La":
        image = image.convert("LA")
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def samples_of(header: Header, file: BinaryIO, channels: Channels | None) -> NDArray[Any]:
    """Decode an image as it is: [H, W, 1] of a grey one, otherwise [H, W, 3]."""
    if header.layout is not None:
        samples = tiff.samples_of(file, header.layout)
    elif header.image is not None and _is_deep_png(header.image):
        samples = _of_deep_png(file, _raw_mode(header.image))
    else:
        assert header.image is not None
        samples = np.asarray(header.image)
    if samples.ndim == 2:
        samples = samples[..., None]
    if channels is not None:
        return samples[..., [number - 1 for number in channels]]
    return samples[..., : 1 if header.is_grey else 3]


def remarks_of(header: Header, channels: Channels | None) -> tuple[str, ...]:
    """Say what of an image is left out; of one that has been decoded, for some have to be sought.

    Never raises: what comes after the first picture of a file may be damaged.
    """
    remarks = []
    image, layout = header.image, header.layout
    if layout is not None:
        alpha, several = any(kind in tiff.ALPHAS for kind in layout.extra), layout.pages > 1
    else:
        assert image is not None
        alpha = image.mode in TRANSPARENT or "transparency" in image.info
        several = True
        with suppress(Exception):
            several = bool(getattr(image, "is_animated", False))
        if header.is_halved:
            remarks.append("only the upper 8 bits of each sample are read")
    if alpha and channels is None:
        remarks.append("transparency is left out")
    if several:
        remarks.append("only the first of several pictures in a file is read")
    return tuple(remarks)


# The modes of PIL whose bands are numbers of one kind each.
_BANDS = {"1": 1, "L": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBX": 4, "CMYK": 4}


def _of_layout(layout: tiff.Layout, channels: Channels | None) -> Header:
    of_colour = 1 if layout.is_grey else 3
    unknown = sum(kind not in tiff.ALPHAS for kind in layout.extra)
    pixels = layout.width * layout.height
    return Header(
        (layout.width, layout.height),
        pixels * max(1, -(-layout.bytes_of_pixel // MOST_BYTES)),
        layout.is_grey and channels is None,
        layout.is_deep,
        False,
        _problem(layout.bands, of_colour, unknown, channels),
        None,
        layout,
    )


def _of_pil(image: Image.Image, file: BinaryIO, channels: Channels | None) -> Header:
    size = image.size
    pixels = size[0] * size[1]
    if min(size) < 1:
        problem = f"has {size[0]} x {size[1]} pixels"
    else:
        problem = _problem_of_pil(image, channels)
    # A progressive file is held as a whole, whatever the scale.
    is_jpeg = image.format in ("JPEG", "MPO") and "progressive" not in image.info
    if is_jpeg and pixels > REDUCED_FROM:
        image.draft(None, (REDUCED_TO, REDUCED_TO))
        pixels = image.size[0] * image.size[1]

    is_grey = image.mode.split(";")[0] in ("1", "L", "LA", "La", "I", "F")
    is_deep = image.mode[0] in "IF" or _is_deep_png(image)
    if _is_deep_png(image):
        is_grey = _raw_mode(image).startswith("LA")
        pixels *= 2
    is_halved = not is_deep and _has_more_bits(image, file)
    is_grey = is_grey and channels is None
    return Header(size, pixels, is_grey, is_deep, is_halved, problem, image, None)


def _problem_of_pil(image: Image.Image, channels: Channels | None) -> str:
    if image.mode[0] in "IF":
        bands = 1
    elif _is_deep_png(image):
        bands = {"LA": 2, "RGB": 3, "RGBA": 4}[_raw_mode(image).partition(";")[0]]
    else:
        bands = _BANDS.get(image.mode, 3)
    unknown = 0
    if image.format == "TIFF":
        extra = image.tag_v2.get(EXTRA_SAMPLES, ())  # type: ignore[attr-defined]
        unknown = sum(kind not in tiff.ALPHAS for kind in extra)
    if channels is not None:
        return _lacking(bands, channels)
    return _problem(bands + unknown, bands, unknown, channels)


def _problem(bands: int, of_colour: int, unknown: int, channels: Channels | None) -> str:
    if channels is None and unknown:
        first = ", ".join(str(min(number, of_colour)) for number in (1, 2, 3))
        return (
            f"has {bands} bands, and three are used: data.channels says which, such as [{first}] "
            "for the first"
        )
    return _lacking(bands, channels)


def _lacking(bands: int, channels: Channels | None) -> str:
    if channels is not None and max(channels) > bands:
        has = "1 band" if bands == 1 else f"{bands} bands"
        return f"has {has}, and data.channels={list(channels)} asks for number {max(channels)}"
    return ""


def _has_more_bits(image: Image.Image, file: BinaryIO) -> bool:
    """Whether samples of an image that PIL has in 8 bits have more in the file, if it says so."""
    if image.format == "PPM":
        tiles = getattr(image, "tile", [])
        arguments = tiles[0][3] if tiles else ()
        return (
            isinstance(arguments, tuple) and isinstance(last := arguments[-1], int) and last > 255
        )
    if image.format == "JPEG2000":
        at = file.tell()
        file.seek(0)
        begin = file.read(4096)
        file.seek(at)
        _, found, size = begin.partition(JPEG2000_SIZE)
        return bool(found) and len(size) > 38 and (size[38] & 127) + 1 > 8
    return ";16" in _raw_mode(image)


def _raw_mode(image: Image.Image) -> str:
    """How samples lie in the file, in PIL's words."""
    tiles = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw if isinstance(raw, str) else ""


def _is_deep_png(image: Image.Image) -> bool:
    """Whether an image has 16 bits of which PIL would keep 8."""
    return image.format == "PNG" and image.mode[0] != "I" and _raw_mode(image).endswith(";16B")


def _of_deep_png(file: BinaryIO, raw: str) -> NDArray[Any]:
    """Both bytes of each sample, by telling PIL that they lie in another order.

    torchvision has a reader of 16 bits, which ends the process on some damaged files.
    """
    if raw.startswith("LA"):  # of which four bytes are what four bands of 8 bits are
        stored = _unpacked(file, "RGBA").astype(np.uint16)
        return stored[..., ::2] << 8 | stored[..., 1::2]
    bands = raw.partition(";")[0]
    upper, lower = (_unpacked(file, f"{bands};16{order}") for order in "BL")
    return upper.astype(np.uint16) << 8 | lower


def _unpacked(file: BinaryIO, raw: str) -> NDArray[np.uint8]:
    file.seek(0)
    with Image.open(file) as image:
        image.tile = [image.tile[0]._replace(args=raw)]
        return np.array(image)
