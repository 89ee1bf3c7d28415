"""An own loss that is written for one process, in a group over gloo: against one process alone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from workloads.distributed.collectives import all_reduce_sum, rank, world_size
from workloads.simclr.losses import contrastive_loss
from workloads.simclr.spec import LossSpec

WORKERS = 2
# Every pair of images has a part in it, so that no worker's own images are enough.
CODE = "import torch\n\n\ndef spread(z0, z1):\n    return torch.pdist(z0 * z1).exp().mean().log()\n"
MODULE = "spread_of_two_ranks"


def views() -> Tensor:
    return torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(0))


def loss_and_gradients(of: Tensor) -> list[Tensor]:
    """The loss on top of an MLP and each parameter's gradient, averaged over workers as by DDP."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    value = contrastive_loss(network(of[0]), network(of[1]), LossSpec(name=f"{MODULE}:spread"))
    gradients = torch.autograd.grad(value, list(network.parameters()))
    return [all_reduce_sum(tensor) / world_size() for tensor in (value, *gradients)]


def of_a_worker(folder: Path) -> list[Tensor]:
    os.chdir(folder)
    return loss_and_gradients(views().chunk(WORKERS, dim=1)[rank()])


def test_loss_and_gradients_are_those_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gloo_group: Callable[..., list[list[Tensor]]]
) -> None:
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    alone = loss_and_gradients(views())
    assert all(gradient.abs().max() > 1e-3 for gradient in alone[1:3])
    for worker in gloo_group(of_a_worker, tmp_path, WORKERS):
        torch.testing.assert_close(worker, alone, rtol=1e-4, atol=1e-6)
