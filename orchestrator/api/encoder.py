"""A trained encoder for use in Python: a torch module, and how images become its input."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.asked import assignments, refusing, storage_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from workloads.image_encoder import ImageEncoder, ImageLike

__all__ = ["Encoder", "encoder"]


@dataclass(frozen=True)
class Encoder:
    """A trained encoder, by the name of its run or of its weights.

    `spec` has every field of the specification by its dotted path; `origin` says where it comes
    from, `notes` what was noticed on weights from elsewhere.
    """

    name: str
    spec: Mapping[str, Any] = field(repr=False)
    origin: Mapping[str, Any]
    notes: tuple[str, ...]
    _images: "ImageEncoder" = field(repr=False)

    @property
    def module(self) -> "nn.Module":
        """The encoder f in inference mode: float32 [N, 3, S, S] in [0, 1] to h [N, D]."""
        return self._images.module

    @property
    def view_size(self) -> int:
        """The side S of its input, in pixels."""
        return self._images.view_size

    @property
    def dimensions(self) -> int:
        """The width D of h."""
        return self._images.dimensions

    def transform(self, image: "ImageLike") -> "Tensor":
        """Return the input float32 [3, S, S] of one image, as for a data set of torch.

        An image is a file, one of PIL, or uint8 [H, W], [H, W, 3] or [3, H, W]. It becomes the same
        pixels as an image of the data that the encoder is evaluated on; nothing is augmented.
        Raises PlanError for what is none.
        """
        with refusing():
            return self._images.transform(image)

    def embed(self, images: "Iterable[ImageLike]") -> "NDArray[np.float32]":
        """Return h [N, D] of images, in their order: equal to what `simclr-orch embed` writes.

        Raises PlanError with what is wrong with images that cannot be read.
        """
        with refusing():
            return self._images.embed(images)


def encoder(
    run: str,
    storage: str | Path | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    preset: str | None = None,
    config: str | Path | None = None,
    prefix: str | None = None,
    ignore: Sequence[str] = (),
    device: str | None = None,
) -> Encoder:
    """Return the encoder of a run, by the beginning of its fingerprint, or of weights in a file.

    Of a run, `set` may say how images are read (`data.channels`, `data.value_range`,
    `data.max_pixels`). Weights from elsewhere, or `torchvision:NAME`, need `preset` or `config` to
    say which encoder they are of; `prefix` and `ignore` are as in `simclr-orch embed`. `device` is
    a name of torch's, by default the GPU if there is one. Raises PlanError for a run that is not
    there, has not finished, or has no encoder of images.
    """
    from orchestrator.commands.encoders import EncoderRequest, encoder_asked_for
    from workloads.distributed.worker import Worker

    with refusing():
        request = EncoderRequest(
            str(run),
            assignments(set or {}),
            preset,
            None if config is None else Path(config),
            prefix,
            tuple(ignore),
        )
        found = encoder_asked_for(request, storage_of(storage))
        images = found.workload.encoder(
            found.spec, found.state, Worker.here(device), reading=found.reading
        )
    return Encoder(found.name, found.spec.flat(), found.origin, found.notes, images)
