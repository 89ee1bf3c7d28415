"""One process with an oracle: a loop written by hand, brute-force formulas, and runs compared bit
for bit.
"""

import pickle
from itertools import combinations
from math import cos, isfinite, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from workloads.checkpoint import decode, encode
from workloads.datasets import load
from workloads.distributed.worker import Worker
from workloads.simclr.pretrain import (
    EpochResult,
    LossNotFiniteError,
    SimCLR,
    initial_model,
    pretrain,
)
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
CPU_BF16 = Worker(torch.device("cpu"), bf16=True)

# 180 training images: 5 steps of 32 an epoch, and 20 images left over.
TINY = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop"], "crop": {"min_area": 0.5}},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "loss": {"temperature": 0.2},
        "optim": {"name": "adamw", "base_learning_rate": 0.02, "scaling": "none"},
        "schedule": {"epochs": 3, "batch_size": 32, "warmup_epochs": 1},
        "precision": "fp32",
    }
)
STEPS = 5
FIRST_BN = "encoder.stages.1"
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "lars": {"optim.name": "lars", "optim.base_learning_rate": 1, "optim.trust_coefficient": 0.01},
    "sgd": {"optim.name": "sgd", "optim.base_learning_rate": 0.5, "optim.weight_decay": 0.01},
    "adamw": {},
}
# Weights grow ten thousandfold a step until they overflow.
DIVERGING = {
    "optim.name": "sgd",
    "optim.base_learning_rate": 1,
    "optim.weight_decay": 10000,
    "schedule.warmup_epochs": 0,
}


def run(
    values: dict[str, Any], resume: dict[str, Any] | None = None, worker: Worker = CPU
) -> list[EpochResult]:
    return list(pretrain(TINY.with_values(values), worker, resume))


def learned(result: EpochResult) -> dict[str, float]:
    return {name: value for name, value in result.metrics.items() if name != "images_per_second"}


def identical(a: Any, b: Any) -> bool:
    """Bit for bit."""
    match a:
        case Tensor():
            return a.dtype == b.dtype and torch.equal(a, b)
        case dict():
            return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
        case list():
            return len(a) == len(b) and all(map(identical, a, b))
        case _:
            return type(a) is type(b) and bool(a == b)


# Continuing


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_equals_an_uninterrupted_one(name: str, precision: str) -> None:
    """From every epoch, bit for bit, after the run that gave the states has gone on and ended."""
    values = OPTIMIZERS[name] | {"precision": precision}
    whole = run(values, worker=CPU_BF16)
    assert [result.epoch for result in whole] == [1, 2, 3]
    for done in (1, 2):
        for state in (whole[done - 1].state, decode(encode(whole[done - 1].state))):
            before = decode(encode(state))
            rest = run(values, state, CPU_BF16)
            assert identical(state, before)
            assert [result.epoch for result in rest] == [1, 2, 3][done:]
            for result, expected in zip(rest, whole[done:], strict=True):
                assert learned(result) == learned(expected)
                assert identical(result.state, expected.state)


def test_a_finished_run_has_nothing_left_to_yield() -> None:
    assert run({}, run({})[-1].state) == []


def test_states_are_those_of_their_own_epoch() -> None:
    first, second, third = (result.state for result in run({}))
    assert not identical(first["model"], second["model"])
    assert not identical(second["model"], third["model"])
    assert [state["epoch"] for state in (first, second, third)] == [1, 2, 3]


def test_the_state_of_another_specification_is_refused() -> None:
    state = run({"schedule.epochs": 1})[0].state
    with pytest.raises(SpecError, match="another specification"):
        run({"schedule.epochs": 2}, state)


def test_a_checkpoint_runs_no_code() -> None:
    with pytest.raises(pickle.UnpicklingError):
        decode(encode({"model": Path("here")}))


# Seeds and precision


def test_the_seed_decides_everything_and_nothing_else_does() -> None:
    torch.manual_seed(1)
    first = run({})
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    again, other = run({}), run({"seed": 1})
    assert torch.equal(torch.rand(3), expected), "the global generator was used"
    assert identical(first[-1].state, again[-1].state)
    assert [learned(result) for result in first] == [learned(result) for result in again]
    assert learned(other[-1]) != learned(first[-1])
    for name, weight in initial_model(TINY.with_values({"seed": 1})).named_parameters():
        if weight.ndim > 1:
            assert not torch.equal(weight, initial_model(TINY).get_parameter(name))


