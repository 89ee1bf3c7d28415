"""The projection head g of SimCLR (section 4.2): h to the embedding z that the loss compares.

Shapes: h [B, in_dim], z [B, output_dim].
"""

from itertools import pairwise

from torch import nn

from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.spec import HeadSpec

__all__ = ["projection_head"]

WEIGHT_STD = 0.01  # of the authors' dense layers


def projection_head(head: HeadSpec, in_dim: int) -> nn.Module:
    """Build a head of `num_linear_layers` with ReLU between them; none is the identity (z = h).

    `hidden_dim` and `output_dim` None are in_dim, the width of h; the square head is that of Table
    3.

    With `batch_norm`, as in the authors' code: linear layers without bias, BN after each, the last
    BN without offset, so that a single linear layer has a BN without offset too. Without it, as in
    the paper's formulas, linear layers have biases.

    Weights start at N(0, 0.01^2) and biases at 0 in both cases, as the authors' dense layers do. BN
    takes that scale out; without BN it makes z some thirty times smaller than h (two layers of 512
    units), which the loss's normalisation takes out again but `normalize=False` does not.
    """
    if head.num_linear_layers == 0:
        return nn.Identity()

    hidden = [head.hidden_dim or in_dim] * (head.num_linear_layers - 1)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([in_dim, *hidden]):
        layers += [*_layer(inputs, outputs, head.batch_norm, offset=True), nn.ReLU(inplace=True)]

    last = hidden[-1] if hidden else in_dim
    layers += _layer(last, head.output_dim or in_dim, head.batch_norm, offset=False)
    return nn.Sequential(*layers)


def _layer(inputs: int, outputs: int, batch_norm: bool, *, offset: bool) -> list[nn.Module]:
    linear = nn.Linear(inputs, outputs, bias=not batch_norm)
    nn.init.normal_(linear.weight, std=WEIGHT_STD)
    if batch_norm:
        return [linear, GlobalBatchNorm(outputs, offset=offset)]
    nn.init.zeros_(linear.bias)
    return [linear]
