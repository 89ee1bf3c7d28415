"""Gradients by chunks against one pass, in float64 and by whole runs; two ranks are in
test_pretrain_two_ranks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.distributed.worker import Worker
from workloads.simclr.batch_norm import GlobalBatchNorm, statistics_kept
from workloads.simclr.chunks import backward_in_chunks, numbers_of, own_chunks
from workloads.simclr.encoder import ConvNet
from workloads.simclr.losses import contrastive_loss
from workloads.simclr.pretrain import pretrain, problems_with
from workloads.simclr.spec import LossSpec, RunSpec
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
TINY = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop", "color"]},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "loss": {"temperature": 0.5},
        "optim": {"name": "adamw", "base_learning_rate": 0.02, "scaling": "none"},
        "schedule": {"epochs": 2, "batch_size": 24, "warmup_epochs": 0},
        "precision": "fp32",
    }
)
LOSSES = {
    "nt-xent": LossSpec(),
    "nt-xent across views": LossSpec(negatives="cross", temperature=0.5),
    "nt-logistic": LossSpec(name="nt-logistic", semi_hard=True),
    "margin-triplet": LossSpec(name="margin-triplet", normalize=False),
}


def network(*, batch_norm: bool) -> nn.Sequential:
    torch.manual_seed(0)
    norm = [GlobalBatchNorm(9)] if batch_norm else []
    return nn.Sequential(nn.Linear(6, 9), *norm, nn.Tanh(), nn.Linear(9, 5)).double()


def images() -> Tensor:
    return torch.randn(12, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def two_views(part: Tensor) -> Tensor:
    return torch.cat([part, part.roll(1, dims=1) * 0.9])


def forward(part: nn.Module, views: Tensor) -> tuple[Tensor, Tensor | None]:
    return part(views), None


def loss_of(loss: LossSpec, outputs: Tensor) -> Tensor:
    return contrastive_loss(*outputs.chunk(2), loss)


def gradients(model: nn.Module) -> list[Tensor]:
    found = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None for gradient in found)
    return [gradient for gradient in found if gradient is not None]


def by_chunks(
    model: nn.Module, sizes: Sequence[int], loss: Callable[[Tensor], Tensor], views: int = 2
) -> tuple[Tensor, Tensor]:
    make = two_views if views == 2 else torch.clone
    chunks = [partial(make, part) for part in images().split(list(sizes))]
    outputs, _, of_batch = backward_in_chunks(model, chunks, forward, loss, views)
    return outputs, of_batch


# The gradient


@pytest.mark.parametrize("sizes", [(4, 4, 4), (6, 6), (2,) * 6, (5, 7)], ids=str)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_gradient_is_that_of_one_pass(loss: LossSpec, sizes: tuple[int, ...]) -> None:
    whole, parts = network(batch_norm=False), network(batch_norm=False)
    expected = whole(two_views(images()))
    of_whole = loss_of(loss, expected)
    of_whole.backward()  # type: ignore[no-untyped-call]

    outputs, of_parts = by_chunks(parts, sizes, partial(loss_of, loss))
    torch.testing.assert_close(outputs, expected.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(of_parts, of_whole.detach(), rtol=0, atol=1e-12)
    for gradient, of_one_pass in zip(gradients(parts), gradients(whole), strict=True):
        assert of_one_pass.abs().max() > 1e-4
        torch.testing.assert_close(gradient, of_one_pass, rtol=0, atol=1e-12)


def test_gradients_of_chunks_alone_do_not_add_up_to_it() -> None:
    """What accumulating would give: every chunk's images see the negatives of that chunk only."""
    whole, parts = network(batch_norm=False), network(batch_norm=False)
    loss = partial(loss_of, LossSpec())
    loss(whole(two_views(images()))).backward()  # type: ignore[no-untyped-call]
    for part in images().split(4):
        (loss(parts(two_views(part))) / 3).backward()  # type: ignore[no-untyped-call]
    difference = max(
        float((a - b).abs().max()) for a, b in zip(gradients(parts), gradients(whole), strict=True)
    )
    assert difference > 1e-2


def test_batch_norm_sees_each_chunk_by_itself_and_moves_its_statistics_once_a_chunk() -> None:
    grouped, parts = network(batch_norm=True), network(batch_norm=True)
    loss = partial(loss_of, LossSpec())
    made = [grouped(two_views(part)).chunk(2) for part in images().split(4)]
    expected = torch.cat([*(first for first, _ in made), *(second for _, second in made)])
    loss(expected).backward()  # type: ignore[no-untyped-call]

    outputs, _ = by_chunks(parts, (4, 4, 4), loss)
    torch.testing.assert_close(outputs, expected.detach(), rtol=0, atol=1e-12)
    for gradient, of_groups in zip(gradients(parts), gradients(grouped), strict=True):
        torch.testing.assert_close(gradient, of_groups, rtol=0, atol=1e-12)
    for (name, buffer), (_, of_groups) in zip(
        parts.named_buffers(), grouped.named_buffers(), strict=True
    ):
        torch.testing.assert_close(buffer, of_groups, rtol=0, atol=1e-12, msg=name)
    assert parts[1].num_batches_tracked == 3


