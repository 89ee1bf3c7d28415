"""Milliseconds: which files are images, against what Pillow can decode."""

import io
import warnings
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from workloads.datasets.image_files import (
    NOT_IMAGES,
    NOT_READ,
    image_endings,
    is_image,
    why_no_image,
)


def encoded(format: str, mode: str = "RGB", side: int = 20) -> bytes:
    values = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, format)
    return file.getvalue()


def of(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def never() -> BinaryIO:
    raise AssertionError("the name says it")


@pytest.mark.parametrize(
    "name",
    *[["a.png", "A.JPEG", "b.JfIf", "c.tar.jpg", "d/e.f/g.avif", "h.jp2", "i.TIFF", "j.mpo"]],
)
def test_the_end_of_a_name_shows_an_image_in_any_case(name: str) -> None:
    assert is_image(name, never)


@pytest.mark.parametrize("ending", [".pdf", ".mpg", ".h5", ".eps", ".grib", ".wmf", ".txt"])
def test_documents_videos_and_containers_are_none(ending: str) -> None:
    assert ending not in image_endings()


FORMATS = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "ICO", "DDS", "SGI"]


@pytest.mark.parametrize("format", [*FORMATS, "PCX", "ICNS", "MPO", "AVIF", "QOI"])
def test_a_file_of_another_ending_is_an_image_if_it_begins_like_one(format: str) -> None:
    Image.init()
    if format not in Image.SAVE:
        pytest.skip("Pillow was built without it")
    data = encoded(format)
    for name in ("scan-0001", "photo.v2-17", "a.bin", "folder.png/raw", "x."):
        assert is_image(name, of(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"P5 is the name of a road\n",
        b"#define A 1\n",
        b"BMW",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"%PDF-1.7 ...",
        b"\x00\x00\x01\xba" + bytes(40),
        b"GIF89a",
        b"PK\x03\x04" + bytes(60),
        b"\xff\xd8\xff",
        bytes(64),
    ],
)
def test_other_files_are_none_whatever_they_begin_with(data: bytes) -> None:
    assert why_no_image("notes", of(data)) == NOT_IMAGES
    assert why_no_image("notes.txt", of(data)) == NOT_IMAGES


def test_raw_files_and_heic_are_named_as_images_that_are_not_read() -> None:
    preview = encoded("TIFF")
    for name in ("IMG_1.HEIC", "a.jxl", "b.nef", "c.DNG"):
        assert why_no_image(name, of(preview)) == NOT_READ


def test_a_file_that_cannot_be_opened_is_none() -> None:
    def refused() -> BinaryIO:
        raise PermissionError("no")

    assert why_no_image("notes", refused) == NOT_IMAGES


def test_random_bytes_are_images_exactly_where_pillow_opens_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beginnings of images, cut and changed: never an exception, and Pillow has the last word."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # which says nothing on what a file is
    random = np.random.default_rng(0)
    whole = [encoded(format) for format in FORMATS]
    for _ in range(300):
        data = bytearray(whole[random.integers(len(whole))][: int(random.integers(0, 400))])
        for _ in range(int(random.integers(0, 3))):
            if data:
                data[random.integers(len(data))] = random.integers(256)
        if is_image("cut", of(bytes(data))):
            with (
                warnings.catch_warnings(action="ignore"),
                Image.open(io.BytesIO(bytes(data))) as image,
            ):
                assert image.size
