"""How exact fp32 is on a CPU: one process against double precision.

Sums over a batch's pixels have a million terms, and lose four digits if they are taken one after
the other.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from workloads.datasets import load
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.model import Model, initial_model
from workloads.simclr.objective import objective_of
from workloads.simclr.presets import digits, shapes
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import is_supervised

LAYOUTS = {"channels last": torch.channels_last, "rows": torch.contiguous_format}
# Some 3e6 activations have one or two signs that rounding decides, and ReLU a gradient that hangs
# on them. Smooth, the gradient's error is that of the sums alone.
SMOOTH = nn.GELU


def error(found: Tensor, exact: Tensor) -> float:
    """Relative, in the Euclidean norm."""
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batch_norm_sums_half_a_million_samples(layout: str) -> None:
    """Against double precision; torch's own kernel is off by 4e-4 in channels last."""
    torch.manual_seed(0)
    x = torch.randn(512, 16, 32, 32).add_(0.5).relu_().to(memory_format=LAYOUTS[layout])
    asked = torch.randn_like(x)
    layers = GlobalBatchNorm(16), nn.BatchNorm2d(16).double()

    def passed(layer: nn.Module, x: Tensor, asked: Tensor) -> dict[str, Tensor]:
        x.requires_grad_()
        out = layer(x)
        # A gradient that depends on the output, so that its sums do not nearly cancel.
        (asked * out.square()).sum().backward()
        assert x.grad is not None
        gradients = {f"of {name}": each.grad for name, each in layer.named_parameters()}
        moments = {"mean": layer.running_mean, "var": layer.running_var}
        return {"out": out.detach(), "of x": x.grad} | gradients | moments  # type: ignore[return-value, operator]

    found = passed(layers[0], x, asked)
    exact = passed(layers[1], x.detach().double(), asked.double())
    errors = {name: error(found[name], exact[name]) for name in exact}
    assert max(errors.values()) < 5e-5, errors
    assert errors["var"] < 2e-6
    assert errors["mean"] < 2e-6


def test_moments_of_samples_far_from_zero() -> None:
    """Where sums of squares would leave nothing of the variance."""
    torch.manual_seed(0)
    x = torch.randn(256, 5, 32, 32).add_(1000).to(memory_format=torch.channels_last)
    norm = GlobalBatchNorm(5)
    norm(x)
    exact = x.double().var(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_var.double(), 0.9 + 0.1 * exact, rtol=1e-5, atol=0)


def test_one_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        GlobalBatchNorm(4)(torch.ones(1, 4))


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        (shapes, {}),
        (digits, {}),
        (shapes, {"encoder.architecture": "convnet8"}),
        (shapes, {"loss.name": "cross-entropy", "schedule.batch_size": 90}),
    ],
)
def test_the_gradient_of_a_step_is_exact(
    preset: Callable[[], RunSpec], values: dict[str, object]
) -> None:
    """Of the first batch and all weights: 4e-6 and less; with torch's batch norm 1e-4."""
    spec = preset().with_values({"precision": "fp32", **values})
    data = load(spec.data)
    objective, batch = objective_of(spec), spec.schedule.batch_size
    images, labels = data.train.take(slice(0, batch)), torch.from_numpy(data.train.labels)[:batch]
    draw = objective.draw(batch, *images.shape[-2:], torch.Generator().manual_seed(0))
    views = draw(images, slice(0, batch)).contiguous(memory_format=torch.channels_last)
    supervised = is_supervised(spec)
    model: Model = initial_model(spec, len(data.classes)) if supervised else initial_model(spec)
    _smooth(model)
    model = model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def gradient(model: nn.Module, views: Tensor) -> Tensor:
        loss = objective.loss(model(views), labels)
        return torch.cat([each.flatten() for each in torch.autograd.grad(loss, model.parameters())])

    exact = gradient(copy.deepcopy(model).double(), views.double())
    assert error(gradient(model, views), exact) < 2e-5


def _smooth(model: nn.Module) -> None:
    for layer in list(model.modules()):
        for name, child in layer.named_children():
            if isinstance(child, nn.ReLU):
                setattr(layer, name, SMOOTH())
