"""Images that grow during training, against runs of one size, bit for bit; seconds."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from workloads.catalog.simclr import SIMCLR
from workloads.checkpoint import decode, encode
from workloads.distributed.worker import Worker
from workloads.evaluation.evaluate import evaluate
from workloads.simclr.encoder import ConvNet
from workloads.simclr.pretrain import EpochResult, pretrain
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
# 180 training images: 5 steps of 32 an epoch.
TINY = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop", "color"], "crop": {"min_area": 0.5}},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "loss": {"temperature": 0.2},
        "optim": {"name": "adamw", "base_learning_rate": 0.02, "scaling": "none"},
        "schedule": {"epochs": 3, "batch_size": 32, "warmup_epochs": 1},
        "precision": "fp32",
    }
)
GROWING = TINY.with_values({"schedule.image_sizes": [[8, 0.4], [12, 0.2], [16, 0.4]]})


def run(spec: RunSpec, resume: dict[str, Any] | None = None) -> list[EpochResult]:
    return list(pretrain(spec, CPU, resume))


def same_weights(one: EpochResult, other: EpochResult) -> bool:
    models: list[dict[str, Tensor]] = [one.state["model"], other.state["model"]]
    return all(torch.equal(models[0][name], models[1][name]) for name in models[0])


@pytest.fixture
def sides() -> Iterator[list[int]]:
    """The side of the images of every pass through an encoder."""
    seen: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, ConvNet):
            seen.append(inputs[0].shape[-1])

    hook = register_module_forward_pre_hook(note)
    yield seen
    hook.remove()


def test_images_grow_by_their_share_of_the_steps_and_are_whole_at_evaluation(
    sides: list[int],
) -> None:
    """In the middle of an epoch, too: 6 of the 15 steps, 3, and 6."""
    state = run(GROWING)[-1].state
    trained = [8] * 6 + [12] * 3 + [16] * 6
    assert sides[:15] == trained
    evaluate(GROWING, state, CPU)
    assert len(sides) > 15
    assert set(sides[15:]) == {16}


def test_one_size_is_that_output_size() -> None:
    small = TINY.with_values({"schedule.image_sizes": [[8, 1.0]]})
    for one, other in zip(
        run(small), run(TINY.with_values({"augment.output_size": 8})), strict=True
    ):
        assert same_weights(one, other)
    assert same_weights(
        run(TINY.with_values({"schedule.image_sizes": [[16, 1.0]]}))[-1], run(TINY)[-1]
    )


def test_a_run_resumed_between_two_sizes_equals_an_uninterrupted_one() -> None:
    whole = run(GROWING)
    for done in (1, 2):
        rest = run(GROWING, decode(encode(whole[done - 1].state)))
        assert len(rest) == 3 - done
        assert same_weights(rest[-1], whole[-1])


@pytest.mark.parametrize("values", [{"loss.name": "cross-entropy"}, {"schedule.chunk": 16}])
def test_every_kind_of_training_has_them(sides: list[int], values: dict[str, Any]) -> None:
    run(GROWING.with_values(values))
    assert {8, 12, 16} == set(sides)


def test_it_is_another_run_and_an_old_one_is_found() -> None:
    assert "image_sizes" not in str(TINY.with_values({"schedule.image_sizes": []})._that_matters())
    fingerprints = {
        TINY.with_values({"schedule.image_sizes": sizes}).fingerprint()
        for sizes in ([], [[8, 1.0]], [[8, 0.4], [16, 0.6]], [[8, 0.6], [16, 0.4]])
    }
    assert len(fingerprints) == 4


def test_without_a_crop_the_way_of_resizing_matters() -> None:
    color = GROWING.with_values({"augment.operations": ["color"]})
    bilinear = color.with_values({"augment.crop.interpolation": "bilinear"})
    assert color.fingerprint() != bilinear.fingerprint()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([[8, 0.4], [16, 0.4]], "the shares of the steps add up to 0.8; needs 1"),
        ([[24, 1.0]], "schedule.image_sizes: 24 pixels are more than data.image_size=16"),
        ([[4, 1.0]], "greater than or equal to 8"),
        ([[8, 0.0], [16, 1.0]], "greater than 0"),
        ([8, 16], "valid tuple"),
    ],
)
def test_what_cannot_be_is_refused(sizes: list[Any], expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        TINY.with_values({"schedule.image_sizes": sizes})


def test_the_cost_counts_smaller_images() -> None:
    whole, small = (
        SIMCLR.operations(spec, 180) - SIMCLR.operations(spec, 180, trained=True)
        for spec in (TINY, TINY.with_values({"schedule.image_sizes": [[8, 0.5], [16, 0.5]]}))
    )
    assert small == pytest.approx(whole * (0.5 * 0.25 + 0.5))
