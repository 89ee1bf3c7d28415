"""LARS, parameter groups and the schedule, one process: a hand-written loop of the authors' update;
milliseconds.
"""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.optim import LARS, build, learning_rate, parameter_groups
from workloads.simclr.spec import OptimSpec


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 5), GlobalBatchNorm(5), nn.ReLU(), nn.Linear(5, 4, bias=False)
    ).double()


def gradients(network: nn.Module, step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in network.parameters()]


def reference_step(
    w: Tensor,
    grad: Tensor,
    v: Tensor,
    lr: float,
    momentum: float,
    decay: float,
    trust_coefficient: float,
    adapt: bool,
) -> tuple[Tensor, Tensor]:
    """One weight by the authors' code, one number at a time."""
    trust = 1.0
    if adapt:
        grad = grad + decay * w
        w_norm, g_norm = math.sqrt(float((w * w).sum())), math.sqrt(float((grad * grad).sum()))
        if w_norm > 0 and g_norm > 0:
            trust = trust_coefficient * w_norm / g_norm
    v = momentum * v + lr * trust * grad
    return w - v, v


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("exclude", [True, False])
def test_lars_is_the_authors_while_the_learning_rate_changes(decay: float, exclude: bool) -> None:
    network = small_network()
    optimizer = LARS(
        parameter_groups(network, exclude),
        lr=1.0,
        momentum=0.9,
        weight_decay=decay,
        trust_coefficient=0.02,
    )
    weights = [w.detach().clone() for w in network.parameters()]
    momenta = [torch.zeros_like(w) for w in weights]
    for step, lr in enumerate([0.0, 0.5, 2.0, 1.0, 0.1]):
        grads = gradients(network, step)
        for i, (w, grad, v) in enumerate(zip(weights, grads, momenta, strict=True)):
            adapt = not exclude or w.ndim > 1
            weights[i], momenta[i] = reference_step(w, grad, v, lr, 0.9, decay, 0.02, adapt)
        for parameter, grad in zip(network.parameters(), grads, strict=True):
            parameter.grad = grad
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        torch.testing.assert_close(
            [w.detach() for w in network.parameters()], weights, rtol=1e-12, atol=1e-14
        )


def test_a_weight_decay_of_zero_does_not_disable_adaptation() -> None:
    """The length of a step is lr * trust_coefficient * |w|, whatever the size of the gradient."""
    for scale in (1e-3, 1.0, 1e3):
        w = nn.Parameter(torch.full((3, 4), 2.0))
        optimizer = LARS([w], lr=0.5, weight_decay=0.0, trust_coefficient=0.01)
        w.grad = scale * torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
        before = w.detach().clone()
        optimizer.step()
        assert float((w.detach() - before).norm()) == pytest.approx(
            0.5 * 0.01 * float(before.norm()), rel=1e-5
        )


def test_weight_decay_is_inside_the_trust_ratio() -> None:
    """|g + wd w|, not |g| + wd |w|: with g opposed to w they differ by a factor of three here."""
    w = nn.Parameter(torch.ones(4, 4, dtype=torch.float64))
    w.grad = -torch.ones_like(w)
    optimizer = LARS([w], lr=1.0, momentum=0.0, weight_decay=0.5, trust_coefficient=0.1)
    optimizer.step()
    torch.testing.assert_close(w.detach(), torch.full_like(w, 1.1), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("weight", "gradient"), [(0.0, 3.0), (2.0, 0.0), (0.0, 0.0)])
def test_zero_norms_give_trust_one(weight: float, gradient: float) -> None:
    w = nn.Parameter(torch.full((2, 2), weight))
    w.grad = torch.full((2, 2), gradient)
    LARS([w], lr=0.1).step()
    torch.testing.assert_close(w.detach(), torch.full((2, 2), weight - 0.1 * gradient))


def test_parameters_without_gradient_and_the_gradients_themselves_stay() -> None:
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    used.grad = torch.ones(2, 2)
    LARS([used, unused], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(unused, torch.ones(2, 2))
    assert torch.equal(used.grad, torch.ones(2, 2))
    assert not torch.equal(used, torch.ones(2, 2))


def test_a_step_reads_no_number_from_the_device() -> None:
    """On a GPU each read would wait for the device; tensors on the meta device have no numbers to
    read and raise.
    """
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(6, 5), GlobalBatchNorm(5))
    optimizer = build(network, OptimSpec(name="lars"), 1.0)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert len(optimizer.state) == 4


