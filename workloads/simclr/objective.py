"""What a training step minimises: the contrastive objective, beside the supervised one.

An objective says what a batch's views are and what their loss is; the loop is the same for each.

Shapes: N source images of the global batch, n = N / workers of them here, P the width of z.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from workloads.simclr.losses import contrastive_loss, contrastive_metrics
from workloads.simclr.spec import AugmentSpec, LossSpec, RunSpec
from workloads.simclr.supervised import SupervisedObjective, Views, is_supervised
from workloads.simclr.views import apply_two_views, draw_two_views

__all__ = ["ContrastiveObjective", "Objective", "objective_of"]


@dataclass(frozen=True)
class ContrastiveObjective:
    """Two views of each image that must find each other; no labels."""

    augment: AugmentSpec
    of: LossSpec

    metrics: ClassVar = ("loss", "contrastive_accuracy", "contrastive_entropy")
    views_per_image: ClassVar = 2

    def draw(self, batch: int, height: int, width: int, generator: Generator) -> Views:
        """Draw both views of a batch's N images of H x W, for all of them at once.

        So views depend neither on the workers nor on chunks. What is returned makes the views of
        some of the images: [2 n, 3, S, S], first views before second ones.
        """
        drawn = draw_two_views(self.augment, batch, height, width, generator)
        return lambda images, chunk: torch.cat(apply_two_views(images, drawn[chunk], self.augment))

    def loss(self, z: Tensor, _: Tensor) -> Tensor:
        """Return the loss of both views' embeddings [2 n, P], against those of all workers."""
        z0, z1 = z.chunk(2)
        return contrastive_loss(z0, z1, self.of)

    def measures(self, z: Tensor, _: Tensor) -> list[Tensor]:
        """Return contrastive accuracy in % and entropy in nats (Table 5)."""
        z0, z1 = z.chunk(2)
        temperature, normalize = self.of.temperature, self.of.normalize
        return [*contrastive_metrics(z0, z1, temperature=temperature, normalize=normalize)]


Objective = ContrastiveObjective | SupervisedObjective


def objective_of(spec: RunSpec, side: int | None = None) -> Objective:
    """Return the objective that a specification asks for.

    Its views have `side` pixels a side, or as many as at evaluation.
    """
    augment = spec.augment if side is None else spec.augment.with_values({"output_size": side})
    if is_supervised(spec):
        return SupervisedObjective(augment)
    return ContrastiveObjective(augment, spec.loss)
