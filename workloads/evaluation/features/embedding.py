"""Features of somebody's own images, which are read once, in blocks, and need no labels.

They are those that an evaluation computes of the same images: decoded as the data of the run are,
not augmented, by the frozen encoder.

Shapes: n images of a block, S the side at which they are stored, D the width of h or of z.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workloads.datasets import Split
from workloads.datasets.own_images import images_at
from workloads.datasets.spec import DataSpec
from workloads.distributed.worker import Worker
from workloads.evaluation.features.frozen import BATCH, FrozenEncoder
from workloads.facts import Embedded, Embedding
from workloads.simclr.model import SimCLR
from workloads.simclr.spec import RunSpec
from workloads.simclr.trained import load_model
from workloads.spec import SpecError

__all__ = ["data_of_own_images", "embedding_of"]

_READ = {"image_size", "channels", "value_range", "max_pixels"}


def embedding_of(
    spec: RunSpec,
    state: dict[str, Any],
    folder: str,
    worker: Worker,
    *,
    projection: bool = False,
    reading: Mapping[str, Any] | None = None,
) -> Embedding:
    """Prepare the features of all images below `folder` by a trained state.

    They are h, and with `projection` z = g(h). Images are read as those of the run were, but for
    fields of `reading`, while the blocks are asked for.
    Raises SpecError where there are no images, and for z of a state without a projection head.
    """
    if projection and not any(name.startswith("head.") for name in state["model"]):
        raise SpecError(
            ["--projection: there is no projection head, in supervised runs and weights of others"]
        )
    data = data_of_own_images(spec, folder, reading or {})
    images = images_at(data, Path(folder).expanduser())
    encoder = FrozenEncoder.of_state(spec, state, worker)
    head = None
    if projection:
        model = load_model(spec, state, worker)
        assert isinstance(model, SimCLR), "a state with a head is of SimCLR"
        head = model.head

    def blocks() -> Iterator[Embedded]:
        for block in images.blocks(BATCH):
            count = len(block.names)
            rows = np.arange(count)
            features = None
            if count:
                split = Split(block.pixels, np.zeros(count, np.int64), rows)
                features = encoder.features(split)
                if head is not None:
                    features = encoder.outputs_of(head, features)
            yield Embedded(block.names, features, block.unreadable)

    return Embedding(len(images), images.left_out, blocks(), _about(spec, projection))


def data_of_own_images(spec: RunSpec, root: str, reading: Mapping[str, Any]) -> DataSpec:
    """Return how somebody's own images are read: as those of the run, but for `reading`.

    Raises SpecError.
    """
    own = {"name": "image-folder", "root": root, **spec.data.model_dump(include=_READ)}
    return DataSpec.read(own | dict(reading))


def _about(spec: RunSpec, projection: bool) -> dict[str, Any]:
    """How the features come about, for whoever finds the file."""
    side = spec.data.image_size
    view = "" if spec.view_size == side else f", then resized to {spec.view_size}"
    return {
        "features": "z, the output of the projection head" if projection else "h",
        "encoder": spec.encoder.tree(),
        "precision": spec.precision,
        "preprocessing": {
            "text": f"RGB; the shorter side brought to {side} pixels, bicubic with a low pass; the "
            f"centre of {side} x {side}{view}; values from 0 to 1; then "
            f"encoder.input_normalization={spec.encoder.input_normalization}",
            "image_size": side,
            "view_size": spec.view_size,
            "input_normalization": spec.encoder.input_normalization,
        },
    }
