"""Milliseconds: what becomes of pixels of every depth, layout and size, against numpy, torchvision
and PIL.
"""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin

from workloads.datasets import decoder_limits, headers
from workloads.datasets.decoder_limits import room_for, unlimited
from workloads.datasets.image_files import is_image
from workloads.datasets.pixels import decode, fit, glance, is_read_anew, read
from workloads.datasets.reading import Reading
from workloads.datasets.value_range import Ranges, Values, range_lines, ranges_of, to_bytes

SIDE = 16
Array = NDArray[Any]


def chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png16(samples: Array, *extra: bytes) -> bytes:
    """A PNG of 16 bits: grey, grey and alpha, RGB or RGBA."""
    height, width, bands = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, chunk(b"IEND", b"")])


def tiff(
    samples: Array,
    *,
    order: str = "<",
    photometric: int | None = None,
    extra: tuple[int, ...] | None = None,
    compression: int = 1,
    predictor: int = 1,
    planar: bool = False,
    segment: tuple[int, int] | None = None,
    rows_per_strip: int = 5,
    big: bool = False,
) -> bytes:
    """A TIFF file of samples [H, W, C], written as its specification says."""
    height, width, bands = samples.shape
    dtype = samples.dtype.newbyteorder(order)
    if segment is None:
        tiles = [samples[top : top + rows_per_strip] for top in range(0, height, rows_per_strip)]
    else:
        columns, rows = segment
        padded = np.zeros(
            (-(-height // rows) * rows, -(-width // columns) * columns, bands), samples.dtype
        )
        padded[:height, :width] = samples
        tiles = [
            padded[top : top + rows, left : left + columns]
            for top in range(0, len(padded), rows)
            for left in range(0, padded.shape[1], columns)
        ]
    parts = [tile[..., band : band + 1] for band in range(bands) for tile in tiles]
    stored = [packed(part, dtype, compression, predictor) for part in (parts if planar else tiles)]

    kind = {"u": 1, "i": 2, "f": 3}[dtype.kind]
    colour = photometric if photometric is not None else (2 if bands >= 3 else 1)
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [8 * dtype.itemsize] * bands),
        259: ("H", [compression]),
        262: ("H", [colour]),
        277: ("H", [bands]),
        284: ("H", [2 if planar else 1]),
        317: ("H", [predictor]),
        339: ("H", [kind] * bands),
    }
    if extra:
        tags[338] = ("H", list(extra))
    lengths = [len(data) for data in stored]
    if segment is None:
        tags |= {278: ("I", [rows_per_strip]), 273: ("I", []), 279: ("I", lengths)}
    else:
        tags |= {
            322: ("I", [segment[0]]),
            323: ("I", [segment[1]]),
            324: ("I", []),
            325: ("I", lengths),
        }
    return laid_out(tags, stored, order, big)


def laid_out(
    tags: dict[int, tuple[str, list[int]]], stored: list[bytes], order: str, big: bool
) -> bytes:
    """Header, data, values that are too long for their entry, and the directory."""
    word, inline = ("Q", 8) if big else ("I", 4)
    body = bytearray(b"\0" * (16 if big else 8))
    offsets = []
    for data in stored:
        offsets.append(len(body))
        body += data
    tags[324 if 324 in tags else 273] = ("I", offsets)
    entries = b""
    for tag in sorted(tags):
        kind, values = tags[tag]
        value = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(value) > inline:
            at = len(body)
            body += value
            value = struct.pack(order + word, at)
        number = {"H": 3, "I": 4}[kind]
        entries += struct.pack(f"{order}HH{word}", tag, number, len(values))
        entries += value.ljust(inline, b"\0")
    directory = struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + b"\0" * inline
    mark = b"II" if order == "<" else b"MM"
    start = len(body)
    if big:
        body[:16] = mark + struct.pack(order + "HHHQ", 43, 8, 0, start)
    else:
        body[:8] = mark + struct.pack(order + "HI", 42, start)
    return bytes(body) + directory


