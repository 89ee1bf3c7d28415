"""Several real processes over gloo, against one process on the whole batch: loss, gradients, batch
norm, a whole step.

Every worker sees other images, so that schemes that are right only for equal workers fail. The same
measurements run in each worker on its share and in the test on the whole batch; this file is also
the script that starts the workers, a group of two and a group of three, once for all tests.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from workloads.distributed.collectives import (
    all_gather,
    all_gather_with_gradient,
    all_reduce_sum,
    rank,
    world_size,
)
from workloads.simclr import losses, optim
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.encoder import build
from workloads.simclr.head import projection_head
from workloads.simclr.losses import contrastive_metrics, nt_xent
from workloads.simclr.spec import EncoderSpec, HeadSpec, OptimSpec

IMAGES = 4  # of each worker
LOSSES: dict[str, dict[str, Any]] = {
    "both": {"temperature": 0.2},
    "cross": {"temperature": 0.2, "negatives": "cross"},
    "raw": {"temperature": 5.0, "normalize": False},
}
BATCH_NORMS = {
    "[N, C]": ((5,), torch.float64),
    "[N, C, H, W]": ((5, 3, 2), torch.float64),
    "bf16": ((5, 3, 2), torch.bfloat16),
}
Results = dict[str, Any]


def own_slice_only(tensor: Tensor) -> Tensor:
    """Wrong: a worker's keys get the gradient of its own loss alone (the usual gather with the own
    slot put back).
    """
    rows = list(all_gather(tensor).chunk(world_size()))
    rows[rank()] = tensor
    return torch.cat(rows)


WRONG_GATHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "own slice": own_slice_only,
    "detached keys": all_gather,
}


def own_share(whole: Tensor, dim: int = 0) -> Tensor:
    return whole.chunk(world_size(), dim)[rank()]


def mean_over_workers(values: list[Tensor]) -> list[Tensor]:
    return [all_reduce_sum(value) / world_size() for value in values]


def samples(workers: int) -> Tensor:
    """Two views [2, workers * IMAGES, 6]: each worker's lie elsewhere, spread more and agree better
    than the last one's.
    """
    generator = torch.Generator().manual_seed(2)
    x, noise = torch.randn(2, workers * IMAGES, 6, generator=generator, dtype=torch.float64)
    scale = 1 + torch.arange(workers).repeat_interleave(IMAGES).unsqueeze(1)
    return torch.stack([x * scale + scale, x * scale + scale + noise / scale])


def loss_and_gradients(workers: int, arguments: dict[str, Any]) -> list[Tensor]:
    """NT-Xent on top of an MLP: the loss and the gradient of each parameter, averaged over workers
    as DDP does.
    """
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).double()
    view0, view1 = own_share(samples(workers), dim=1)
    loss = nt_xent(network(view0), network(view1), **arguments)
    return mean_over_workers([loss, *torch.autograd.grad(loss, list(network.parameters()))])


def metrics(workers: int) -> list[Tensor]:
    view0, view1 = own_share(samples(workers), dim=1)
    return mean_over_workers(list(contrastive_metrics(view0, view1, temperature=0.2)))


def batch_norm(workers: int, shape: tuple[int, ...], dtype: torch.dtype) -> Results:
    """One layer on 2 samples for the first worker, 3 for the second and so on; the loss is summed
    over workers.
    """
    generator = torch.Generator().manual_seed(3)
    sizes = [2 + worker for worker in range(workers)]
    offsets = (
        torch.arange(workers).repeat_interleave(torch.tensor(sizes)).view(-1, *[1] * len(shape))
    )
    x = (
        torch.randn(sum(sizes), *shape, generator=generator, dtype=torch.float64) * (1 + offsets)
        + 10 * offsets
    )
    coefficients = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    if world_size() > 1:
        x, coefficients = x.split(sizes)[rank()], coefficients.split(sizes)[rank()]
    x = x.to(dtype).requires_grad_()
    layer = GlobalBatchNorm(shape[0])
    if dtype == torch.float64:
        layer = layer.double()
    nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
    outputs = [layer(x) for _ in range(2)]
    (outputs[1] * coefficients).square().sum().backward()
    return {
        "of samples": {"output": outputs[1].detach(), "gradient": x.grad},
        "statistics": {
            "mean": layer.running_mean,
            "variance": layer.running_var,
            "batches": layer.num_batches_tracked,
        },
        "of all": {
            "weight gradient": all_reduce_sum(layer.weight.grad),
            "bias gradient": all_reduce_sum(layer.bias.grad),
        },
        "in eval mode": layer.eval()(torch.ones(2, *shape, dtype=dtype)).detach(),
    }


def steps_of_training(workers: int) -> Results:
    """Two LARS steps of encoder, head and loss under DDP, both views in one forward pass."""
    torch.manual_seed(4)
    encoder = build(EncoderSpec(architecture="resnet18", width=0.0625, stem="cifar"))
    network = nn.Sequential(
        encoder, projection_head(HeadSpec(output_dim=6), encoder.feature_dim)
    ).double()
    for module in network.modules():
        if isinstance(module, GlobalBatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    model = DistributedDataParallel(network) if world_size() > 1 else network
    optimizer = optim.build(
        model, OptimSpec(name="lars", weight_decay=0.01, trust_coefficient=0.01), lr=1.0
    )
    brightness = torch.arange(workers).repeat_interleave(IMAGES).view(1, -1, 1, 1, 1)
    views = torch.rand(2, workers * IMAGES, 3, 8, 8, dtype=torch.float64) + brightness
    values: list[Tensor] = []
    for lr in (0.5, 2.0):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        z0, z1 = model(own_share(views, dim=1).flatten(0, 1)).chunk(2)
        loss = nt_xent(z0, z1, temperature=0.2)
        loss.backward()
        optimizer.step()
        values += mean_over_workers([loss])
    return {"losses": values, "state": dict(network.state_dict())}


def measure(workers: int) -> Results:
    return {
        "loss": {
            name: loss_and_gradients(workers, arguments) for name, arguments in LOSSES.items()
        },
        "metrics": metrics(workers),
        "batch norm": {name: batch_norm(workers, *case) for name, case in BATCH_NORMS.items()},
        "training": steps_of_training(workers),
    }


def measure_wrong_gathers(workers: int) -> Results:
    results = {}
    for name, gather in WRONG_GATHERS.items():
        with mock.patch.object(losses, "all_gather_with_gradient", gather):
            results[name] = loss_and_gradients(workers, LOSSES["both"])
    return results


def gradient_through_the_gather() -> Tensor:
    """Worker r asks (r + 1) * (row number + 1) of each gathered row; the answer is the sum over
    workers.
    """
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    gathered = all_gather_with_gradient(x)
    asked = (rank() + 1) * torch.arange(1, len(gathered) + 1, dtype=torch.float64).unsqueeze(1)
    return torch.autograd.grad((gathered * asked).sum(), x)[0]


def measure_share(_: Path) -> Results:
    return measure(world_size()) | {
        "wrong": measure_wrong_gathers(world_size()),
        "gather": all_gather(torch.full((2,), rank())),
        "gather gradient": gradient_through_the_gather(),
    }


@pytest.fixture(scope="module", params=(2, 3))
def group(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    gloo_group: Callable[..., list[Results]],
) -> tuple[list[Results], Results]:
    """Results of each worker by rank, and of one process on the whole batch."""
    workers = gloo_group(measure_share, tmp_path_factory.mktemp("group"), request.param)
    return workers, measure(request.param)


def relative_error(values: list[Tensor], expected: list[Tensor]) -> float:
    difference = torch.cat([(a - b).flatten() for a, b in zip(values, expected, strict=True)])
    return float(difference.norm() / torch.cat([b.flatten() for b in expected]).norm())


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_are_those_of_one_process(
    group: tuple[list[Results], Results], name: str
) -> None:
    workers, alone = group
    for worker in workers:
        torch.testing.assert_close(
            worker["loss"][name], alone["loss"][name], rtol=1e-10, atol=1e-13
        )


@pytest.mark.parametrize("name", WRONG_GATHERS)
def test_inputs_tell_wrong_gathers_apart(group: tuple[list[Results], Results], name: str) -> None:
    """Their loss is right and their gradient is not, so only the comparison of gradients above can
    reveal them.
    """
    workers, alone = group
    loss, *gradients = workers[0]["wrong"][name]
    expected_loss, *expected_gradients = alone["loss"]["both"]
    torch.testing.assert_close(loss, expected_loss, rtol=1e-10, atol=1e-13)
    assert relative_error(gradients, expected_gradients) > 0.05


def test_metrics_are_those_of_one_process(group: tuple[list[Results], Results]) -> None:
    workers, alone = group
    assert 0 < float(alone["metrics"][0]) < 100
    for worker in workers:
        torch.testing.assert_close(worker["metrics"], alone["metrics"], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_batch_norm_is_that_of_one_process(group: tuple[list[Results], Results], name: str) -> None:
    workers, alone = group
    expected = alone["batch norm"][name]
    exact = BATCH_NORMS[name][1] == torch.float64
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if exact else {"rtol": 2e-2, "atol": 2e-2}
    parts = [worker["batch norm"][name] for worker in workers]
    together = {
        what: torch.cat([part["of samples"][what] for part in parts])
        for what in expected["of samples"]
    }
    torch.testing.assert_close(together, expected["of samples"], **tolerance)
    for part in parts:
        # bf16 rounds the samples, not the statistics.
        torch.testing.assert_close(
            part["statistics"], expected["statistics"], rtol=1e-10 if exact else 1e-5, atol=1e-10
        )
        torch.testing.assert_close(part["of all"], expected["of all"], **tolerance)
        torch.testing.assert_close(part["in eval mode"], expected["in eval mode"], **tolerance)


def test_training_is_that_of_one_process(group: tuple[list[Results], Results]) -> None:
    workers, alone = group
    for worker in workers:
        torch.testing.assert_close(worker["training"], alone["training"], rtol=1e-9, atol=1e-11)


def test_gather_is_in_order_of_rank_and_sums_gradients(
    group: tuple[list[Results], Results],
) -> None:
    workers, _ = group
    asked_in_all = sum(place + 1 for place in range(len(workers)))
    for place, worker in enumerate(workers):
        assert worker["gather"].tolist() == [row // 2 for row in range(2 * len(workers))]
        rows = torch.tensor([2 * place + 1, 2 * place + 2], dtype=torch.float64).unsqueeze(1)
        assert torch.equal(worker["gather gradient"], (asked_in_all * rows).expand(2, 3))


def test_gather_alone_is_the_identity() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert all_gather_with_gradient(x) is x
