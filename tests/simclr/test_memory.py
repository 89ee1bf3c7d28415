"""Nothing reads memory before it is written: training does not change where new memory holds NaN.

A bf16 run of ResNet-18 once had a NaN in its second step where two equal ones had not, on a loaded
machine. torch fills what `empty` returns, for its own kernels, too. What C libraries allocate for
themselves was ruled out by hand, with `MALLOC_PERTURB_=128` (glibc then fills all that it hands
out with 3e38) and a large `MALLOC_MMAP_THRESHOLD_`: ResNet-18 at full width on `digits` ended with
the same bits, on one thread and on two of a busy machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from workloads.distributed.worker import Worker
from workloads.evaluation.evaluate import evaluate
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import Operation, RunSpec

BF16 = Worker(torch.device("cpu"), bf16=True)
# 144 training images: 4 steps.
TINY = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 16, "train_images": 160},
        "augment": {"operations": ["crop", "color"], "color": {"strength": 0.5}},
        "encoder": {"architecture": "resnet18", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "optim": {"name": "adamw", "base_learning_rate": 0.002, "scaling": "none"},
        "schedule": {"epochs": 1, "batch_size": 36, "warmup_epochs": 1},
    }
)
CASES: dict[str, dict[str, Any]] = {
    "bf16": {},
    "fp32": {"precision": "fp32"},
    "every operation": {"augment.operations": list(get_args(Operation))},
    "one branch": {"augment.branches": "one"},
    "in chunks, with a probe beside it": {"schedule.chunk": 12, "eval.online": True},
    "growing images": {"schedule.image_sizes": [[8, 0.5], [16, 0.5]]},
    "LARS": {"optim.name": "lars"},
    "NT-Logistic": {"loss.name": "nt-logistic", "loss.semi_hard": True},
    "margin triplet": {"loss.name": "margin-triplet", "loss.semi_hard": True},
    "supervised": {"loss.name": "cross-entropy"},
}


@contextmanager
def _new_memory(*, holds_nan: bool) -> Iterator[None]:
    """Have torch fill it, or not, by the same algorithms."""
    before = torch.are_deterministic_algorithms_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = holds_nan
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fills
        torch.use_deterministic_algorithms(before)


def outcome(spec: RunSpec) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The metrics of training and evaluation, and the weights."""
    *_, last = pretrain(spec, BF16)
    results = evaluate(spec, last.state, BF16).results
    numbers = {**last.metrics, **dict(results)}
    del numbers["images_per_second"]
    return numbers, last.state["model"]


def test_new_memory_is_filled() -> None:
    with _new_memory(holds_nan=True):
        assert torch.empty(100, 100).isnan().all()


@pytest.mark.parametrize("case", CASES)
def test_what_new_memory_holds_does_not_matter(case: str) -> None:
    spec = TINY.with_values(CASES[case])
    with _new_memory(holds_nan=False):
        numbers, weights = outcome(spec)
    with _new_memory(holds_nan=True):
        found, model = outcome(spec)
    assert found == numbers
    assert all(torch.equal(model[name], weights[name]) for name in weights)
