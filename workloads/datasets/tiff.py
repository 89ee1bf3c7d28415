"""TIFF files that PIL cannot open, or only with a loss: deep samples, and bands of any number.

PIL keeps 8 bits of a 16-bit colour image, takes a band that is not said to be alpha for nothing,
and refuses most numbers of bands. Here strips and tiles are put together as they are stored; what
was compressed by a scheme that works on bytes is handed to PIL's libtiff as grey rows of bytes.
Everything else is left to PIL.

Source: TIFF revision 6.0, its technical note 3 (predictor of floating point), and BigTIFF.

Legend: H rows, W columns, C bands.
"""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Layout", "layout_of", "samples_of"]

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
ALPHAS = (1, 2)  # of ExtraSamples: associated and unassociated; 0 is anything
PLAIN, DEFLATE = 1, (8, 32946)
BY_LIBTIFF = (5, 32773, 34925, 50000)  # LZW, PackBits, LZMA, Zstandard
KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # of SampleFormat
MOST_VALUES = 1 << 22  # of one tag
COMMON, LARGER = 1 << 20, 4  # pixels of a tile, which may be larger than its image, within reason
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class Layout:
    """How the first image of a file is stored: [H, W, C] of `dtype`, in strips or tiles.

    `extra` says of each band beyond grey or RGB what it is, in the numbers of ExtraSamples.
    """

    width: int
    height: int
    bands: int
    dtype: np.dtype[Any]
    is_grey: bool
    is_white_zero: bool
    extra: tuple[int, ...]
    pages: int
    compression: int
    predictor: int
    is_planar: bool
    segment: tuple[int, int]  # columns and rows of a strip or tile
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def is_deep(self) -> bool:
        """Return whether samples are anything else than unsigned numbers of 8 bits."""
        return self.dtype != np.uint8

    @property
    def bytes_of_pixel(self) -> int:
        """Return what a pixel takes with all of its bands."""
        return self.bands * self.dtype.itemsize


def layout_of(file: BinaryIO) -> Layout | None:
    """Read the layout from the header; None for a file that is left to PIL.

    The file is at its beginning before and after. Raises ValueError for a TIFF file whose tags
    contradict each other or are cut off.
    """
    start = file.read(16)
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 16:
        return None
    version = struct.unpack(order + "H", start[2:4])[0]
    if version not in (42, 43):
        return None
    tags, pages = _tags(file, order, version == 43, start)
    file.seek(0)
    return _layout(order, tags, pages)


