"""A trained encoder as others use it: a module, and how an image becomes its input.

Shapes: N images, H and W of an image as it is given, S the side of a view, D the width of h.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

__all__ = ["ImageEncoder", "ImageLike"]

# A file, an image of PIL, or uint8 [H, W], [H, W, 3] or [3, H, W].
ImageLike = str | Path | Image.Image | NDArray[np.uint8] | Tensor


class ImageEncoder(Protocol):
    """An encoder in inference mode, and how it is applied to anybody's images."""

    @property
    def module(self) -> nn.Module:
        """The encoder: views float32 [N, 3, S, S] in [0, 1] to h [N, D]."""

    @property
    def view_size(self) -> int:
        """The side S of a view, in pixels."""

    @property
    def dimensions(self) -> int:
        """The width D of h."""

    def transform(self, image: ImageLike) -> Tensor:
        """Return the view float32 [3, S, S] of an image. Raises SpecError for what is none."""

    def embed(self, images: Iterable[ImageLike]) -> NDArray[np.float32]:
        """Return h [N, D] of images, in their order, as an evaluation computes it.

        Raises SpecError with what is wrong with every image that cannot be read.
        """