def test_bf16_is_used_where_asked_for_and_there() -> None:
    def losses(precision: str, worker: Worker) -> list[float]:
        return [
            result.metrics["loss"]
            for result in run({"precision": precision, "schedule.epochs": 1}, worker=worker)
        ]

    reference = losses("fp32", CPU)
    assert losses("fp32", CPU_BF16) == reference
    assert losses("bf16", CPU) == reference
    rounded = losses("bf16", CPU_BF16)
    assert rounded != reference
    assert rounded == pytest.approx(reference, abs=0.05)


# What is learned


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loss_goes_down_and_positives_are_found(name: str) -> None:
    """Chance is 1 in 32, about 3 %."""
    first, *_, last = run(OPTIMIZERS[name] | {"schedule.epochs": 4})
    assert last.metrics["loss"] < first.metrics["loss"] - 0.7
    assert last.metrics["contrastive_accuracy"] > 50


def test_two_epochs_give_the_losses_they_always_gave() -> None:
    """A change here means that equal specifications give other results: raise RESULT_REVISION."""
    values = {
        "augment.operations": ["crop", "color", "blur"],
        "augment.color.strength": 0.5,
        "augment.blur.kernel_fraction": 0.3,
        "loss.temperature": 0.5,
        "optim.name": "lars",
        "optim.base_learning_rate": 0.2,
        "optim.trust_coefficient": 0.01,
        "schedule.epochs": 2,
    }
    losses = [result.metrics["loss"] for result in run(values)]
    # other kernels and threads move them by 1e-6
    assert losses == pytest.approx([4.129065, 4.132443], abs=1e-4)


def test_the_incomplete_batch_is_dropped_and_epochs_follow_one_another() -> None:
    results = run({})
    counted = [int(result.state["model"][f"{FIRST_BN}.num_batches_tracked"]) for result in results]
    assert counted == [STEPS, 2 * STEPS, 3 * STEPS]
    assert learned(results[0]).keys() == {
        "loss",
        "contrastive_accuracy",
        "contrastive_entropy",
        "learning_rate",
    }
    assert all(
        type(value) is float and isfinite(value)
        for result in results
        for value in result.metrics.values()
    )


def test_an_untrained_model_is_yielded_once() -> None:
    (result,) = run({"schedule.epochs": 0, "schedule.batch_size": 4096})
    assert (result.epoch, result.metrics) == (0, {})
    expected = initial_model(TINY).state_dict()
    assert identical(result.state["model"], dict(expected))
    other_head = {"schedule.epochs": 0, "head.num_linear_layers": 0, "optim.name": "sgd"}
    # an equal fingerprint, so its state may come from elsewhere
    (again,) = run(other_head, result.state)
    assert again.state["fingerprint"] == result.state["fingerprint"]
    assert again.epoch == 0


# The learning rate


def test_the_learning_rate_follows_the_step() -> None:
    """Linear to the end of the first epoch, then cosine; the value in use at the last step of each
    epoch.
    """
    results = run({})
    expected = [0.02 * (STEPS - 1) / STEPS]
    expected += [
        0.02 * (1 + cos(pi * (steps * STEPS - 1 - STEPS) / (2 * STEPS))) / 2 for steps in (2, 3)
    ]
    assert [result.metrics["learning_rate"] for result in results] == pytest.approx(expected)
    for result in results:
        for group in result.state["optimizer"]["param_groups"]:
            assert group["lr"] == result.metrics["learning_rate"]


def test_the_first_step_of_a_warm_up_changes_nothing() -> None:
    """Of two steps the first has rate 0 and the second half the peak, so the change is proportional
    to the peak.
    """
    values = {
        "optim.name": "sgd",
        "optim.momentum": 0,
        "schedule.epochs": 1,
        "schedule.batch_size": 90,
    }
    before = dict(initial_model(TINY).named_parameters())
    changes = []
    for peak in (0.1, 0.4):
        (result,) = run(values | {"optim.base_learning_rate": peak})
        assert result.metrics["learning_rate"] == pytest.approx(peak / 2)
        after = result.state["model"]
        changes.append(
            torch.cat(
                [(after[name] - weight.detach()).flatten() for name, weight in before.items()]
            )
        )
    assert changes[0].norm() > 0.01
    torch.testing.assert_close(4 * changes[0], changes[1], rtol=1e-3, atol=1e-5)


