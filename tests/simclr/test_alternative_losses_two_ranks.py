"""Two real processes over gloo: NT-Logistic and margin triplet are those of one process on the
whole batch.

Every worker sees other images, so that schemes that are right only for equal workers fail.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from workloads.distributed.collectives import all_gather, all_reduce_sum, rank, world_size
from workloads.simclr import losses
from workloads.simclr.losses import contrastive_loss
from workloads.simclr.spec import LossSpec

WORKERS = 2
IMAGES = 5  # of each worker
LOSSES = {
    "logistic": LossSpec(name="nt-logistic", temperature=0.2),
    "logistic-sum": LossSpec(name="nt-logistic", temperature=0.2, negative_reduction="sum"),
    "logistic-semi-hard": LossSpec(name="nt-logistic", temperature=0.2, semi_hard=True),
    "logistic-raw": LossSpec(name="nt-logistic", temperature=1.0, normalize=False),
    "margin": LossSpec(name="margin-triplet", margin=0.4),
    "margin-sum": LossSpec(name="margin-triplet", margin=0.4, negative_reduction="sum"),
    "margin-semi-hard": LossSpec(name="margin-triplet", margin=0.4, semi_hard=True),
    "margin-raw": LossSpec(name="margin-triplet", margin=1.0, normalize=False),
}
Results = dict[str, list[Tensor]]


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


def samples() -> Tensor:
    """Two views [2, WORKERS * IMAGES, 6]: the second worker's lie elsewhere, spread more and agree
    better.
    """
    generator = torch.Generator().manual_seed(2)
    x, noise = torch.randn(2, WORKERS * IMAGES, 6, generator=generator, dtype=torch.float64)
    scale = 1 + torch.arange(WORKERS).repeat_interleave(IMAGES).unsqueeze(1)
    return torch.stack([x * scale + scale / 2, x * scale + scale / 2 + 2 * noise / scale])


def loss_and_gradients(views: Tensor, loss: LossSpec) -> list[Tensor]:
    """The loss on top of an MLP and the gradient of each parameter, averaged over workers as DDP
    does.
    """
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).double()
    value = contrastive_loss(network(views[0]), network(views[1]), loss)
    gradients = torch.autograd.grad(value, list(network.parameters()))
    return [all_reduce_sum(tensor) / world_size() for tensor in (value, *gradients)]


def measure(views: Tensor) -> Results:
    return {name: loss_and_gradients(views, loss) for name, loss in LOSSES.items()}


def measure_share(_: Path) -> dict[str, Results]:
    share = samples().chunk(WORKERS, dim=1)[rank()]
    results = {"right": measure(share)}
    for name, gather in WRONG_GATHERS.items():
        with mock.patch.object(losses, "all_gather_with_gradient", gather):
            results[name] = measure(share)
    return results


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory,
    gloo_group: Callable[..., list[dict[str, Results]]],
) -> list[dict[str, Results]]:
    """What each worker measured, in order of rank, by the gather that it used."""
    return gloo_group(measure_share, tmp_path_factory.mktemp("group"), WORKERS)


@pytest.fixture(scope="module")
def alone() -> Results:
    return measure(samples())


def relative_error(values: list[Tensor], expected: list[Tensor]) -> float:
    difference = torch.cat([(a - b).flatten() for a, b in zip(values, expected, strict=True)])
    return float(difference.norm() / torch.cat([b.flatten() for b in expected]).norm())


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_are_those_of_one_process(
    workers: list[dict[str, Any]], alone: Results, name: str
) -> None:
    for worker in workers:
        torch.testing.assert_close(worker["right"][name], alone[name], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("gather", WRONG_GATHERS)
@pytest.mark.parametrize("name", LOSSES)
def test_inputs_tell_wrong_gathers_apart(
    workers: list[dict[str, Any]], alone: Results, name: str, gather: str
) -> None:
    """Their loss is right and their gradient is not, so only the comparison of gradients above can
    reveal them.
    """
    loss, *gradients = workers[0][gather][name]
    expected_loss, *expected_gradients = alone[name]
    torch.testing.assert_close(loss, expected_loss, rtol=1e-10, atol=1e-13)
    assert relative_error(gradients, expected_gradients) > 0.05


@pytest.mark.parametrize("name", LOSSES)
def test_inputs_tell_negatives_of_all_workers_from_own_ones(alone: Results, name: str) -> None:
    shares = [loss_and_gradients(share, LOSSES[name]) for share in samples().chunk(WORKERS, dim=1)]
    of_own_negatives = [torch.stack(values).mean(dim=0) for values in zip(*shares, strict=True)]
    assert relative_error(of_own_negatives, alone[name]) > 0.02
