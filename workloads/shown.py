"""What can be seen of a run before it is trained, as plain data: views, learning rates, layers.

Legend: N images, P draws of views, V views of an image, S side in pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CropHistograms",
    "EncoderShown",
    "ExampleViews",
    "Layer",
    "OperationAlone",
    "Pixels",
    "ScheduleShown",
    "ShowsTraining",
]

Pixels = NDArray[np.uint8]
Spec = TypeVar("Spec", contravariant=True)


@dataclass(frozen=True)
class OperationAlone:
    """What one operation of a policy makes of whole images: `views` uint8 [N, P, S, S, 3].

    `probability` is of acting on an image at all; the views are those on which it acts.
    """

    name: str
    parameters: Mapping[str, object]
    probability: float | None
    views: Pixels


@dataclass(frozen=True)
class ExampleViews:
    """What a policy does to images of a data set.

    `originals` are uint8 [N, H, W, 3], each of `pairs` [N, V, S, S, 3], of one S or of several;
    `branches` name the V views.
    """

    data: str
    seed: int
    policy: str
    branches: tuple[str, ...]
    originals: Pixels
    pairs: tuple[Pixels, ...]
    alone: tuple[OperationAlone, ...]


@dataclass(frozen=True)
class CropHistograms:
    """What crops of an image have in common, without and with color distortion (Figure 6).

    `originals` are uint8 [N, H, W, 3] and `crops` [N, C, 2, S, S, 3], the same C crops both ways.
    `histograms` [N, C, 2, B] have the shares of the values of all channels in equal bins from 0 to
    1. Of `among` images, the share `matched` was told from the others by the histograms of two of
    their crops alone, both ways.
    """

    data: str
    seed: int
    strength: float
    originals: Pixels
    crops: Pixels
    histograms: NDArray[np.float64]
    among: int
    matched: tuple[float, float]


@dataclass(frozen=True)
class ScheduleShown:
    """How a run is trained, step by step.

    `rates` has the learning rate at each of `steps`, which begin with 0 and end with the last one;
    `sides` the side of the views in pixels from a step on.
    """

    training_images: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    warmup_steps: int
    optimizer: str
    steps: tuple[int, ...]
    rates: tuple[float, ...]
    sides: tuple[tuple[int, int], ...]
    notes: tuple[str, ...] = ()

    @property
    def total_steps(self) -> int:
        """Return the number of updates of the whole run."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class Layer:
    """A layer by its name in the state: shape of its output for one image, what it has and takes.

    `multiply_adds` are those of one image, None where they cannot be told.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    multiply_adds: int | None


@dataclass(frozen=True)
class EncoderShown:
    """The network that is trained, for views of a size: the encoder's layers, and those after it.

    `parameters` has those of the parts of the network by name, whatever layer they are of.
    """

    name: str
    side: int
    feature_dim: int
    layers: tuple[Layer, ...]
    parameters: Mapping[str, int]
    multiply_adds: Mapping[str, int | None]
    notes: tuple[str, ...] = field(default=())


@runtime_checkable
class ShowsTraining(Protocol[Spec]):
    """A workload of which people can see what a run is given, before any is trained."""

    def example_views(
        self, spec: Spec, *, images: int, pairs: int, download: bool = False
    ) -> ExampleViews:
        """Return views of some of the training images. Raises SpecError without such data."""

    def crop_histograms(
        self, spec: Spec, *, images: int, crops: int, download: bool = False
    ) -> CropHistograms:
        """Return what crops of training images have in common. Raises SpecError without such."""

    def schedule(self, spec: Spec, *, download: bool = False) -> ScheduleShown:
        """Return the learning rate and the size of the views by step. Raises SpecError."""

    def layers(self, spec: Spec) -> EncoderShown:
        """Return the layers of the network. Raises SpecError for one that cannot be built."""
