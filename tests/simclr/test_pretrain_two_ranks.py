"""Two real processes over gloo: a whole pre-training run on them is the run of one process, and
both stop together.
"""

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from workloads.checkpoint import decode, encode
from workloads.distributed.worker import Worker
from workloads.simclr.pretrain import LossNotFiniteError, pretrain
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

TINY = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {
            "operations": ["crop", "color", "blur"],
            "color": {"strength": 0.5},
            "blur": {"kernel_fraction": 0.3},
        },
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "loss": {"temperature": 0.5},
        "optim": {"scaling": "none"},
        "schedule": {"epochs": 2, "batch_size": 32, "warmup_epochs": 1},
        "precision": "fp32",
    }
)
SPECS = {
    "lars": TINY.with_values({"optim.base_learning_rate": 0.2, "optim.trust_coefficient": 0.01}),
    "sgd": TINY.with_values({"optim.name": "sgd", "optim.base_learning_rate": 0.002}),
    "growing images": TINY.with_values(
        {
            "optim.base_learning_rate": 0.2,
            "optim.trust_coefficient": 0.01,
            "schedule.image_sizes": [[8, 0.7], [16, 0.3]],
        }
    ),
}
DIVERGING = TINY.with_values(
    {
        "optim.name": "sgd",
        "optim.base_learning_rate": 1,
        "optim.weight_decay": 10000,
        "schedule.warmup_epochs": 0,
        "schedule.epochs": 3,
    }
)
Results = dict[str, Any]


def trained(spec: RunSpec, worker: Worker, resume: dict[str, Any] | None = None) -> list[Results]:
    return [
        {"metrics": result.metrics, "state": result.state}
        for result in pretrain(spec, worker, resume)
    ]


def diverged(worker: Worker) -> Results:
    results = []
    try:
        for result in pretrain(DIVERGING, worker):
            results.append(result.epoch)
    except LossNotFiniteError as error:
        stopped = {"loss": error.loss, "step": error.step, "last good epoch": error.last_good_epoch}
        return {"epochs": results, **stopped}
    return {"epochs": results}


def refused(worker: Worker) -> list[str]:
    try:
        trained(TINY.with_values({"schedule.batch_size": 33}), worker)
    except SpecError as error:
        return error.problems
    return []


def every_run(folder: Path) -> Results:
    worker = Worker.here("cpu")
    return {
        "place": (worker.rank, worker.world_size),
        "runs": {name: trained(spec, worker) for name, spec in SPECS.items()},
        "resumed": {
            name: trained(spec, worker, decode((folder / f"{name}.pt").read_bytes()))
            for name, spec in SPECS.items()
        },
        "refused": refused(worker),
        "diverged": diverged(worker),
    }


@pytest.fixture(scope="module")
def alone() -> dict[str, list[Results]]:
    """The same runs in this process."""
    return {name: trained(spec, Worker(torch.device("cpu"))) for name, spec in SPECS.items()}


@pytest.fixture(scope="module")
def workers(
    alone: dict[str, list[Results]],
    tmp_path_factory: pytest.TempPathFactory,
    gloo_group: Callable[..., list[Results]],
) -> list[Results]:
    """Results of each worker, in order of rank; they continue this process's runs from their first
    epoch, too.
    """
    folder = tmp_path_factory.mktemp("group")
    for name, results in alone.items():
        (folder / f"{name}.pt").write_bytes(encode(results[0]["state"]))
    return gloo_group(every_run, folder)


def assert_same_run(results: list[Results], expected: list[Results]) -> None:
    """Losses to 1e-5 and weights to 1e-4: workers add in another order."""
    for result, reference in zip(results, expected, strict=True):
        assert result["metrics"]["loss"] == pytest.approx(reference["metrics"]["loss"], abs=1e-5)
        assert result["metrics"]["contrastive_entropy"] == pytest.approx(
            reference["metrics"]["contrastive_entropy"], abs=1e-5
        )
        assert result["metrics"]["contrastive_accuracy"] == pytest.approx(
            reference["metrics"]["contrastive_accuracy"], abs=100 / 160
        )
        assert result["metrics"]["learning_rate"] == reference["metrics"]["learning_rate"]
        torch.testing.assert_close(
            result["state"]["model"], reference["state"]["model"], rtol=1e-3, atol=1e-4
        )
        assert result["state"]["fingerprint"] == reference["state"]["fingerprint"]


def change(results: list[Results]) -> float:
    """How far the last epoch moved the weights: what the tolerance has to be small against."""
    first, last = (result["state"]["model"] for result in (results[0], results[-1]))
    return max(
        float((last[name] - first[name]).abs().max()) for name in first if name.endswith("weight")
    )


def test_the_group_knows_its_workers(workers: list[Results]) -> None:
    assert [result["place"] for result in workers] == [(0, 2), (1, 2)]


@pytest.mark.parametrize("name", SPECS)
def test_two_workers_give_the_run_of_one(
    workers: list[Results], alone: dict[str, list[Results]], name: str
) -> None:
    assert change(alone[name]) > 0.005
    for worker in workers:
        assert_same_run(worker["runs"][name], alone[name])


@pytest.mark.parametrize("name", SPECS)
def test_both_workers_hold_the_same_state(workers: list[Results], name: str) -> None:
    """Bit for bit, so that any of them may write the checkpoint."""
    for first, second in zip(*(worker["runs"][name] for worker in workers), strict=True):
        assert {**first["metrics"], "images_per_second": 0} == {
            **second["metrics"],
            "images_per_second": 0,
        }
        states = (first["state"], second["state"])
        tensors = (
            {"model": state["model"], "optimizer": state["optimizer"]["state"]} for state in states
        )
        torch.testing.assert_close(*tensors, rtol=0, atol=0)


@pytest.mark.parametrize("name", SPECS)
def test_two_workers_continue_the_run_of_one(
    workers: list[Results], alone: dict[str, list[Results]], name: str
) -> None:
    for worker in workers:
        assert_same_run(worker["resumed"][name], alone[name][1:])


@pytest.mark.parametrize("name", SPECS)
def test_one_worker_continues_the_run_of_two(
    workers: list[Results], alone: dict[str, list[Results]], name: str
) -> None:
    state = workers[1]["runs"][name][0]["state"]
    assert_same_run(trained(SPECS[name], Worker(torch.device("cpu")), state), alone[name][1:])


def test_state_keys_do_not_tell_how_many_workers_there_were(
    workers: list[Results], alone: dict[str, list[Results]]
) -> None:
    for name, results in alone.items():
        model: dict[str, Tensor] = workers[0]["runs"][name][0]["state"]["model"]
        assert model.keys() == results[0]["state"]["model"].keys()


def test_diverging_stops_both_workers_at_the_same_step(workers: list[Results]) -> None:
    first, second = (worker["diverged"] for worker in workers)
    assert first["epochs"] == second["epochs"] == [1]
    assert first["last good epoch"] == second["last good epoch"] == 1
    assert first["step"] == second["step"]
    assert not isfinite(first["loss"])
    assert not isfinite(second["loss"])


def test_a_batch_that_two_workers_cannot_share_is_refused_on_both(workers: list[Results]) -> None:
    for worker in workers:
        (problem,) = worker["refused"]
        assert "schedule.batch_size=33" in problem
        assert "2 workers" in problem
