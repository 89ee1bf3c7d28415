"""Two real processes over gloo keep to the weights of one, step by step, in fp32."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from workloads.distributed.worker import Worker
from workloads.simclr.presets import digits, shapes
from workloads.simclr.pretrain import initial_model, pretrain
from workloads.simclr.spec import RunSpec

# Four steps: an epoch of so many images, less their validation split.
FOUR_STEPS = {"precision": "fp32", "schedule.epochs": 1, "data.train_images": 600}
CASES = {
    "shapes": shapes().with_values(FOUR_STEPS),
    "digits": digits().with_values(FOUR_STEPS),
}


def weights(model: dict[str, Tensor]) -> Tensor:
    """All of them, and none of batch norm's statistics."""
    learned = (model[name] for name in sorted(model) if name.endswith(("weight", "bias")))
    return torch.cat([each.flatten().double() for each in learned])


def trained(spec: RunSpec, worker: Worker) -> Tensor:
    *_, last = pretrain(spec, worker)
    return weights(last.state["model"])


def every_case(_: Path) -> dict[str, Tensor]:
    return {name: trained(spec, Worker.here("cpu")) for name, spec in CASES.items()}


@pytest.fixture(scope="module")
def of_two(
    gloo_group: Callable[..., list[dict[str, Tensor]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Tensor]:
    return gloo_group(every_case, tmp_path_factory.mktemp("group"))[0]


@pytest.mark.parametrize("name", CASES)
def test_two_workers_are_where_one_is_after_four_steps(
    of_two: dict[str, Tensor], name: str
) -> None:
    """To a thousandth of the way, which a ReLU takes whose sign rounding decides.

    With the sums of torch's batch norm in the one process it was a thirtieth.
    """
    alone = trained(CASES[name], Worker(torch.device("cpu")))
    way = (alone - weights(dict(initial_model(CASES[name]).state_dict()))).norm()
    assert way > 0.005 * alone.norm()
    assert (of_two[name] - alone).norm() < 0.006 * way
