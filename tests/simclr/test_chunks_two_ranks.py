"""Two real processes over gloo: gradients by chunks are those of one process, in float64.

In fp32 the batch norm of one process is less exact than the comparison needs to be.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from workloads.distributed.data_parallel import of_all_workers
from workloads.distributed.worker import Worker
from workloads.simclr.chunks import backward_in_chunks, numbers_of, own_chunks
from workloads.simclr.model import initial_model
from workloads.simclr.objective import objective_of
from workloads.simclr.spec import RunSpec

BATCH, CHUNK = 12, 4
SPEC = RunSpec.read(
    {
        "data": {"image_size": 8},
        "augment": {"operations": ["crop", "color"]},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 4},
        "schedule": {"batch_size": BATCH, "chunk": CHUNK},
        "precision": "fp32",
    }
)
# Gradients by parameters and statistics by buffers, and the loss.
Step = dict[str, Tensor]


def step(worker: Worker) -> Step:
    """One backward pass in chunks, on this worker's images of the batch."""
    chunks = own_chunks(BATCH, CHUNK, worker)
    pixels = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 3, 8, 8), generator=pixels).to(torch.uint8)
    objective = objective_of(SPEC)
    views = objective.draw(BATCH, 8, 8, torch.Generator().manual_seed(1))
    parts = images[numbers_of(chunks)].split(CHUNK // worker.world_size)
    made = [
        partial(lambda part, chunk: views(part, chunk).double(), part, chunk)
        for part, chunk in zip(parts, chunks, strict=True)
    ]

    def forward(network: nn.Module, of_chunk: Tensor) -> tuple[Tensor, None]:
        return network(of_chunk), None

    model = initial_model(SPEC).double()
    trained = of_all_workers(model, worker)
    no_labels = torch.empty(0)
    _, _, loss = backward_in_chunks(
        trained, made, forward, lambda z: objective.loss(z, no_labels), objective.views_per_image
    )
    found: Step = dict(model.named_buffers()) | {"loss": loss}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        found[f"{name}.grad"] = parameter.grad
    return found


def step_of_rank(_: Path) -> Step:
    return step(Worker.here("cpu"))


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory, gloo_group: Callable[..., list[Step]]
) -> list[Step]:
    return gloo_group(step_of_rank, tmp_path_factory.mktemp("group"))


def test_two_workers_give_the_gradient_of_one(workers: list[Step]) -> None:
    alone = step(Worker(torch.device("cpu")))
    assert alone["encoder.stages.0.weight.grad"].abs().max() > 1e-4
    for found in workers:
        for name, value in alone.items():
            if name != "loss":
                torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11, msg=name)
    # A worker's loss is that of its own anchors.
    mean = torch.stack([found["loss"] for found in workers]).mean()
    torch.testing.assert_close(mean, alone["loss"], rtol=0, atol=1e-12)
