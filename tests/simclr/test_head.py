"""Projection heads, one process: counted modules, initial weights, normalised outputs;
milliseconds.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.head import projection_head
from workloads.simclr.spec import HeadSpec


def test_no_linear_layer_is_the_identity() -> None:
    head = projection_head(HeadSpec(num_linear_layers=0), 12)
    h = torch.randn(4, 12)
    assert torch.equal(head(h), h)
    assert not list(head.parameters())


@pytest.mark.parametrize(
    ("layers", "shapes"), [(count, [(12, 12)] * (count - 1) + [(7, 12)]) for count in (1, 2, 3, 4)]
)
@pytest.mark.parametrize("batch_norm", [True, False])
def test_count_and_order_of_modules(
    layers: int, shapes: list[tuple[int, int]], batch_norm: bool
) -> None:
    head = projection_head(
        HeadSpec(num_linear_layers=layers, output_dim=7, batch_norm=batch_norm), 12
    )
    linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
    norms = [module for module in head.modules() if isinstance(module, GlobalBatchNorm)]
    assert [tuple(layer.weight.shape) for layer in linear] == shapes
    assert [layer.bias is None for layer in linear] == [batch_norm] * layers
    assert [norm.bias is not None for norm in norms] == (
        [True] * (layers - 1) + [False] if batch_norm else []
    )
    step = [nn.Linear, GlobalBatchNorm, nn.ReLU] if batch_norm else [nn.Linear, nn.ReLU]
    assert [type(module) for module in head.children()] == (step * layers)[:-1]


def test_hidden_width_is_that_of_h_unless_given() -> None:
    head = projection_head(HeadSpec(num_linear_layers=3, hidden_dim=20, output_dim=7), 12)
    shapes = [tuple(layer.weight.shape) for layer in head.modules() if isinstance(layer, nn.Linear)]
    assert shapes == [(20, 12), (20, 20), (7, 20)]


@pytest.mark.parametrize(
    ("values", "shapes"),
    [
        ({"num_linear_layers": 1}, [(12, 12)]),
        ({"num_linear_layers": 2}, [(12, 12), (12, 12)]),
        ({"num_linear_layers": 3, "hidden_dim": 20}, [(20, 12), (20, 20), (12, 20)]),
    ],
)
def test_output_width_null_is_that_of_h(
    values: dict[str, int], shapes: list[tuple[int, int]]
) -> None:
    """Table 3 compares h and z of equal width."""
    head = projection_head(HeadSpec.read({"output_dim": None} | values), 12)
    assert [
        tuple(layer.weight.shape) for layer in head.modules() if isinstance(layer, nn.Linear)
    ] == shapes
    assert head(torch.randn(4, 12)).shape == (4, 12)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_initial_weights_are_the_authors(batch_norm: bool) -> None:
    torch.manual_seed(0)
    head = projection_head(HeadSpec(output_dim=256, batch_norm=batch_norm), 512)
    for layer in head.modules():
        if isinstance(layer, nn.Linear):
            assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
            assert float(layer.weight.detach().mean()) == pytest.approx(0, abs=1e-4)
            assert layer.bias is None or not layer.bias.any()


def test_the_papers_mlp() -> None:
    """z = BN(W2 ReLU(BN(W1 h))) in torch's own functions; every coordinate of z has mean 0, as the
    last BN has no offset.
    """
    torch.manual_seed(0)
    head = projection_head(HeadSpec(output_dim=5), 16)
    h = torch.randn(64, 16) + 3
    first, second = (layer.weight for layer in head.modules() if isinstance(layer, nn.Linear))
    hidden = F.relu(F.batch_norm(h @ first.T, None, None, training=True))
    expected = F.batch_norm(hidden @ second.T, None, None, training=True)
    z = head(h).detach()
    torch.testing.assert_close(z, expected)
    assert float(z.mean(0).abs().max()) < 1e-5


def test_without_bn_the_head_is_small_but_trainable() -> None:
    """N(0, 0.01^2) weights alone scale h down some thirty-fold; a gradient still reaches the first
    layer.
    """
    torch.manual_seed(0)
    head = projection_head(HeadSpec(batch_norm=False), 512)
    z = head(torch.randn(32, 512))
    assert 1 / 60 < float(z.detach().square().mean().sqrt()) < 1 / 15
    F.normalize(z, dim=1)[:, 0].sum().backward()
    first = next(head.parameters())
    assert first.grad is not None
    assert float(first.grad.norm()) > 1e-3