def packed(part: Array, dtype: np.dtype[Any], compression: int, predictor: int) -> bytes:
    if predictor == 2:
        words = part.view(f"u{part.dtype.itemsize}").copy()
        words[:, 1:] -= words[:, :-1].copy()
        data = words.astype(words.dtype.newbyteorder(dtype.byteorder)).tobytes()
    elif predictor == 3:
        rows, columns, bands = part.shape
        in_bytes = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(">")))
        planes = in_bytes.view(np.uint8).reshape(rows, columns * bands, dtype.itemsize)
        by_weight = np.ascontiguousarray(planes.transpose(0, 2, 1)).reshape(rows, -1, bands)
        by_weight[:, 1:] -= by_weight[:, :-1].copy()
        data = by_weight.tobytes()
    else:
        data = part.astype(dtype).tobytes()
    if compression == 8:
        return zlib.compress(data)
    if compression in (5, 32773):
        file = io.BytesIO()
        flat = np.frombuffer(data, np.uint8).reshape(len(part), -1)
        name = {5: "tiff_lzw", 32773: "packbits"}[compression]
        Image.fromarray(flat).save(file, "TIFF", compression=name, tiffinfo={278: len(part)})
        with Image.open(file) as image:
            tags = image.tag_v2  # type: ignore[attr-defined]
            (at,), (length,) = tags[273], tags[279]
        return file.getvalue()[at : at + length]
    return data


def noise(
    dtype: str, bands: int, low: float, high: float, height: int = 13, width: int = 19
) -> Array:
    generator = np.random.default_rng(bands)
    if np.dtype(dtype).kind == "f":
        return generator.uniform(low, high, (height, width, bands)).astype(dtype)
    return generator.integers(int(low), int(high), (height, width, bands), endpoint=True).astype(
        dtype
    )


def square(samples: Array) -> Array:
    """The middle of what would be cut to a square, for images that are no larger than it."""
    return samples


def stored(data: bytes, reading: Reading | None = None, side: int = SIDE) -> Array:
    decoded = decode(data, side, reading)
    assert decoded.pixels is not None, decoded.reason
    return decoded.pixels.transpose(1, 2, 0)


