"""Coloured shapes on textured backgrounds, drawn with numpy: no download, the same for everyone.

The class is the shape. Colours, texture, position, size and angle are nuisances. Colours differ
strongly between images and little within one, so that two crops of an image share their colour
histogram: the shortcut that a contrastive loss takes unless colours are distorted (section 3.1,
Figure 6).

Legend: N images, S side in pixels. Geometry is in shares of the side, and in units of the radius
inside a shape. All is computed in float64, so that the last bit of a sine, which differs between
platforms, does not reach the pixels.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import Labels, Source, write_images
from workloads.datasets.spec import DataSpec
from workloads.spec import digest

__all__ = ["CLASSES", "draw", "source"]

REVISION = 1
SEED = 20_200_213  # the day the paper appeared
TRAIN_IMAGES, TEST_IMAGES = 4_000, 1_000
TRAIN, TEST = 0, 1
CHUNK = 500

RADIUS = (0.32, 0.46)
TILT = np.pi / 12
TEXTURE = (0.03, 0.12)
CYCLES = (2.0, 6.0)
GRAIN = 0.02
CANDIDATE_COLORS = 4

CLASSES = (
    "disc",
    "ring",
    "square",
    "triangle",
    "cross",
    "star",
    "crescent",
    "rhombus",
    "ell",
    "hourglass",
)

Floats = NDArray[np.float64]
Vertices = tuple[tuple[float, float], ...]

STAR_TURNS = [(1.0 if corner % 2 == 0 else 0.42, np.pi * corner / 5) for corner in range(10)]
POLYGONS: dict[str, Vertices] = {
    "square": ((-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75)),
    "triangle": ((0.0, -1.0), (0.87, 0.6), (-0.87, 0.6)),
    "cross": tuple(
        (x / 3.2, y / 3.2)
        for x, y in (
            *((-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1)),
            *((1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)),
        )
    ),
    "star": tuple((length * np.sin(turn), -length * np.cos(turn)) for length, turn in STAR_TURNS),
    "rhombus": ((0.0, -1.0), (0.55, 0.0), (0.0, 1.0), (-0.55, 0.0)),
    "ell": ((-0.7, -0.9), (-0.1, -0.9), (-0.1, 0.3), (0.7, 0.3), (0.7, 0.9), (-0.7, 0.9)),
    # crosses itself at the waist
    "hourglass": ((-0.75, -0.85), (0.75, -0.85), (-0.75, 0.85), (0.75, 0.85)),
}


def source(spec: DataSpec) -> Source:
    """Draw 4,000 training and 1,000 test images, or more if `spec` asks for more.

    The first ones stay the same.
    """
    counts = {
        "train": max(TRAIN_IMAGES, spec.train_images or 0),
        "test": max(TEST_IMAGES, spec.test_images or 0),
    }

    def decode(folder: Path) -> Labels:
        for name, part in (("train", TRAIN), ("test", TEST)):
            chunks = draw(part, counts[name], spec.image_size)
            write_images(folder / f"{name}.npy", counts[name], spec.image_size, chunks)
        return Labels(_labels(counts["train"]), _labels(counts["test"]), CLASSES)

    return Source(
        content=digest({"name": "shapes", "revision": REVISION}), fields=dict(counts), decode=decode
    )


def draw(part: int, count: int, size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield chunks of uint8 [n, 3, size, size], `count` images in all.

    Image number i is of class i modulo 10.
    """
    for start in range(0, count, CHUNK):
        numbers = np.random.PCG64(np.random.SeedSequence([SEED, part, start // CHUNK]))
        yield _draw_chunk(numbers, size)[: count - start]


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


def _draw_chunk(numbers: np.random.PCG64, size: int) -> NDArray[np.uint8]:
    background = _uniform(numbers, CHUNK, 3)
    foreground = _contrasting(background, _uniform(numbers, CHUNK, CANDIDATE_COLORS, 3))
    pose = _uniform(numbers, CHUNK, 4)
    texture = _uniform(numbers, CHUNK, 5)
    grain = 2 * _uniform(numbers, CHUNK, size, size) - 1

    brightness = _texture(texture, grain)[:, None]
    covered = _coverage(pose, size)[:, None]
    images = (background[:, :, None, None] + brightness) * (1 - covered) + foreground[
        :, :, None, None
    ] * covered
    images += GRAIN * grain[:, None]
    return np.floor(255 * np.clip(images, 0, 1) + 0.5).astype(np.uint8)


def _contrasting(background: Floats, candidates: Floats) -> Floats:
    """Of each image's candidate colours [N, K, 3], the one farthest from its background [N, 3]."""
    distance = ((candidates - background[:, None]) ** 2).sum(axis=2)
    chosen: Floats = candidates[np.arange(len(candidates)), distance.argmax(axis=1)]
    return chosen


def _pixel_centres(size: int) -> tuple[Floats, Floats]:
    """x [1, 1, S] and y [1, S, 1] of the pixels' centres: 0 in the middle of an image of side 1."""
    centres = (np.arange(size) + 0.5) / size - 0.5
    return centres[None, None, :], centres[None, :, None]


def _texture(drawn: Floats, grain: Floats) -> Floats:
    """What is added to the background's brightness [N, S, S].

    That is a gradient, stripes, blotches or coarse noise.
    """
    x, y = _pixel_centres(grain.shape[1])
    turn = 2 * np.pi * drawn[:, 1, None, None]
    along = x * np.cos(turn) + y * np.sin(turn)
    across = y * np.cos(turn) - x * np.sin(turn)
    cycles, phase = _between(drawn[:, 2], CYCLES), 2 * np.pi * drawn[:, 3, None, None]
    kind = np.floor(4 * drawn[:, 0]).astype(np.int64)
    waves = np.sin(2 * np.pi * cycles * along + phase)
    textures = (2 * along, waves, waves * np.sin(2 * np.pi * cycles * across + phase), grain)
    chosen: Floats = np.choose(kind[:, None, None], textures)
    return _between(drawn[:, 4], TEXTURE) * chosen


def _coverage(pose: Floats, size: int) -> Floats:
    """Share of each pixel that the shape covers [N, S, S].

    From the signed distance of its centre to the outline.
    """
    x, y = _pixel_centres(size)
    radius = _between(pose[:, 0], RADIUS)
    room = 1 - 2 * radius
    tilt = _between(pose[:, 3], (-TILT, TILT))
    x = x - room * _between(pose[:, 1], (-0.5, 0.5))
    y = y - room * _between(pose[:, 2], (-0.5, 0.5))
    u = (x * np.cos(tilt) + y * np.sin(tilt)) / radius
    v = (y * np.cos(tilt) - x * np.sin(tilt)) / radius
    distance = np.empty_like(u)
    for number, name in enumerate(CLASSES):
        rows = slice(number, None, len(CLASSES))
        distance[rows] = _signed_distance(name, u[rows], v[rows])
    return np.clip(0.5 - distance * radius * size, 0, 1)


def _signed_distance(name: str, x: Floats, y: Floats) -> Floats:
    """Distance to the outline of a shape of radius 1, negative inside."""
    from_middle: Floats = np.hypot(x, y)
    match name:
        case "disc":
            return from_middle - 0.9
        case "ring":
            return np.abs(from_middle - 0.75) - 0.22
        case "crescent":
            return np.maximum(from_middle - 1, 0.85 - np.hypot(x - 0.5, y))
        case _:
            return _polygon_distance(POLYGONS[name], x, y)


def _polygon_distance(vertices: Vertices, x: Floats, y: Floats) -> Floats:
    """Signed distance to a closed polygon; what an odd number of edges encloses is inside."""
    squared = np.full_like(x, np.inf)
    inside = np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(vertices, (*vertices[1:], vertices[0]), strict=True):
        edge_x, edge_y, from_x, from_y = bx - ax, by - ay, x - ax, y - ay
        share = np.clip((from_x * edge_x + from_y * edge_y) / (edge_x**2 + edge_y**2), 0, 1)
        squared = np.minimum(
            squared, (from_x - share * edge_x) ** 2 + (from_y - share * edge_y) ** 2
        )
        if edge_y != 0:
            inside ^= ((ay > y) != (by > y)) & (from_x < from_y * (edge_x / edge_y))
    sign: Floats = np.where(inside, -1.0, 1.0)
    return sign * np.sqrt(squared)
