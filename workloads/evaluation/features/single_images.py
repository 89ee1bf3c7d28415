"""A trained encoder that is asked for features of single images, from files or from memory.

An image becomes the same pixels as one of a data set: what is in memory and is neither grey nor RGB
is read as the PNG that would hold it.

Shapes: N images, H and W of an image as it is given, V the side at which images are stored, S the
side of a view, D the width of h.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from workloads.datasets import Split
from workloads.datasets.own_images import of_known_range
from workloads.datasets.pixels import Decoded, decode, fit, read
from workloads.datasets.reading import reading_of
from workloads.datasets.spec import DataSpec
from workloads.distributed.worker import Worker
from workloads.evaluation.features.embedding import data_of_own_images
from workloads.evaluation.features.frozen import BATCH, FrozenEncoder
from workloads.image_encoder import ImageLike
from workloads.simclr.spec import RunSpec
from workloads.simclr.views import center_view
from workloads.spec import SpecError

__all__ = ["SingleImages"]

KEPT_BY_PNG = ("1", "LA", "P", "RGBA", "I;16")


@dataclass(frozen=True)
class SingleImages:
    """A frozen encoder, and the specification by which images are read."""

    frozen: FrozenEncoder
    data: DataSpec

    @classmethod
    def of_state(
        cls, spec: RunSpec, state: dict[str, Any], worker: Worker, reading: Mapping[str, Any]
    ) -> "SingleImages":
        """Load the encoder of a state. Images are read as the run's were, but for `reading`."""
        data = data_of_own_images(spec, ".", reading)
        return cls(FrozenEncoder.of_state(spec, state, worker), data)

    @property
    def module(self) -> nn.Module:
        """The encoder, in inference mode: views float32 [N, 3, S, S] in [0, 1] to h [N, D]."""
        return self.frozen.module

    @property
    def view_size(self) -> int:
        """The side S of a view, in pixels."""
        return self.frozen.view_size

    @property
    def dimensions(self) -> int:
        """The width D of h, found with a black image: encoders need not tell it."""
        side, device = self.view_size, self.frozen.worker.device
        with torch.inference_mode():
            return int(self.module(torch.zeros(1, 3, side, side, device=device)).shape[1])

    def transform(self, image: ImageLike) -> Tensor:
        """Return the view float32 [3, S, S] of an image. Raises SpecError for what is none."""
        (pixels,) = self._stored([image], 0)
        return center_view(torch.from_numpy(np.stack([pixels])), self.view_size)[0]

    def embed(self, images: Iterable[ImageLike]) -> NDArray[np.float32]:
        """Return h [N, D] of images, in their order, as an evaluation computes it.

        Raises SpecError with what is wrong with images that cannot be read, and
        FeaturesNotFiniteError for an encoder whose training has diverged.
        """
        blocks, given, seen = [], iter(images), 0
        while block := list(islice(given, BATCH)):
            pixels = np.stack(list(self._stored(block, seen)))
            count = len(block)
            blocks.append(
                self.frozen.features(Split(pixels, np.zeros(count, np.int64), np.arange(count)))
            )
            seen += count
        if not blocks:
            raise SpecError(["images: there are none"])
        return np.concatenate(blocks)

    def _stored(self, images: Iterable[ImageLike], first: int) -> Iterator[NDArray[np.uint8]]:
        """Yield uint8 [3, V, V] of each image; `first` is the number of the first, for errors."""
        problems = []
        for number, image in enumerate(images, first):
            decoded = of_known_range(self._decoded(image), self.data)
            if decoded.pixels is None:
                name = image if isinstance(image, str | Path) else f"image {number}"
                problems.append(f"{name}: {decoded.reason}")
            elif not problems:
                yield decoded.pixels
        if problems:
            raise SpecError(problems)

    def _decoded(self, image: object) -> Decoded:
        side, reading = self.data.image_size, reading_of(self.data)
        if isinstance(image, str | Path):
            return read(Path(image).expanduser(), side, reading)
        if isinstance(image, Tensor | np.ndarray):
            try:
                image = _pictured(np.asarray(image))
            except ValueError as error:
                return Decoded(None, reason=str(error))
        if not isinstance(image, Image.Image):
            kind = type(image).__name__
            return Decoded(None, reason=f"is a {kind}, and neither a file, an image nor an array")
        if image.mode in ("L", "RGB") and self.data.channels is None:
            return Decoded(fit(image.convert("RGB"), side))
        if image.mode not in ("L", "RGB", *KEPT_BY_PNG):
            return Decoded(None, reason=f"has the mode {image.mode}; convert it to RGB")
        file = BytesIO()
        image.save(file, "PNG")
        return decode(file.getvalue(), side, reading)


def _pictured(array: NDArray[Any]) -> Image.Image:
    """Return an array as an image. Raises ValueError for another shape or kind of numbers."""
    if array.ndim == 3 and array.shape[2] != 3 and array.shape[0] == 3:
        array = array.transpose(1, 2, 0)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        shape = list(array.shape)
        raise ValueError(
            f"is {array.dtype} {shape}; an array is uint8 [H, W], [H, W, 3] or [3, H, W]"
        )
    if not array.size:
        raise ValueError(f"has no pixels: {list(array.shape)}")
    return Image.fromarray(np.ascontiguousarray(array))
