"""Supervised training, which the paper holds SimCLR against: the same loop on labels.

In Tables 1 and B.3 and in Figure 7.

Shapes: N images of the global batch, n of them on this worker, D the width of h, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from workloads.simclr.encoder import build as build_encoder
from workloads.simclr.spec import AugmentSpec, EncoderSpec, RunSpec
from workloads.simclr.views import apply_view, draw_view

__all__ = [
    "SupervisedModel",
    "SupervisedObjective",
    "Views",
    "is_supervised",
    "supervised_problems",
]

# Images and where they lie in their batch, to the views that were drawn for them.
Views = Callable[[Tensor, slice], Tensor]


class SupervisedModel(nn.Module):
    """Encoder f and a linear classifier of h, without a projection head.

    The classifier starts as every dense layer of the authors' code, N(0, 0.01^2) with zero biases:
    from zero, as the logits of linear evaluation do, the encoder would learn late. The first loss
    is ln(C), nearly.
    """

    def __init__(self, encoder: EncoderSpec, classes: int) -> None:
        super().__init__()
        self.encoder = build_encoder(encoder)
        self.classifier = nn.Linear(self.encoder.feature_dim, classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, views: Tensor) -> Tensor:
        """Map views [B, 3, H, W] to logits [B, C]."""
        logits: Tensor = self.classifier(self.encoder(views))
        return logits


@dataclass(frozen=True)
class SupervisedObjective:
    """Mean cross-entropy of one augmented view of each image.

    The view is drawn by the policy that SimCLR draws two by.
    """

    augment: AugmentSpec

    metrics: ClassVar = ("loss", "training_accuracy")
    views_per_image: ClassVar = 1

    def draw(self, batch: int, height: int, width: int, generator: Generator) -> Views:
        """Draw one view of a batch's N images of H x W, for all of them at once.

        So views depend neither on the workers nor on chunks. What is returned makes the view of
        some of the images: [n, 3, S, S].
        """
        drawn = draw_view(self.augment, batch, height, width, generator)
        return lambda images, chunk: apply_view(images, drawn[chunk], self.augment)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [n, C], in fp32 under autocast, too.

        Workers have equally many images: their mean is that of the batch.
        """
        return F.cross_entropy(logits, labels)

    def measures(self, logits: Tensor, labels: Tensor) -> list[Tensor]:
        """Return the accuracy in % on the augmented views, by the model before the update."""
        return [100 * (logits.argmax(dim=1) == labels).float().mean()]


def is_supervised(spec: RunSpec) -> bool:
    """Tell whether a run learns from labels instead of from pairs of views."""
    return spec.loss.name == "cross-entropy"


def supervised_problems(spec: RunSpec) -> list[str]:
    """List what a specification asks of a supervised run that it has not.

    The list is empty for every other run.
    """
    if not is_supervised(spec):
        return []

    found, tasks = [], list(spec.eval.probe.tasks)
    if spec.augment.branches == "one":
        found.append(
            "augment.branches='one': loss.name='cross-entropy' trains on one view of an image; "
            "needs 'both'"
        )
    if spec.eval.projection:
        found.append(
            "eval.projection=True: loss.name='cross-entropy' trains no projection head to judge; "
            "needs false"
        )
    if tasks:
        found.append(
            f"eval.probe.tasks={tasks}: loss.name='cross-entropy' trains no projection head to "
            "probe; needs []"
        )
    return found
