"""Textures of two colours, drawn so that the mechanism of section 3.1 exists in them.

This is no evidence about photographs. The class is a local motif that is repeated all over the
image, light on dark or dark on light, and two nuisances are drawn for each image, as the paper
explains Figure 5:

- its palette, two colours out of some dozens of pairs, which is all over the image: two crops share
  it, so that cropping alone is nearly solved by the histogram of colours (Figure 6);
- its arrangement: period, angle, phase, a smooth bend and where the light falls, which colour
  distortion leaves as it is, so that it alone is solved by where edges and shades are.

Only what survives both is the class. Either nuisance can be the same for all images
(`data.palette`, `data.arrangement`), which takes its short cut away; the other one stays as it was.

Legend: N images, S side in pixels; lengths are in shares of the side, and in periods inside a
motif. As in shapes.py, all is float64, so that the last bit of a sine does not reach the pixels.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import Labels, Source, write_images
from workloads.datasets.spec import DataSpec
from workloads.spec import digest

__all__ = ["CLASSES", "draw", "source"]

REVISION = 2
SEED = 20_200_630  # the day of the paper's third version
TRAIN_IMAGES, TEST_IMAGES = 4_200, 1_200
TRAIN, TEST = 0, 1
CHUNK = 600

PERIOD = (0.22, 0.55)
# Not all around: an angle survives crops and colours, as the class does, and takes its place in a
# loss. Without any, colour distortion alone would leave more of the class.
TILT = 0.5  # radians to either side
BEND = 0.06  # of the smooth displacement; its slope is 2 pi times as much
GRAIN = 0.05
WAVES = 3  # of white light, each of one period across the image
SHADE = 0.05  # of a wave, at its crest
# So few that a batch has several images of each: then colours do not tell everything, as they do
# not in photographs. With a palette that no other image has, cropping alone learns nothing else.
PALETTES = 24
# Of every channel. They hardly overlap, so that no turn of the hue makes a light colour the darker
# one: which of the two is the motif survives colour distortion, and is part of the class.
LIGHT, DARK = (0.6, 0.95), (0.05, 0.4)
# What `shared` means, in the uniform numbers that are otherwise drawn.
SHARED_PALETTE = (0.9, 0.7, 0.1, 0.2, 0.4, 0.9)
SHARED_ARRANGEMENT = (0.5, 0.63, 0.21, 0.37, 0.71, 0.13)
SHARED_WAVES = (0.1, 0.4, 0.45, 0.9, 0.75, 0.2)

MOTIFS = ("dots", "bricks", "triangles")
TONES = ("light", "dark")
CLASSES = tuple(f"{tone} {motif}" for motif in MOTIFS for tone in TONES)
DRAWN_SO = (
    "textures were drawn so that the mechanism of section 3.1 exists in them: what is found on "
    "them is no evidence about photographs"
)

Floats = NDArray[np.float64]


def source(spec: DataSpec) -> Source:
    """Draw 4,200 training and 1,200 test images, or more if `spec` asks for more.

    The first ones stay the same.
    """
    counts = {
        "train": max(TRAIN_IMAGES, spec.train_images or 0),
        "test": max(TEST_IMAGES, spec.test_images or 0),
    }

    def decode(folder: Path) -> Labels:
        for name, part in (("train", TRAIN), ("test", TEST)):
            chunks = draw(part, counts[name], spec)
            write_images(folder / f"{name}.npy", counts[name], spec.image_size, chunks)
        return Labels(_labels(counts["train"]), _labels(counts["test"]), CLASSES, (DRAWN_SO,))

    drawn = {"palette": spec.palette, "arrangement": spec.arrangement}
    content = digest({"name": "textures", "revision": REVISION} | drawn)
    return Source(content=content, fields=dict(counts), decode=decode)


def draw(part: int, count: int, spec: DataSpec) -> Iterator[NDArray[np.uint8]]:
    """Yield chunks of uint8 [n, 3, size, size], `count` images in all.

    Image number i is of class i modulo the number of classes. What is shared is not taken from the
    random numbers, but they are drawn: the rest of an image stays as it is.
    """
    for start in range(0, count, CHUNK):
        numbers = np.random.PCG64(np.random.SeedSequence([SEED, part, start // CHUNK]))
        yield _draw_chunk(numbers, spec)[: count - start]


def _labels(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64) % len(CLASSES)


def _uniform(numbers: np.random.PCG64, *shape: int) -> Floats:
    """Uniform in [0, 1), from the raw bits, which numpy never changes."""
    bits = numbers.random_raw(int(np.prod(shape)))
    uniform: Floats = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform.reshape(shape)


def _between(uniform: Floats, bounds: tuple[float, float]) -> Floats:
    """Uniform within bounds, shaped [N, 1, 1] to go with pixels."""
    return (bounds[0] + (bounds[1] - bounds[0]) * uniform)[:, None, None]


def _draw_chunk(numbers: np.random.PCG64, spec: DataSpec) -> NDArray[np.uint8]:
    size = spec.image_size
    chosen = np.floor(PALETTES * _uniform(numbers, CHUNK)).astype(np.int64)
    arrangement = _uniform(numbers, CHUNK, 6)
    grain = 2 * _uniform(numbers, CHUNK, size, size) - 1
    waves = _uniform(numbers, CHUNK, 2 * WAVES)
    palette = _uniform(np.random.PCG64(np.random.SeedSequence([SEED])), PALETTES, 6)[chosen]
    if spec.palette == "shared":
        palette = np.broadcast_to(np.array(SHARED_PALETTE), palette.shape)
    if spec.arrangement == "shared":
        arrangement = np.broadcast_to(np.array(SHARED_ARRANGEMENT), arrangement.shape)
        waves = np.broadcast_to(np.array(SHARED_WAVES), waves.shape)

    colors = _colors(palette)[..., None, None]
    covered = _coverage(arrangement, size)[:, None]
    images = colors[:, 0] * covered + colors[:, 1] * (1 - covered) + GRAIN * grain[:, None]
    images += _light(waves, size)[:, None]
    return np.floor(255 * np.clip(images, 0, 1) + 0.5).astype(np.uint8)


def _colors(palette: Floats) -> Floats:
    """A light and a dark colour an image [N, 2, 3], of uniform numbers [N, 6]."""
    light, dark = palette[:, :3], palette[:, 3:]
    return np.stack(
        [LIGHT[0] + (LIGHT[1] - LIGHT[0]) * light, DARK[0] + (DARK[1] - DARK[0]) * dark], axis=1
    )


def _light(waves: Floats, size: int) -> Floats:
    """What smooth waves of light add [N, S, S], each in a direction and with a phase of its own.

    `waves` [N, 2 W] are these of the W waves, in uniform numbers.
    """
    x, y = _pixel_centres(size)
    turns = 2 * np.pi * waves.reshape(-1, WAVES, 2, 1, 1)
    directions, phases = turns[:, :, 0], turns[:, :, 1]
    along = 2 * np.pi * (x * np.cos(directions) + y * np.sin(directions))
    added: Floats = SHADE * np.sin(along + phases).sum(axis=1)
    return added


def _pixel_centres(size: int) -> tuple[Floats, Floats]:
    """x [1, 1, S] and y [1, S, 1] of the pixels' centres: 0 in the middle of an image of side 1."""
    centres = (np.arange(size) + 0.5) / size - 0.5
    return centres[None, None, :], centres[None, :, None]


