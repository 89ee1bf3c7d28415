"""From samples of more than 8 bits, signed or in floating point, to the 8 bits that are stored.

A format with 16 bits does not say how many of them a camera filled. So what becomes 0 and 255 is
one range for a whole data set: `data.value_range`, or what its training images hold. Nothing of a
test image has a say in it, unless no training image is as deep.

Legend: H rows, W columns, C channels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranges", "Values", "images", "range_lines", "ranges_of", "to_bytes"]

BITS = (8, 10, 12, 14, *range(16, 65))  # what cameras give, and then any number
SHADES = 256
FEW = 16  # shades; an image with fewer has lost most of what it showed
BLOCK = 1 << 20  # samples that are converted in one go, so that memory holds no wide copy of all


class Values(NamedTuple):
    """The smallest and largest sample of one image, and whether it is of floating point."""

    is_real: bool
    low: float
    high: float


class Ranges(NamedTuple):
    """What becomes 0 and 255: of integers, in steps of one, and of floating point.

    The defaults are those of a format: 16 bits, and 0 to 1.
    """

    integer: tuple[float, float] = (0, 65535)
    real: tuple[float, float] = (0.0, 1.0)

    def of(self, is_real: bool) -> tuple[float, float]:
        """Return the range of one of both kinds."""
        return self.real if is_real else self.integer


def to_bytes(samples: NDArray[Any], ranges: Ranges) -> tuple[NDArray[np.uint8], Values]:
    """Cut the range of `samples` [H, W, C] into 256 equal steps; also their own extremes.

    Values beyond the range take its ends. Raises ValueError for samples that are no numbers.
    """
    is_real = samples.dtype.kind == "f"
    low, high = ranges.of(is_real)
    found = Values(is_real, float(samples.min()), float(samples.max()))
    if not np.isfinite([found.low, found.high]).all():
        raise ValueError("has samples that are infinite or no numbers")

    scaled = np.empty(samples.shape, np.uint8)
    # An integer stands for all that lies between it and the next.
    width = high - low + (0 if is_real else 1)
    if not np.isfinite(width):
        raise ValueError(f"has values from {low:g} to {high:g}; data.value_range takes fewer")
    rows = max(1, BLOCK // samples[0].size)
    for top in range(0, len(samples), rows):
        block = samples[top : top + rows].astype(np.float64)
        # Times 256 first, which is exact: a quotient that is a whole number stays one.
        steps = np.floor((block.clip(low, high) - low) * SHADES / width)
        scaled[top : top + rows] = np.minimum(steps, SHADES - 1)
    return scaled, found


def ranges_of(
    train: Sequence[Values], test: Sequence[Values], given: tuple[float, float] | None
) -> Ranges:
    """Find the ranges of a data set from the extremes of its images.

    `given` is `data.value_range`. Of integers none of which is negative: all numbers of 8, 10, 12,
    14, 16 or more bits, as few as hold the largest. Otherwise from the smallest to the largest, and
    of floating point that lies within 0 to 1, that.
    """
    if given is not None:
        return Ranges(given, given)
    integer, real = (_extremes(train, kind) or _extremes(test, kind) for kind in (False, True))
    found = Ranges()
    if integer is not None:
        if integer[0] >= 0:
            bits = next(bits for bits in BITS if integer[1] < 2**bits or bits == BITS[-1])
            integer = (0, 2**bits - 1)
        found = found._replace(integer=integer)
    if real is not None and not 0 <= real[0] <= real[1] <= 1:
        low, high = real
        found = found._replace(real=(low, high if high > low else low + 1))
    return found


def range_lines(ranges: Ranges, values: Sequence[Values]) -> tuple[str, ...]:
    """Say which ranges were used, and of how many images they cut something off, one line each."""
    lines = []
    for is_real, what in ((False, "whole numbers"), (True, "numbers in floating point")):
        of_kind = [each for each in values if each.is_real == is_real]
        if of_kind:
            low, high = ranges.of(is_real)
            line = f"{images(len(of_kind))} of {what} beyond 8 bits: "
            lines.append(f"{line}{low:g} to {high:g} become 0 to 255{_lost(low, high, of_kind)}")
    return tuple(lines)


def _lost(low: float, high: float, values: Sequence[Values]) -> str:
    """What images of one kind lose by a range; '' for nothing to speak of."""
    finest = 0 if values[0].is_real else 1
    step = (high - low + finest) / SHADES
    beyond = sum(each.low < low or each.high > high for each in values)
    narrow = sum(each.high - each.low < FEW * step for each in values) if step > finest else 0
    lost = ""
    if beyond:
        lost += f"; {beyond:,} {'has' if beyond == 1 else 'have'} values outside, which are cut off"
    if narrow:
        lost += f"; {narrow:,} {'is' if narrow == 1 else 'are'} left with fewer than {FEW} shades"
        lost += " (see data.value_range)"
    return lost


def images(count: int) -> str:
    """Return a number of images in words."""
    return f"{count:,} image{'' if count == 1 else 's'}"


def _extremes(values: Sequence[Values], is_real: bool) -> tuple[float, float] | None:
    of_kind = [each for each in values if each.is_real == is_real]
    if not of_kind:
        return None
    return min(each.low for each in of_kind), max(each.high for each in of_kind)