# A loop written by hand

# All images in one batch, and two views without chance: the image itself and a blurred one.
TEMPERATURE, PEAK, MOMENTUM, DECAY = 0.5, 0.01, 0.8, 0.1
PLAIN = TINY.with_values(
    {
        "augment.operations": ["blur"],
        "augment.blur.probability": 1,
        "augment.blur.min_sigma": 1.5,
        "augment.blur.max_sigma": 1.5,
        "augment.blur.kernel_fraction": 0.3,
        "augment.branches": "one",
        "augment.crop.min_area": 1,
        "augment.crop.min_aspect": 1,
        "augment.crop.max_aspect": 1,
        "augment.crop.flip": 0,
        "loss.temperature": TEMPERATURE,
        "optim.name": "sgd",
        "optim.base_learning_rate": PEAK,
        "optim.momentum": MOMENTUM,
        "optim.weight_decay": DECAY,
        "schedule.epochs": 4,
        "schedule.batch_size": 180,
    }
)


def plain_views() -> Tensor:
    images = load(PLAIN.data).train.take(slice(None)).float() / 255
    return torch.cat([images, gaussian_blur(images, [5, 5], [1.5, 1.5])])


def brute_force(z: Tensor) -> tuple[Tensor, float, float]:
    """Equation 1 in one piece; Table 5's accuracy in % and entropy, first views against second
    ones.
    """
    n = len(z) // 2
    similarity = F.normalize(z) @ F.normalize(z).T / TEMPERATURE
    loss = F.cross_entropy(
        similarity.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf),
        torch.arange(2 * n).roll(n),
    )
    cross = similarity[:n, n:].detach().softmax(1)
    accuracy = (cross.argmax(1) == torch.arange(n)).float().mean()
    return loss, 100 * float(accuracy), float(-(cross * cross.log()).sum(1).mean())


