"""One process and two ranks on a GPU, against the same on the CPU: losses, runs, evaluation, memory
and stalls.

Skipped where torch sees no GPU. Two ranks share it over gloo, because NCCL takes one rank a GPU.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from workloads.checkpoint import decode, encode
from workloads.distributed.worker import Worker
from workloads.evaluation.evaluate import evaluate
from workloads.simclr.losses import contrastive_loss, nt_xent
from workloads.simclr.pretrain import EpochResult, initial_model, pretrain
from workloads.simclr.spec import LossSpec, RunSpec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")

# 180 training images: 5 steps of 32 an epoch, and 20 images left over.
TINY = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop"], "crop": {"min_area": 0.5}},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "loss": {"temperature": 0.2},
        "optim": {
            "name": "sgd",
            "base_learning_rate": 0.005,
            "scaling": "none",
            "weight_decay": 1e-4,
        },
        "schedule": {"epochs": 3, "batch_size": 32, "warmup_epochs": 1},
        "precision": "fp32",
    }
)
LOSSES: dict[str, dict[str, Any]] = {
    "nt-xent": {"temperature": 0.1},
    "nt-xent, cross": {"temperature": 0.1, "negatives": "cross"},
    "nt-logistic": {"name": "nt-logistic", "temperature": 0.2},
    "margin-triplet, semi-hard": {"name": "margin-triplet", "margin": 0.4, "semi_hard": True},
}


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of fp32 in fp32: TF32 keeps 10 bits, which is no comparison."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def on(
    device: str, values: dict[str, Any] | None = None, resume: dict[str, Any] | None = None
) -> list[EpochResult]:
    return list(pretrain(TINY.with_values(values or {}), Worker.here(device), resume))


def weights(state: dict[str, Tensor]) -> Tensor:
    return torch.cat(
        [
            value.float().flatten()
            for name, value in state.items()
            if name.endswith(("weight", "bias"))
        ]
    )


def assert_same_run(results: list[EpochResult], expected: list[EpochResult]) -> None:
    """To rounding, which grows from step to step: a hundredth of how far the weights have moved."""
    untrained = weights(initial_model(TINY).state_dict())
    assert len(results) == len(expected)
    for result, reference in zip(results, expected, strict=True):
        assert result.metrics["loss"] == pytest.approx(reference.metrics["loss"], abs=1e-3)
        found, there = weights(result.state["model"]), weights(reference.state["model"])
        assert (found - there).norm() < 0.01 * (there - untrained).norm()


def embeddings(n: int, device: str, dim: int = 32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    z0 = torch.randn(n, dim, generator=generator)
    z1 = z0 + 0.7 * torch.randn(n, dim, generator=generator)
    return [z.to(device).requires_grad_() for z in (z0, z1)]


@pytest.mark.parametrize("fields", LOSSES.values(), ids=LOSSES)
def test_losses_and_their_gradients_are_those_of_the_cpu(fields: dict[str, Any]) -> None:
    spec = LossSpec.model_validate(fields)
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        views = embeddings(100, device)
        loss = contrastive_loss(views[0], views[1], spec)
        loss.backward()  # type: ignore[no-untyped-call]
        values.append(loss.detach().cpu())
        gradients.append([view.grad.cpu() for view in views if view.grad is not None])
    torch.testing.assert_close(values[1], values[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


def test_nt_xent_of_the_papers_largest_batch_takes_no_square_matrix() -> None:
    # 16,384 anchors: their similarities alone would be 1 GiB, and as much for each that is derived
    # from them
    n = 8192
    views = embeddings(n, "cuda", 128)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    nt_xent(views[0], views[1], temperature=0.1).backward()  # type: ignore[no-untyped-call]
    assert torch.cuda.max_memory_allocated() - before < 4 * (2 * n) ** 2


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_a_run_is_that_of_the_cpu(optimizer: str) -> None:
    rate = {"sgd": 0.005, "lars": 0.1, "adamw": 0.001}[optimizer]
    # One epoch: LARS makes as much of rounding in a second one that two runs on a GPU differ.
    values = {"optim.name": optimizer, "optim.base_learning_rate": rate, "schedule.epochs": 1}
    assert_same_run(on("cuda", values), on("cpu", values))


def test_a_resumed_run_is_the_uninterrupted_one_also_when_it_began_on_a_cpu() -> None:
    whole = on("cuda")
    assert_same_run(on("cuda", resume=decode(encode(whole[0].state))), whole[1:])
    assert_same_run(on("cuda", resume=on("cpu")[0].state), whole[1:])


def test_states_are_on_the_cpu() -> None:
    state = on("cuda", {"schedule.epochs": 1})[0].state
    assert {tensor.device.type for tensor in state["model"].values()} == {"cpu"}


def test_bf16_is_used_and_learns_the_same() -> None:
    worker = Worker.here("cuda")
    assert worker.bf16 == torch.cuda.is_bf16_supported(including_emulation=False)
    if worker.bf16:
        losses = [
            on("cuda", {"precision": precision})[-1].metrics["loss"]
            for precision in ("bf16", "fp32")
        ]
        assert losses[0] != losses[1]
        assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize("protocol", ["lbfgs", "sgd"])
def test_linear_evaluation_is_that_of_the_cpu(protocol: str) -> None:
    spec = TINY.with_values(
        {"eval.protocol": protocol, "eval.sgd.epochs": 3, "eval.sgd.batch_size": 64}
    )
    state = on("cpu")[-1].state
    cpu, gpu = (evaluate(spec, state, Worker.here(device)).results for device in ("cpu", "cuda"))
    assert cpu.keys() == gpu.keys()
    # Of 100 test images, one may lie on the boundary between two classes.
    assert gpu["linear_top1"] == pytest.approx(cpu["linear_top1"], abs=1.01)
    assert gpu["knn_top1"] == pytest.approx(cpu["knn_top1"], abs=1.01)


def test_a_step_does_not_wait_for_the_device() -> None:
    """An epoch of 18 steps does not synchronise more often than one of 5: at its end, and every 64
    steps.
    """
    views = {"augment.operations": ["crop", "color", "blur"]}
    on("cuda", views)  # what is waited for only the first time
    waits = []
    for batch in (32, 10):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                on(
                    "cuda",
                    {
                        **views,
                        "schedule.batch_size": batch,
                        "schedule.epochs": 1,
                        "schedule.warmup_epochs": 0,
                    },
                )
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits.append(sum("synchroniz" in str(each.message) for each in caught))
    assert abs(waits[0] - waits[1]) < 5


def kept_states(_: Path) -> list[dict[str, Any]]:
    torch.backends.cudnn.allow_tf32 = False
    results = pretrain(TINY, Worker.here("cuda:0"))
    return [
        {"epoch": result.epoch, "metrics": result.metrics, "model": result.state["model"]}
        for result in results
    ]


def test_two_workers_on_a_gpu_are_one(
    tmp_path: Path, gloo_group: Callable[..., list[list[dict[str, Any]]]]
) -> None:
    # spawned: a fork cannot use CUDA, which has been asked for above whether it is there
    workers = gloo_group(kept_states, tmp_path, seconds=120, start="spawn")
    alone = on("cuda")
    for found in workers:
        assert_same_run(
            [
                EpochResult(kept["epoch"], kept["metrics"], {"model": kept["model"]})
                for kept in found
            ],
            alone,
        )