def _coverage(arrangement: Floats, size: int) -> Floats:
    """Share of each pixel that is of the lighter colour [N, S, S].

    The height of a motif is cut at the median of the image's pixels, whatever the class: how much
    there is of either colour tells neither the class nor the image.
    """
    x, y = _pixel_centres(size)
    period = _between(arrangement[:, 0], PERIOD)
    tilt = _between(arrangement[:, 1], (-TILT, TILT))
    bends = 2 * np.pi * arrangement[:, 4:, None, None]
    bent_x = x + BEND * np.sin(2 * np.pi * y + bends[:, 0])
    bent_y = y + BEND * np.sin(2 * np.pi * x + bends[:, 1])
    u = (bent_x * np.cos(tilt) + bent_y * np.sin(tilt)) / period + arrangement[:, 2, None, None]
    v = (bent_y * np.cos(tilt) - bent_x * np.sin(tilt)) / period + arrangement[:, 3, None, None]
    height = np.empty_like(u)
    for number, name in enumerate(CLASSES):
        rows = slice(number, None, len(CLASSES))
        tone, motif = name.split()
        sign = 1 if tone == "light" else -1
        height[rows] = sign * _height(motif, u[rows], v[rows])
    height *= period * size  # in pixels
    ordered = np.sort(height.reshape(len(height), -1), axis=1)
    half = size * size // 2
    cut = (ordered[:, half - 1] + ordered[:, half]) / 2
    covered: Floats = np.clip(0.5 + cut[:, None, None] - height, 0, 1)
    return covered


def _nearest(position: Floats) -> Floats:
    """Signed distance to the nearest whole number, in [-0.5, 0.5)."""
    signed: Floats = position - np.floor(position + 0.5)
    return signed


def _height(motif: str, u: Floats, v: Floats) -> Floats:
    """Height of a motif that repeats with period 1, about a distance in periods."""
    a, b = _nearest(u), _nearest(v)
    match motif:
        case "dots":
            return np.hypot(a, b)
        case "bricks":
            along = _nearest(u / 1.4 + 0.5 * np.floor(v + 0.5))
            return -np.minimum(0.5 - np.abs(b), 1.4 * (0.5 - np.abs(along)))
        case _:
            return np.maximum(b, 0.866 * np.abs(a) - 0.5 * b)