def test_one_view_an_image_is_what_a_supervised_loss_takes() -> None:
    whole, parts = network(batch_norm=False), network(batch_norm=False)
    labels = torch.arange(12) % 5

    def loss(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels)

    loss(whole(images())).backward()  # type: ignore[no-untyped-call]
    by_chunks(parts, (4, 8), loss, views=1)
    for gradient, of_one_pass in zip(gradients(parts), gradients(whole), strict=True):
        torch.testing.assert_close(gradient, of_one_pass, rtol=0, atol=1e-12)


def test_statistics_are_kept_and_move_again_afterwards() -> None:
    layer = GlobalBatchNorm(3)
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) + 2
    with statistics_kept(layer):
        kept = layer(x)
    assert layer.running_mean.eq(0).all()
    assert layer.num_batches_tracked == 0
    torch.testing.assert_close(layer(x), kept, rtol=0, atol=0)
    torch.testing.assert_close(layer.running_mean, 0.1 * x.mean(0))


# Which images


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_worker_has_its_share_of_every_chunk(workers: int) -> None:
    shares = [own_chunks(24, 8, Worker(CPU.device, rank, workers)) for rank in range(workers)]
    for number in range(3):
        images_of_chunk = torch.cat([numbers_of([share[number]]) for share in shares])
        assert images_of_chunk.tolist() == list(range(8 * number, 8 * number + 8))
    assert own_chunks(24, None, Worker(CPU.device, 1, 2)) == [slice(12, 24)]


# Whole runs


def run(values: dict[str, Any], resume: dict[str, Any] | None = None) -> list[Any]:
    return list(pretrain(TINY.with_values(values), CPU, resume))


def test_a_chunk_of_the_whole_batch_is_no_chunk() -> None:
    one, whole = TINY.with_values({"schedule.chunk": 24}), TINY
    assert one.fingerprint() == whole.fingerprint()
    first, second = run({"schedule.chunk": 24})[-1], run({})[-1]
    for name, tensor in first.state["model"].items():
        assert torch.equal(tensor, second.state["model"][name]), name


def test_chunks_are_another_run_for_bn_sees_others() -> None:
    assert TINY.with_values({"schedule.chunk": 8}).fingerprint() != TINY.fingerprint()


def test_no_more_than_a_chunk_is_in_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    forward_of = ConvNet.forward

    def counted(self: ConvNet, views: Tensor) -> Tensor:
        seen.append((len(views), torch.is_grad_enabled()))
        return forward_of(self, views)

    monkeypatch.setattr(ConvNet, "forward", counted)
    run({"schedule.chunk": 8, "schedule.epochs": 1})
    steps = 180 // 24
    of_steps = seen[: 6 * steps]
    assert of_steps == ([(16, False)] * 3 + [(16, True)] * 3) * steps
    assert all(not trains for _, trains in seen[6 * steps :])  # whether features are finite


@pytest.mark.parametrize(
    "values",
    [{}, {"eval.online": True}, {"loss.name": "cross-entropy"}, {"precision": "bf16"}],
    ids=str,
)
def test_a_run_in_chunks_continues_as_any_other(values: dict[str, Any]) -> None:
    values = values | {"schedule.chunk": 8}
    whole = run(values)
    rest = run(values, whole[0].state)
    assert [result.epoch for result in rest] == [2]
    for name, tensor in rest[0].state["model"].items():
        assert torch.equal(tensor, whole[1].state["model"][name]), name
    learned = {name for name in whole[0].metrics if name != "images_per_second"}
    assert {name: rest[0].metrics[name] for name in learned} == {
        name: whole[1].metrics[name] for name in learned
    }


# What is refused


def test_a_chunk_that_does_not_divide_the_batch_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        TINY.with_values({"schedule.chunk": 7})
    assert caught.value.problems == ["schedule.chunk=7: does not divide schedule.batch_size=24"]


def test_a_chunk_that_workers_cannot_share_is_refused() -> None:
    spec = TINY.with_values({"schedule.chunk": 3})
    assert problems_with(spec, 180, 2) == ["schedule.chunk=3: is not divisible by 2 workers"]
    assert problems_with(spec, 180, 3) == []