def trained_by_hand() -> tuple[SimCLR, list[list[float]]]:
    model = initial_model(PLAIN).train()
    weights = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": DECAY}, {"params": others}]
    optimizer = torch.optim.SGD(groups, momentum=MOMENTUM)
    history = []
    for epoch in range(4):
        rate = 0.0 if epoch == 0 else PEAK * (1 + cos(pi * (epoch - 1) / 3)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, accuracy, entropy = brute_force(model(plain_views()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        history.append([loss.item(), accuracy, entropy, rate])
    return model, history


def test_pre_training_is_the_loop_written_by_hand() -> None:
    results = list(pretrain(PLAIN, CPU))
    model, history = trained_by_hand()
    for result, (loss, accuracy, entropy, rate) in zip(results, history, strict=True):
        assert result.metrics["loss"] == pytest.approx(loss, abs=1e-4)
        # one image may be a tie
        assert result.metrics["contrastive_accuracy"] == pytest.approx(accuracy, abs=100 / 180)
        assert result.metrics["contrastive_entropy"] == pytest.approx(entropy, abs=1e-4)
        assert result.metrics["learning_rate"] == pytest.approx(rate)
    assert history[-1][0] < history[0][0] - 0.3
    torch.testing.assert_close(
        results[-1].state["model"], dict(model.state_dict()), rtol=1e-3, atol=5e-4
    )


def test_both_views_pass_the_encoder_together() -> None:
    """Statistics of batch normalisation over both views at once: else the network could tell them
    apart by them.
    """
    (result,) = pretrain(PLAIN.with_values({"schedule.epochs": 1}), CPU)
    convolution = initial_model(PLAIN).get_submodule("encoder.stages.0")
    expected = 0.1 * convolution(plain_views()).mean(dim=(0, 2, 3)).detach()
    state = result.state["model"]
    torch.testing.assert_close(state[f"{FIRST_BN}.running_mean"], expected, rtol=1e-4, atol=1e-6)
    assert int(state[f"{FIRST_BN}.num_batches_tracked"]) == 1


def test_every_epoch_has_its_own_order_and_views() -> None:
    """Weights that stand still meet other batches of the same views, and other views of the same
    batch.
    """
    still = {"optim.name": "sgd", "optim.base_learning_rate": 1e-30, "optim.weight_decay": 0}
    ordered = list(pretrain(PLAIN.with_values(still | {"schedule.batch_size": 32}), CPU))
    viewed = run(still | {"schedule.batch_size": 180})
    for results in (ordered, viewed):
        losses = [result.metrics["loss"] for result in results]
        assert min(abs(a - b) for a, b in combinations(losses, 2)) > 1e-3


# What stops a run


def test_a_diverging_run_stops_and_names_its_last_good_epoch() -> None:
    yielded: list[EpochResult] = []
    with pytest.raises(LossNotFiniteError) as caught:
        # extend keeps what came before the error
        yielded.extend(pretrain(TINY.with_values(DIVERGING), CPU))
    error = caught.value
    assert [result.epoch for result in yielded] == [1]
    assert error.last_good_epoch == 1
    assert STEPS <= error.step < 2 * STEPS - 1, (
        "found when it happened, before the end of the epoch"
    )
    assert not isfinite(error.loss)
    assert error.learning_rate == pytest.approx((1 + cos(pi * error.step / (3 * STEPS))) / 2)
    for text in (f"step {error.step} ", f"{error.learning_rate:.6g}", "the state after epoch 1"):
        assert text in str(error)


def test_a_state_whose_weights_overflowed_is_not_yielded() -> None:
    """Its loss was finite: the update after the only step of the epoch is what overflows."""
    values = DIVERGING | {
        "schedule.batch_size": 180,
        "optim.base_learning_rate": 1e30,
        "optim.weight_decay": 1e30,
    }
    with pytest.raises(LossNotFiniteError, match="none, it was the first epoch"):
        run(values)


def test_a_state_whose_features_overflow_is_not_yielded() -> None:
    """Loss and weights are finite: batch norm's statistics are of the weights before the update."""
    values = DIVERGING | {
        "schedule.batch_size": 180,
        "schedule.epochs": 1,
        "optim.base_learning_rate": 1e10,
        "optim.weight_decay": 0,
    }
    with pytest.raises(LossNotFiniteError, match=r"loss is nan at step 0 .*it was the first epoch"):
        run(values)


def test_the_error_travels_between_processes() -> None:
    error = LossNotFiniteError(float("inf"), 17, 0.25, 3)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is LossNotFiniteError
    assert str(copy) == str(error)
    assert (copy.loss, copy.step, copy.learning_rate, copy.last_good_epoch) == (
        float("inf"),
        17,
        0.25,
        3,
    )


def test_a_batch_must_fit_the_images_and_the_workers() -> None:
    with pytest.raises(SpecError) as caught:
        run({"schedule.batch_size": 181}, worker=Worker(CPU.device, rank=0, world_size=3))
    too_large, indivisible = caught.value.problems
    assert "schedule.batch_size=181: is larger than the 180 training images" in too_large
    assert "schedule.batch_size=181: is not divisible by 3 workers" in indivisible
    assert len(run({"schedule.batch_size": 180, "schedule.epochs": 1})) == 1


# Which images are read


def write_images(root: Path, other: set[str]) -> None:
    """Two classes of 20 training and 3 test images; those named in `other` get other pixels."""
    for part, count in (("train", 20), ("test", 3)):
        for label in ("a", "b"):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                name = f"{part}/{label}/{number:02}.png"
                seed = [ord(label), number, len(part), name in other]
                pixels = np.random.default_rng(seed).integers(256, size=(16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / name)


def test_only_training_images_are_read(tmp_path: Path) -> None:
    """Other pixels in every validation and test image change nothing; in one training image they
    change the weights.
    """

    def weights(folder: str, other: set[str]) -> dict[str, Tensor]:
        write_images(tmp_path / folder, other)
        values = {
            "data.root": str(tmp_path / folder),
            "schedule.batch_size": 36,
            "schedule.epochs": 2,
        }
        results = list(pretrain(folders.with_values(values), CPU))
        model: dict[str, Tensor] = results[-1].state["model"]
        return model

    tree = TINY.tree()
    tree["data"] = {"name": "image-folder", "image_size": 16, "root": str(tmp_path / "plain")}
    tree["schedule"]["batch_size"] = 36
    folders = RunSpec.read(tree)
    plain = weights("plain", set())
    files = [f"train/{label}/{number:02}.png" for label in "ab" for number in range(20)]
    data = load(folders.data)
    unread = {files[row] for row in data.validation.index}
    assert len(unread) == 4
    unread |= {f"test/{label}/{number:02}.png" for label in "ab" for number in range(3)}
    assert identical(weights("others", unread), plain)
    assert not identical(weights("one", {files[data.train.index[0]]}), plain)