def samples_of(file: BinaryIO, layout: Layout) -> NDArray[Any]:
    """Read the samples of an image: [H, W, C], in this machine's byte order.

    Raises ValueError where data are lacking or cannot be unpacked.
    """
    columns, rows = layout.segment
    across, down = -(-layout.width // columns), -(-layout.height // rows)
    planes = layout.bands if layout.is_planar else 1
    if min(len(layout.offsets), len(layout.lengths)) < across * down * planes:
        raise ValueError("has fewer strips or tiles than its size needs")

    samples = np.empty((layout.height, layout.width, layout.bands), layout.dtype.newbyteorder("="))
    for number in range(across * down * planes):
        plane, place = divmod(number, across * down)
        top, left = place // across * rows, place % across * columns
        # The last strip is as short as the image wants it, tiles are all whole.
        is_strip = columns == layout.width
        stored = min(rows, layout.height - top) if is_strip else rows
        part = _segment(file, layout, number, stored)
        bands = slice(plane, plane + 1) if layout.is_planar else slice(None)
        place_of = samples[top : top + stored, left : left + columns, bands]
        place_of[:] = part[: place_of.shape[0], : place_of.shape[1]]
    return samples


def _tags(
    file: BinaryIO, order: str, is_big: bool, start: bytes
) -> tuple[dict[int, tuple[int, ...]], int]:
    """The numbers of the first directory, by their tags, and how many directories there are."""
    word, entry, count_type = ("Q", 20, "Q") if is_big else ("I", 12, "H")
    inline = 8 if is_big else 4
    at = struct.unpack(order + word, start[8:16] if is_big else start[4:8])[0]
    first: dict[int, tuple[int, ...]] | None = None
    seen: set[int] = set()
    while at and at not in seen and len(seen) < 1 << 16:
        seen.add(at)
        file.seek(at)
        count = struct.unpack(order + count_type, _exactly(file, struct.calcsize(count_type)))[0]
        directory = _exactly(file, min(count, 1 << 16) * entry)
        at = struct.unpack(order + word, _exactly(file, inline))[0]
        if first is None:
            first = {}
            for begin in range(0, len(directory), entry):
                tag, kind = struct.unpack(order + "HH", directory[begin : begin + 4])
                if kind in _TYPES:
                    first[tag] = _values(file, order, word, _TYPES[kind], directory[begin + 4 :])
    return first or {}, len(seen)


def _values(file: BinaryIO, order: str, word: str, kind: str, entry: bytes) -> tuple[int, ...]:
    inline = struct.calcsize(word)
    count = struct.unpack(order + word, entry[:inline])[0]
    length = count * struct.calcsize(kind)
    data = entry[inline : inline + length]
    if count > MOST_VALUES:
        raise ValueError("a tag of this TIFF file has too many values")
    if length > inline:
        file.seek(struct.unpack(order + word, entry[inline : 2 * inline])[0])
        data = _exactly(file, length)
    return struct.unpack(f"{order}{count}{kind}", data)


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise ValueError("TIFF file is cut off")
    return data


def _layout(order: str, tags: dict[int, tuple[int, ...]], pages: int) -> Layout | None:
    """None where PIL knows more of it, or gives the same."""

    def one(tag: int, default: int = 0) -> int:
        return (tags.get(tag) or (default,))[0]

    bands = one(277, 1)
    bits, formats = {*tags.get(258, (1,))}, {*tags.get(339, (1,))}
    photometric, compression = one(262, -1), one(259, PLAIN)
    is_known = (
        photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
        and compression in (PLAIN, *DEFLATE, *BY_LIBTIFF)
        and len(bits) == len(formats) == 1
        and {*formats} <= {*KINDS}
        and one(266, 1) == 1  # the order of bits within a byte
        and one(284, 1) in (1, 2)
        and bands >= 1
    )
    if not is_known:
        return None

    kind, width_of = KINDS[formats.pop()], bits.pop()
    if width_of not in ((16, 32, 64) if kind == "f" else (8, 16, 32, 64)):
        return None
    of_colour = 3 if photometric == RGB else 1
    if bands < of_colour:
        raise ValueError(f"is said to be RGB and has {bands} bands")
    declared = tags.get(338, ())[: bands - of_colour]
    extra = declared + (0,) * (bands - of_colour - len(declared))
    dtype = np.dtype(f"{order}{kind}{width_of // 8}")
    if dtype == np.uint8 and (not extra or (len(extra) == 1 and extra[0] in ALPHAS)):
        return None

    width, height = one(256), one(257)
    segment = (one(322), one(323)) if 322 in tags else (width, min(one(278, height), height))
    if min(width, height, *segment) < 1:
        raise ValueError(f"has {width} x {height} pixels in parts of {segment[0]} x {segment[1]}")
    if segment[0] * segment[1] > LARGER * max(width * height, COMMON):
        raise ValueError(f"has tiles of {segment[0]} x {segment[1]}, larger than itself")
    is_tiled = 322 in tags and 324 in tags
    return Layout(
        width,
        height,
        bands,
        dtype,
        photometric != RGB,
        photometric == WHITE_IS_ZERO,
        extra,
        pages,
        compression,
        one(317, 1),
        one(284, 1) == 2 and bands > 1,
        segment,
        tags.get(324 if is_tiled else 273, ()),
        tags.get(325 if is_tiled else 279, ()),
    )


def _segment(file: BinaryIO, layout: Layout, number: int, rows: int) -> NDArray[Any]:
    """One strip or tile: [rows, columns, bands], or one band of a planar image."""
    columns, bands = layout.segment[0], 1 if layout.is_planar else layout.bands
    of_row = columns * bands * layout.dtype.itemsize
    file.seek(layout.offsets[number])
    data = file.read(min(layout.lengths[number], 2 * rows * of_row + (1 << 16)))
    if layout.compression in DEFLATE:
        data = zlib.decompressobj().decompress(data, rows * of_row)
    elif layout.compression != PLAIN:
        data = _by_libtiff(data, layout.compression, of_row, rows)
    if len(data) < rows * of_row:
        raise ValueError(f"TIFF file is cut off: {len(data)} of {rows * of_row} bytes of a part")

    data = data[: rows * of_row]
    if layout.predictor == 3:
        return _of_float_predictor(data, layout.dtype, rows, columns, bands)
    stored = np.frombuffer(data, layout.dtype).reshape(rows, columns, bands)
    if layout.predictor != 2:
        return stored
    words = stored.view(f"{layout.dtype.byteorder}u{layout.dtype.itemsize}")
    words = words.astype(words.dtype.newbyteorder("="))
    return np.cumsum(words, axis=1, dtype=words.dtype).view(layout.dtype.newbyteorder("="))


def _of_float_predictor(
    data: bytes, dtype: np.dtype[Any], rows: int, columns: int, bands: int
) -> NDArray[Any]:
    differences = np.frombuffer(data, np.uint8).reshape(rows, -1, bands)
    by_weight = np.cumsum(differences, axis=1, dtype=np.uint8)
    planes = by_weight.reshape(rows, dtype.itemsize, columns * bands)
    together = np.ascontiguousarray(planes.transpose(0, 2, 1))
    return together.view(dtype.newbyteorder(">")).reshape(rows, columns, bands)


def _by_libtiff(data: bytes, compression: int, columns: int, rows: int) -> bytes:
    """Unpack the bytes of one strip as a grey image of 8 bits."""
    tags = (
        (256, columns),
        (257, rows),
        (258, 8),
        (259, compression),
        (262, BLACK_IS_ZERO),
        (273, 8),
        (277, 1),
        (278, rows),
        (279, len(data)),
    )
    padded = data + b"\0" * (len(data) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(padded))
    whole = head + padded + struct.pack("<H", len(tags)) + entries + b"\0" * 4
    with Image.open(BytesIO(whole)) as image:
        return image.tobytes()
