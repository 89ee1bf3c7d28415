"""Two real processes over gloo: supervised training on them is that of one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads.checkpoint import decode, encode
from workloads.distributed.worker import Worker
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import RunSpec

SPEC = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop", "color"], "color": {"strength": 0.5}},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "loss": {"name": "cross-entropy"},
        "optim": {"name": "sgd", "base_learning_rate": 0.5, "scaling": "none"},
        "schedule": {"epochs": 2, "batch_size": 32, "warmup_epochs": 0},
        "precision": "fp32",
    }
)
Results = list[dict[str, Any]]


def trained(worker: Worker, resume: dict[str, Any] | None = None) -> Results:
    return [
        {"metrics": result.metrics, "state": result.state}
        for result in pretrain(SPEC, worker, resume)
    ]


def whole_and_resumed(folder: Path) -> dict[str, Results]:
    worker = Worker.here("cpu")
    return {
        "whole": trained(worker),
        "resumed": trained(worker, decode((folder / "first.pt").read_bytes())),
    }


@pytest.fixture(scope="module")
def alone() -> Results:
    return trained(Worker(torch.device("cpu")))


@pytest.fixture(scope="module")
def workers(
    alone: Results,
    tmp_path_factory: pytest.TempPathFactory,
    gloo_group: Callable[..., list[dict[str, Results]]],
) -> list[dict[str, Results]]:
    """Of each worker, in order of rank: the whole run, and the second epoch after this process's
    first one.
    """
    folder = tmp_path_factory.mktemp("group")
    (folder / "first.pt").write_bytes(encode(alone[0]["state"]))
    return gloo_group(whole_and_resumed, folder)


def assert_same_run(results: Results, expected: Results) -> None:
    """Losses to 1e-5 and weights to 1e-4: workers add in another order."""
    for result, reference in zip(results, expected, strict=True):
        metrics, theirs = result["metrics"], reference["metrics"]
        assert metrics["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
        # one image
        assert metrics["training_accuracy"] == pytest.approx(
            theirs["training_accuracy"], abs=100 / 160
        )
        assert metrics["learning_rate"] == theirs["learning_rate"]
        torch.testing.assert_close(
            result["state"]["model"], reference["state"]["model"], rtol=1e-3, atol=1e-4
        )
        assert result["state"]["fingerprint"] == reference["state"]["fingerprint"]


def test_two_workers_give_the_run_of_one(workers: list[dict[str, Results]], alone: Results) -> None:
    first, last = (result["state"]["model"] for result in alone)
    for name in ("encoder.stages.0.weight", "classifier.weight"):
        assert float((last[name] - first[name]).abs().max()) > 0.005, (
            "what the tolerance has to be small against"
        )
    for worker in workers:
        assert_same_run(worker["whole"], alone)
        assert_same_run(worker["resumed"], alone[1:])


def test_both_workers_hold_the_same_state(workers: list[dict[str, Results]]) -> None:
    """Bit for bit, so that any of them may write the checkpoint."""
    for first, second in zip(*(worker["whole"] for worker in workers), strict=True):
        assert {**first["metrics"], "images_per_second": 0} == {
            **second["metrics"],
            "images_per_second": 0,
        }
        torch.testing.assert_close(
            first["state"]["model"], second["state"]["model"], rtol=0, atol=0
        )
        momenta = (result["state"]["optimizer"]["state"] for result in (first, second))
        torch.testing.assert_close(*momenta, rtol=0, atol=0)


def test_one_worker_continues_the_run_of_two(
    workers: list[dict[str, Results]], alone: Results
) -> None:
    assert_same_run(
        trained(Worker(torch.device("cpu")), workers[1]["whole"][0]["state"]), alone[1:]
    )