def test_a_resumed_optimizer_continues() -> None:
    networks = small_network(), small_network()
    spec = OptimSpec(name="lars", weight_decay=0.1)
    optimizers = [build(network, spec, 1.0) for network in networks]
    for step in range(4):
        if step == 2:
            optimizers[1] = build(networks[1], spec, 1.0)
            optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
        for network, optimizer in zip(networks, optimizers, strict=True):
            for parameter, grad in zip(network.parameters(), gradients(network, step), strict=True):
                parameter.grad = grad
            optimizer.step()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", -1.0), ("momentum", 1.0), ("weight_decay", -0.1), ("trust_coefficient", -1.0)],
)
def test_lars_refuses_what_makes_no_sense(name: str, value: float) -> None:
    arguments = {"lr": 0.1, name: value}
    with pytest.raises(ValueError, match=name):
        LARS([nn.Parameter(torch.ones(2))], **arguments)


def test_groups_exclude_biases_and_norms() -> None:
    network = small_network()
    network[3].weight.requires_grad_(False)
    adapted, excluded = parameter_groups(network, True)
    assert adapted["params"] == [network[0].weight]
    assert adapted["adapt"] is True
    assert excluded["params"] == [network[0].bias, network[1].weight, network[1].bias]
    assert excluded["adapt"] is False
    assert excluded["weight_decay"] == 0
    (everything,) = parameter_groups(network, False)
    assert len(everything["params"]) == 4
    assert everything["adapt"] is True
    assert len(parameter_groups(nn.Linear(2, 2, bias=False), True)) == 1


@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_only_decayed_weights_shrink_without_a_gradient(name: str, exclude: bool) -> None:
    network = small_network()
    nn.init.constant_(network[0].bias, 1.0)
    spec = OptimSpec.read({"name": name, "weight_decay": 0.5, "exclude_bias_and_norm": exclude})
    optimizer = build(network, spec, 0.1)
    before = [w.detach().clone() for w in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        shrinks = bool(old.any()) and (old.ndim > 1 or not exclude)
        assert (float(new.detach().norm()) < float(old.norm())) is shrinks


def test_sgd_and_adamw_are_torchs() -> None:
    sgd = build(small_network(), OptimSpec(name="sgd", momentum=0.8, weight_decay=0.1), 0.3)
    assert isinstance(sgd, SGD)
    assert [group["weight_decay"] for group in sgd.param_groups] == [0.1, 0]
    assert all(
        (g["lr"], g["momentum"], g["nesterov"]) == (0.3, 0.8, False) for g in sgd.param_groups
    )
    adamw = build(small_network(), OptimSpec(name="adamw", momentum=0.8, weight_decay=0.1), 0.3)
    assert isinstance(adamw, AdamW)
    assert all(g["betas"] == (0.8, 0.999) for g in adamw.param_groups)


def test_schedule_at_its_corners() -> None:
    rates = [learning_rate(step, peak=4.8, warmup_steps=10, total_steps=110) for step in range(111)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(2.4)
    assert rates[10] == pytest.approx(4.8)
    assert rates[35] == pytest.approx(4.8 * (1 + math.sqrt(0.5)) / 2)
    assert rates[60] == pytest.approx(2.4)
    assert rates[110] == pytest.approx(0, abs=1e-15)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_schedule_without_warmup_starts_at_the_peak() -> None:
    assert learning_rate(0, peak=2.0, warmup_steps=0, total_steps=8) == 2
    assert learning_rate(4, peak=2.0, warmup_steps=0, total_steps=8) == pytest.approx(1)


def test_schedule_that_only_warms_up() -> None:
    rates = [learning_rate(step, peak=2.0, warmup_steps=4, total_steps=4) for step in range(6)]
    assert rates == [0, 0.5, 1, 1.5, 2, 2]


def test_schedule_past_the_end_stays_at_zero() -> None:
    assert learning_rate(12, peak=2.0, warmup_steps=2, total_steps=8) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("step", "warmup", "total"), [(-1, 0, 5), (0, 6, 5), (0, -1, 5)])
def test_schedule_refuses_what_makes_no_sense(step: int, warmup: int, total: int) -> None:
    with pytest.raises(ValueError, match="warmup_steps"):
        learning_rate(step, peak=1.0, warmup_steps=warmup, total_steps=total)
