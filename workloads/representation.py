"""A representation as data: numbers, maps to the plane, spectra and neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from workloads.spec import SpecError

__all__ = [
    "Floats",
    "HeadSpectrum",
    "InspectOptions",
    "Labels",
    "MapName",
    "Representation",
    "Shown",
    "Space",
]

Labels = NDArray[np.int64]
Floats = NDArray[np.float32]
MapName = Literal["tsne", "umap"]


@dataclass(frozen=True)
class InspectOptions:
    """How much of a representation is inspected. Raises SpecError with every wrong option."""

    # most test images that are measured, as many of each class as can be, and most that are mapped
    images: int = 2000
    # of which images are mapped and asked for neighbours; drawn by seed where there are more (B.4)
    classes: int = 10
    queries: int = 8
    neighbours: int = 8
    perplexity: float = 30.0  # of t-SNE, clipped to a third of the images
    umap_neighbors: int = 15  # clipped to the other images
    maps: tuple[MapName, ...] = ("tsne", "umap")

    def __post_init__(self) -> None:
        least = {
            "images": 2,
            "classes": 1,
            "queries": 1,
            "neighbours": 1,
            "perplexity": 1,
            "umap_neighbors": 2,
        }
        problems = [
            f"inspect.{name}={getattr(self, name)}: must be at least {low}"
            for name, low in least.items()
            if not getattr(self, name) >= low
        ]
        if unknown := set(self.maps) - set(get_args(MapName)):
            problems.append(
                f"inspect.maps={sorted(unknown)}: must be among {', '.join(get_args(MapName))}"
            )
        if problems:
            raise SpecError(problems)

    def clipped(self, images: int) -> tuple[float, int]:
        """Return t-SNE's perplexity and UMAP's number of neighbours for a map of so many images."""
        return min(self.perplexity, (images - 1) / 3), min(self.umap_neighbors, images - 1)


@dataclass(frozen=True)
class Shown:
    """Images to show: their rows in the test split, their labels, and pixels uint8 [..., 3, S, S].

    Rows and labels are int64 [...].
    """

    index: Labels
    labels: Labels
    images: NDArray[np.uint8]


@dataclass(frozen=True)
class Space:
    """What is found in h, or in z, of D dimensions.

    `singular_values` [min(N, D)] of the centred features, in decreasing order. `maps` has "tsne",
    and "umap" where it is installed: [T, 2]. `neighbours` [Q, K] from the nearest by cosine.
    """

    dimensions: int
    singular_values: NDArray[np.float64]
    maps: Mapping[MapName, Floats]
    neighbours: Shown


@dataclass(frozen=True)
class HeadSpectrum:
    """The spectrum of a linear head's W, squared and in decreasing order.

    Of a square W these are its eigenvalues (their modulus), of another its singular values.
    """

    of: Literal["eigenvalues", "singular values"]
    squared: NDArray[np.float64]
    shape: tuple[int, int]  # outputs, inputs


@dataclass(frozen=True)
class Representation:
    """Numbers by name, and what pictures are drawn from.

    `spaces` has "h", and "z" where there is a projection head. `warnings` say that the
    representation has collapsed, `notes` what is left out and why.
    """

    results: dict[str, float]
    spaces: Mapping[str, Space]
    head: HeadSpectrum | None
    mapped_labels: Labels  # [T]
    queries: Shown  # [Q]
    classes: tuple[str, ...]
    measured: int  # N
    searched: int  # M, the images among which neighbours are searched
    options: InspectOptions
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