def in_256_steps(samples: Array, low: float, high: float) -> Array:
    """The formula of docs/data.md, a number at a time."""
    width = high - low + (samples.dtype.kind != "f")
    steps = [min(255, int((float(value) - low) * 256 // width)) for value in samples.ravel()]
    return np.array(steps, np.uint8).reshape(samples.shape)


# The range of values


@pytest.mark.parametrize(
    ("largest", "low", "bits"),
    [(200, 0, 8), (256, 0, 10), (4095, 0, 12), (4096, 0, 14), (1 << 14, 0, 16), (65535, 0, 16)],
)
def test_whole_numbers_take_the_fewest_bits_that_hold_them(
    largest: int, low: int, bits: int
) -> None:
    ranges = ranges_of([Values(False, 3, 7), Values(False, low, largest)], [], None)
    assert ranges.integer == (0, 2**bits - 1)
    assert ranges.real == Ranges().real


def test_the_range_is_that_of_the_training_images_unless_it_is_given() -> None:
    signed, real = Values(False, -1000, 3000), Values(True, -2.5, 7.5)
    beyond = Values(True, 0, 1e9)
    assert ranges_of([signed, real], [beyond], None) == Ranges((-1000, 3000), (-2.5, 7.5))
    assert ranges_of([], [beyond, signed], None) == Ranges((-1000, 3000), (0, 1e9))
    assert ranges_of([Values(True, 0.2, 0.9)], [], None).real == (0, 1)
    assert ranges_of([Values(True, 5, 5)], [], None).real == (5, 6), "of one shade"
    assert ranges_of([signed], [], (0, 100)) == Ranges((0, 100), (0, 100))
    assert ranges_of([Values(False, 0, 2**32 - 1)], [], None).integer == (0, 2**32 - 1)


@pytest.mark.parametrize(
    ("samples", "low", "high"),
    [
        (noise("u2", 1, 0, 4095), 0, 4095),
        (noise("u2", 3, 0, 65535), 0, 65535),
        (noise("i2", 1, -1000, 1000), -1000, 1000),
        (noise("u4", 1, 0, 2**32 - 1), 0, 2**32 - 1),
        (noise("f4", 3, 0, 1), 0.0, 1.0),
        (noise("f8", 1, -3, 5), -3.0, 5.0),
        (np.arange(300, dtype="u2").reshape(15, 20, 1), 0, 299),
        (np.arange(300, dtype="u2").reshape(15, 20, 1), 100, 200),
    ],
)
def test_a_range_is_cut_into_256_equal_steps(samples: Array, low: float, high: float) -> None:
    found, values = to_bytes(samples, Ranges((low, high), (low, high)))
    clipped = samples.clip(low, high)
    assert np.array_equal(found, in_256_steps(clipped, low, high))
    assert values == (samples.dtype.kind == "f", samples.min(), samples.max())


def test_all_of_16_bits_are_cut_as_ever() -> None:
    samples = np.arange(65536, dtype="u2").reshape(256, 256, 1)
    assert np.array_equal(to_bytes(samples, Ranges())[0], (samples >> 8).astype("u1"))


def test_samples_that_are_no_numbers_are_a_reason() -> None:
    for odd in (np.nan, np.inf):
        samples = noise("f4", 1, 0, 1)
        samples[3, 4] = odd
        assert decode(tiff(samples), SIDE).reason == "has samples that are infinite or no numbers"


def test_what_is_cut_off_or_loses_its_shades_is_said() -> None:
    values = [Values(False, 0, 65535), Values(False, 0, 200), Values(False, 0, 4000)]
    (line,) = range_lines(Ranges((0, 65535)), values)
    assert line == (
        "3 images of whole numbers beyond 8 bits: 0 to 65535 become 0 to 255; 2 are left with "
        "fewer than 16 shades (see data.value_range)"
    )
    (line,) = range_lines(Ranges((0, 1023)), values[:2])
    assert "; 1 has values outside, which are cut off" in line
    lines = range_lines(Ranges(), [*values, Values(True, 0, 1)])
    assert lines[1] == "1 image of numbers in floating point beyond 8 bits: 0 to 1 become 0 to 255"
    assert range_lines(Ranges(), []) == ()


# Formats, depths and layouts


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_them_all(bands: int) -> None:
    samples = noise("u2", bands, 0, 4095, SIDE, SIDE)
    reading = Reading(ranges=Ranges((0, 4095)))
    colour = samples[..., : 1 if bands < 3 else 3]
    assert np.array_equal(
        stored(png16(samples), reading), in_256_steps(colour, 0, 4095) + np.zeros(3, "u1")
    )
    assert decode(png16(samples), SIDE).is_grey == (bands < 3)
    chosen = Reading(channels=(bands, 1, 1), ranges=Ranges((0, 4095)))
    expected = in_256_steps(samples[..., [bands - 1, 0, 0]], 0, 4095)
    assert np.array_equal(stored(png16(samples), chosen), expected)


LAYOUTS: list[dict[str, Any]] = [
    {},
    {"order": ">"},
    {"planar": True},
    {"segment": (16, 16)},
    {"segment": (16, 16), "planar": True, "order": ">"},
    {"compression": 8},
    {"compression": 8, "predictor": 2, "order": ">"},
    {"compression": 5},
    {"compression": 5, "predictor": 2, "segment": (16, 16)},
    {"compression": 32773, "rows_per_strip": 3},
    {"rows_per_strip": 1000},
    {"big": True},
    {"big": True, "order": ">", "compression": 8},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("dtype", ["i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_tiff_of_every_depth_and_layout(dtype: str, bands: int, layout: dict[str, Any]) -> None:
    low, high = {"u": (0, 4095), "i": (-100, 100), "f": (-3, 5)}[np.dtype(dtype).kind]
    samples = noise(dtype, bands, low, high, 24, 24)
    data = tiff(samples, **layout)
    reading = Reading(ranges=Ranges((low, high), (low, high)))
    found = stored(data, reading, 24)
    assert np.array_equal(found, in_256_steps(samples, low, high) + np.zeros(3, "u1"))
    assert glance(data).is_deep
    assert glance(data).is_grey == (bands == 1)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_predictor_of_floating_point(dtype: str, bands: int) -> None:
    samples = noise(dtype, bands, 0, 1, 24, 24)
    found = stored(tiff(samples, compression=8, predictor=3), side=24)
    assert np.array_equal(found, in_256_steps(samples, 0, 1) + np.zeros(3, "u1"))


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (noise("u2", 1, 0, 65535), {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
        (noise("u2", 1, 0, 65535), {"compression": "tiff_adobe_deflate"}),
        (noise("f4", 1, 0, 1), {"compression": "tiff_lzw"}),
        (noise("f4", 1, 0, 1), {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 3}}),
        (noise("i4", 1, 0, 65535), {"compression": "packbits"}),
    ],
    ids=str,
)
def test_what_libtiff_wrote(samples: Array, options: dict[str, Any]) -> None:
    file = io.BytesIO()
    Image.fromarray(samples[..., 0]).save(file, "TIFF", **options)
    expected, _ = to_bytes(samples, Ranges())
    padded = Image.fromarray(expected[..., 0]).convert("RGB")
    decoded = decode(file.getvalue(), SIDE)
    assert decoded.pixels is not None, decoded.reason
    assert np.array_equal(decoded.pixels, fit(padded, SIDE))


def test_white_may_be_zero() -> None:
    samples = noise("u2", 1, 0, 65535, SIDE, SIDE)
    assert np.array_equal(stored(tiff(samples, photometric=0))[..., :1], 255 - (samples >> 8))


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "F"])
def test_other_formats_of_pil_are_deep_too(mode: str) -> None:
    samples = noise("f4" if mode == "F" else "u2", 1, 0, 1 if mode == "F" else 65535, SIDE, SIDE)
    file = io.BytesIO()
    if mode == "F":
        Image.fromarray(samples[..., 0]).save(file, "PPM")  # PFM
    elif mode == "I":
        file.write(b"P5 16 16 65535\n" + samples.astype(">u2").tobytes())
    else:
        image = Image.frombytes(
            mode, (SIDE, SIDE), samples.astype("<u2" if mode == "I;16" else ">u2").tobytes()
        )
        image.save(file, "PNG" if mode == "I;16" else "TIFF")
    decoded = decode(file.getvalue(), SIDE)
    assert decoded.is_deep
    assert decoded.values == (mode == "F", samples.min(), samples.max())
    low, high = (0, 1) if mode == "F" else (0, 65535)
    expected = in_256_steps(samples, low, high)
    assert decoded.pixels is not None
    assert np.array_equal(decoded.pixels[0], expected[..., 0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_images_of_8_bits_are_pils(mode: str) -> None:
    image = Image.fromarray(noise("u1", 3, 0, 255, SIDE, SIDE)).convert(
        mode if mode != "PA" else "P"
    )
    if mode == "PA":
        image = image.convert("PA")
    for format in ("PNG", "TIFF", "JPEG", "GIF", "BMP", "WEBP"):
        file = io.BytesIO()
        try:
            image.save(file, format)
        except (OSError, KeyError, ValueError):
            continue
        with Image.open(file) as opened:
            transparent = opened.mode == "P" and "transparency" in opened.info
            expected = np.asarray(
                (opened.convert("RGBA") if transparent else opened).convert("RGB")
            )
        assert np.array_equal(stored(file.getvalue()), expected), format
        seen = glance(file.getvalue())
        assert not seen.is_deep
        assert seen.is_grey == decode(file.getvalue(), SIDE).is_grey


# Bands


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize(("bands", "colour"), [(4, 2), (13, 1), (2, 1), (5, 2)])
def test_bands_beyond_colour_are_refused_or_chosen(dtype: str, bands: int, colour: int) -> None:
    high = {"u1": 255, "u2": 65535, "f4": 1}[dtype]
    samples = noise(dtype, bands, 0, high, SIDE, SIDE)
    for declared in ((0,) * (bands - (3 if colour == 2 else 1)), None):
        data = tiff(samples, photometric=colour, extra=declared)
        decoded = decode(data, SIDE)
        assert decoded.reason.startswith(
            f"has {bands} bands, and three are used: data.channels says"
        )
        assert glance(data).reason == decoded.reason
        chosen = stored(data, Reading(channels=(bands, 1, 2)))
        expected = samples[..., [bands - 1, 0, 1]]
        assert np.array_equal(
            chosen, expected if dtype == "u1" else in_256_steps(expected, 0, high)
        )
        lacking = decode(data, SIDE, Reading(channels=(1, 2, bands + 1)))
        assert lacking.reason == (
            f"has {bands} bands, and data.channels=[1, 2, {bands + 1}] asks for number {bands + 1}"
        )
        assert glance(data, Reading(channels=(1, 2, bands + 1))).reason == lacking.reason


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("alpha", [1, 2])
def test_declared_alpha_is_left_out_and_said(dtype: str, alpha: int) -> None:
    samples = noise(dtype, 4, 0, np.iinfo(dtype).max, SIDE, SIDE)
    samples[..., 3] = np.iinfo(dtype).max  # or PIL divides by it
    data = tiff(samples, photometric=2, extra=(alpha,))
    expected = samples[..., :3] if dtype == "u1" else samples[..., :3] >> 8
    assert np.array_equal(stored(data), expected)
    assert decode(data, SIDE).remarks == ("transparency is left out",)
    assert glance(data).remarks == ("transparency is left out",)


def test_images_of_any_bands_and_size_are_images_whatever_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # PIL raises from twice of that
    for bands in (1, 3, 13):
        data = tiff(noise("u2", bands, 0, 9), photometric=1)
        assert is_image("scene-17", partial(io.BytesIO, data))
    file = io.BytesIO()
    Image.new("L", (99, 99)).save(file, "PNG")
    assert is_image("slide", partial(io.BytesIO, file.getvalue()))


def test_channels_of_ordinary_images() -> None:
    image = Image.fromarray(noise("u1", 3, 0, 255, SIDE, SIDE))
    for mode, bands in (("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("P", 3)):
        file = io.BytesIO()
        image.convert(mode).save(file, "PNG")
        of_mode = image.convert(mode).convert("RGB") if mode == "P" else image.convert(mode)
        expected = np.atleast_3d(np.asarray(of_mode))[..., [bands - 1, 0, 0]]
        assert np.array_equal(stored(file.getvalue(), Reading(channels=(bands, 1, 1))), expected)
        lacking = Reading(channels=(1, 1, bands + 1))
        assert f"asks for number {bands + 1}" in decode(file.getvalue(), SIDE, lacking).reason
        assert f"asks for number {bands + 1}" in glance(file.getvalue(), lacking).reason


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_only_the_first_picture_of_a_file_is_read_and_that_is_said(format: str) -> None:
    pictures = [Image.fromarray(noise("u1", 3, 0, 255, SIDE, SIDE)) for _ in range(3)]
    pictures[1:] = [picture.rotate(90) for picture in pictures[1:]]
    file = io.BytesIO()
    pictures[0].save(file, format, save_all=True, append_images=pictures[1:], lossless=True)
    said = "only the first of several pictures in a file is read"
    assert said in decode(file.getvalue(), SIDE).remarks
    assert said in glance(file.getvalue()).remarks
    if format in ("PNG", "TIFF"):
        assert np.array_equal(stored(file.getvalue()), np.asarray(pictures[0]))


# Size and memory


def sizes() -> list[tuple[int, int]]:
    generator = np.random.default_rng(0)
    some = [tuple(int(side) for side in generator.integers(1, 700, 2)) for _ in range(150)]
    return [*some, (8, 8), (1, 1), (16, 900), (900, 17), (500, 499)]


def test_ordinary_images_are_fitted_as_a_whole_and_cut_afterwards() -> None:
    """As torchvision does; see also test_image_folder."""
    whole = Image.fromarray(noise("u1", 3, 0, 255, 700, 700))
    for number, (width, height) in enumerate(sizes()):
        image, size = whole.crop((0, 0, width, height)), (24, 33, 224)[number % 3]
        short = min(width, height)
        wide, high = int(size * width / short), int(size * height / short)
        left, top = round((wide - size) / 2), round((high - size) / 2)
        resized = image.resize((wide, high), Image.Resampling.BICUBIC)
        expected = np.asarray(resized.crop((left, top, left + size, top + size)))
        assert np.array_equal(fit(image, size).transpose(1, 2, 0), expected), (width, height, size)


@pytest.mark.parametrize(("width", "height"), [(3000, 20), (20, 3000), (9000, 2), (7001, 41)])
def test_the_kept_part_of_a_strip_is_what_the_whole_would_give(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth = Image.fromarray(noise("u1", 3, 0, 255, max(height // 8, 2), max(width // 8, 2)))
    image = smooth.resize((width, height), Image.Resampling.BICUBIC)
    for size in (16, 37):
        whole = fit(image, size).astype(int)
        monkeypatch.setattr("workloads.datasets.pixels.ENLARGED", 0)
        part = fit(image, size).astype(int)
        monkeypatch.undo()
        assert abs(whole - part).max() <= 1


def test_a_strip_takes_memory_for_what_is_kept_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    resize = Image.Image.resize

    def noting(image: Image.Image, size: tuple[int, int], *more: Any, **options: Any) -> Any:
        taken.append(size[0] * size[1])
        return resize(image, size, *more, **options)

    monkeypatch.setattr(Image.Image, "resize", noting)
    for width, height in ((20000, 2), (2, 20000), (100_000, 1)):
        file = io.BytesIO()
        Image.new("RGB", (width, height), (9, 8, 7)).save(file, "PNG")
        pixels = stored(file.getvalue(), side=224)
        assert (pixels == [9, 8, 7]).all()
    assert max(taken) == 224 * 224


def test_large_images_are_read_up_to_a_limit_that_is_a_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (400, 300), (1, 2, 3)).save(file, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # PIL raises from twice of that
    assert (stored(file.getvalue()) == [1, 2, 3]).all()
    refusal = "has 400 x 300 pixels, more than data.max_pixels=119999"
    assert decode(file.getvalue(), SIDE, Reading(max_pixels=119_999)).reason == refusal
    assert glance(file.getvalue(), Reading(max_pixels=119_999)).reason == refusal
    assert Image.MAX_IMAGE_PIXELS == 10, "is as it was"


def test_a_small_file_of_endless_pixels_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 2**30, 2**30, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))
    assert "more than data.max_pixels=536870912" in decode(data, SIDE).reason
    assert "more than data.max_pixels=536870912" in glance(data).reason
    tags = tiff(noise("u2", 13, 0, 9, SIDE, SIDE), photometric=1)
    small = Reading(channels=(1, 2, 3), max_pixels=SIDE * SIDE * 6)
    assert "has 16 x 16 pixels" in decode(tags, SIDE, small).reason, "bands count, too"


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "REDUCED_FROM", 100_000)
    monkeypatch.setattr(headers, "REDUCED_TO", 64)
    image = Image.fromarray(noise("u1", 3, 0, 255, 20, 20)).resize((640, 640))
    for progressive in (False, True):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=95, progressive=progressive)
        limited = Reading(max_pixels=80 * 80)
        if progressive:  # which libjpeg holds as a whole
            assert "has 640 x 640 pixels" in decode(file.getvalue(), 32, limited).reason
            continue
        found = stored(file.getvalue(), limited, 32).astype(int)
        expected = fit(image, 32).transpose(1, 2, 0).astype(int)
        assert abs(found - expected).mean() < 4
        assert glance(file.getvalue(), limited).reason == ""


def test_texts_however_long_keep_no_image_from_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 100)
    image, texts, file = (
        Image.new("RGB", (SIDE, SIDE), (5, 6, 7)),
        PngImagePlugin.PngInfo(),
        io.BytesIO(),
    )
    texts.add_text("workflow", "x" * 5000, zip=True)
    image.save(file, "PNG", pnginfo=texts)
    assert (stored(file.getvalue()) == [5, 6, 7]).all()
    assert glance(file.getvalue()).reason == ""


def test_a_lack_of_memory_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(_image: Any) -> None:
        raise MemoryError

    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lacking)
    assert read(tmp_path / "a.png", SIDE).reason == (
        "does not fit into memory (data.max_pixels bounds what is tried)"
    )


def test_limits_of_pil_are_lifted_while_anyone_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with unlimited():
        with unlimited():
            assert Image.MAX_IMAGE_PIXELS is None
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS == 10


def test_few_large_images_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_limits, "LARGE", 10)
    monkeypatch.setattr(decoder_limits, "AT_ONCE", 100)
    within, most, lock = [0], [0], threading.Lock()

    def decoding(pixels: int) -> None:
        with room_for(pixels):
            with lock:
                within[0] += pixels
                most[0] = max(most[0], within[0])
            threading.Event().wait(0.001)
            with lock:
                within[0] -= pixels

    threads = [threading.Thread(target=decoding, args=(40,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 80
    with room_for(1000):  # alone
        pass


# Damage

WHOLE: list[Callable[[], bytes]] = [
    lambda: png16(noise("u2", 3, 0, 4095)),
    lambda: tiff(noise("u2", 3, 0, 4095)),
    lambda: tiff(noise("f4", 3, 0, 1), compression=8, predictor=3),
    lambda: tiff(noise("u1", 4, 0, 255), extra=(0,), compression=5, segment=(16, 16)),
    lambda: tiff(noise("i2", 13, 0, 9), photometric=1, planar=True, big=True),
]


@pytest.mark.parametrize("whole", WHOLE)
def test_damaged_files_have_a_reason_or_pixels(whole: Callable[[], bytes]) -> None:
    data = whole()
    generator = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's own on odd tags
        for _ in range(150):
            damaged = bytearray(data[: generator.integers(1, len(data) + 1)])
            for position in generator.integers(0, len(damaged), generator.integers(0, 4)):
                damaged[position] = generator.integers(0, 256)
            for reading in (None, Reading(channels=(1, 2, 3), max_pixels=1 << 20)):
                decoded = decode(bytes(damaged), SIDE, reading)
                assert (decoded.pixels is None) == bool(decoded.reason)
                if glance(bytes(damaged), reading).reason:
                    assert decoded.reason


def test_results_from_before_are_not_of_images_that_are_read_anew() -> None:
    def is_anew(*files: bytes) -> bool:
        return is_read_anew(map(io.BytesIO, files))

    eight = tiff(noise("u1", 3, 0, 255))
    full, twelve = tiff(noise("u2", 1, 0, 65535)), tiff(noise("u2", 1, 0, 4095))
    assert not is_anew(eight, b"no image", full, twelve)
    assert not is_anew(tiff(noise("f4", 1, 0, 1))), "was refused"
    assert is_anew(eight, twelve)
    assert is_anew(png16(noise("u2", 3, 0, 4095)))
    assert is_anew(tiff(noise("i2", 1, -9000, 30000)))
    assert is_anew(eight, tiff(noise("u1", 4, 0, 255), extra=(0,)))
    seen = map(io.BytesIO, [twelve, full, eight])
    is_read_anew(seen)
    assert next(seen, None) is None, "all are taken, for the digest"


def test_tiles_that_are_larger_than_any_image_are_refused() -> None:
    data = bytearray(tiff(noise("u2", 1, 0, 9), segment=(16, 16), compression=8))
    entry = struct.pack("<HHII", 322, 4, 1, 16)
    at = data.index(entry)
    data[at : at + 12] = struct.pack("<HHII", 322, 4, 1, 1 << 30)
    said = "has tiles of 1073741824 x 16, larger than itself"
    assert decode(bytes(data), SIDE).reason == glance(bytes(data)).reason == said
