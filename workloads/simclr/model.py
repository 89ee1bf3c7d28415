"""What SimCLR trains: an encoder and a projection head (section 2.1).

Shapes: B views, D the width of h, P the width of z.
"""

from typing import overload

import torch
from torch import Tensor, nn

from workloads.seeds import seed_of
from workloads.simclr.encoder import build as build_encoder
from workloads.simclr.head import projection_head
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import SupervisedModel

__all__ = ["Model", "SimCLR", "initial_model"]


class SimCLR(nn.Module):
    """Encoder f and projection head g (section 2.1)."""

    def __init__(self, spec: RunSpec) -> None:
        super().__init__()
        self.encoder = build_encoder(spec.encoder)
        self.head = projection_head(spec.head, self.encoder.feature_dim)

    def forward(self, views: Tensor, with_features: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Map views [B, 3, H, W] to z [B, P]; with h [B, D] beside it if asked for."""
        h: Tensor = self.encoder(views)
        z: Tensor = self.head(h)
        return (z, h) if with_features else z


Model = SimCLR | SupervisedModel


@overload
def initial_model(spec: RunSpec) -> SimCLR: ...


@overload
def initial_model(spec: RunSpec, classes: int) -> SupervisedModel: ...


def initial_model(spec: RunSpec, classes: int | None = None) -> Model:
    """Build the untrained model: the same weights for the same seed, on every device and worker.

    With `classes`, a classifier of so many replaces the projection head; the encoder is the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(spec.seed, "weights"))
        return SimCLR(spec) if classes is None else SupervisedModel(spec.encoder, classes)
