"""Which files are images: those that can be decoded, whatever they are called.

Most show it by the ends of their names, in any case: the endings of all formats that Pillow
decodes by itself. A file of another ending, or of none, is an image if it begins like one. So
folders and tar files have the same images. Formats that Pillow only finds (documents, videos,
scientific containers) are none, and neither are cameras' raw files, whose TIFF header leads to a
small preview in place of the picture.
"""

import struct
import threading
import warnings
from collections.abc import Callable
from functools import cache
from typing import BinaryIO

from PIL import Image

from workloads.datasets.decoder_limits import unlimited
from workloads.datasets.tiff import layout_of

__all__ = ["NOT_IMAGES", "NOT_READ", "image_endings", "is_image", "why_no_image"]

NOT_IMAGES = "files that are no images"
NOT_READ = "images of a kind that is not read here (convert them to PNG or JPEG)"

# Pillow hands these to other programs or plugins, or shows one picture of a video.
_NOT_DECODED = ("BUFR", "EPS", "FLI", "GRIB", "HDF5", "IPTC", "MPEG", "PALM", "PDF", "WMF")
_FOREIGN = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".dcm", ".exr", ".jxr"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"),
)
_QUIET = threading.Lock()  # filters of warnings are those of all threads
_BEGINNING = 16  # bytes that Pillow looks at to choose a format
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


@cache
def image_endings() -> frozenset[str]:
    """Return the ends of names, such as `.png`, that show an image."""
    Image.init()
    return frozenset(
        ending
        for ending, format in Image.registered_extensions().items()
        if format not in _NOT_DECODED and (format in Image.OPEN or format == "MPO")
    )


@cache
def _beginnings() -> dict[str, Callable[[bytes], bool | str | None]]:
    """By format, whether Pillow would try it on a file that begins so."""
    Image.init()
    return {
        format: accepts
        for format, (_, accepts) in Image.OPEN.items()
        if accepts is not None and format not in _NOT_DECODED
    }


def is_image(name: str, opened: Callable[[], BinaryIO]) -> bool:
    """Tell whether a file is an image, by its name or, where that does not tell, its bytes.

    `opened` opens the file, or gives its bytes as one, and is called only where it must be.
    """
    return why_no_image(name, opened) is None


def why_no_image(name: str, opened: Callable[[], BinaryIO]) -> str | None:
    """Return why a file is no image, as an inventory says it; None for an image.

    `opened` is as in `is_image`.
    """
    ending = _ending(name)
    if ending in image_endings():
        return None
    if ending in _FOREIGN:
        return NOT_READ
    try:
        with opened() as file:
            return None if _begins_like_an_image(file) else NOT_IMAGES
    except OSError:
        return NOT_IMAGES


def _ending(name: str) -> str:
    base = name.rpartition("/")[2]
    return base[base.rfind(".") :].lower() if "." in base else ""


def _begins_like_an_image(file: BinaryIO) -> bool:
    beginning = file.read(_BEGINNING)
    likely = [format for format, accepts in _beginnings().items() if _tried(accepts, beginning)]
    if not likely:
        return False
    file.seek(0)
    with _QUIET, warnings.catch_warnings(), unlimited():
        warnings.simplefilter("ignore")  # of headers that are nearly right
        try:
            if layout_of(file) is not None:  # with bands that Pillow would not open
                return True
            with Image.open(file, formats=likely):  # which reads the header
                return True
        except _DAMAGED:
            return False


def _tried(accepts: Callable[[bytes], bool | str | None], beginning: bytes) -> bool:
    """A format's own test, which answers with a text where it could read the file but for a part
    that is missing here.
    """
    try:
        return accepts(beginning) is True
    except (IndexError, struct.error):  # of a file that is shorter than any image
        return False
