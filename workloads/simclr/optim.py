"""LARS, each optimizer's parameter groups, and the learning rate of a step.

After appendix A, B.6 and the authors' code.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from workloads.distributed.torch_internals import add_, added, multiply_, norms, subtract_
from workloads.simclr.own_optimizers import own_optimizer
from workloads.simclr.spec import OptimSpec, RunSpec

__all__ = ["LARS", "build", "learning_rate", "parameter_groups", "rate_at"]


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling (arXiv 1708.03888), as in the authors' code:

        g <- grad + weight_decay * w
        trust <- trust_coefficient * |w| / |g|      (1 if either norm is 0)
        v <- momentum * v + lr * trust * g
        w <- w - v

    The weight decay is part of |g|, and the learning rate is applied inside the momentum, which
    matters as soon as it changes from step to step. Groups with `adapt=False` (biases, BN) have
    trust 1 and no weight decay; adaptation does not depend on the weight decay. Raises ValueError
    for a negative lr, weight decay or trust coefficient and for a momentum outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
    ) -> None:
        for name, value in (
            ("lr", lr),
            ("weight_decay", weight_decay),
            ("trust_coefficient", trust_coefficient),
        ):
            if value < 0:
                raise ValueError(f"{name}={value}: must not be negative")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum}: must be at least 0 and below 1")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "adapt": True,
        }
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every weight that has a gradient; returns the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        weights: list[Tensor] = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        grads: tuple[Tensor, ...] | list[Tensor]
        grads = [weight.grad for weight in weights if weight.grad is not None]
        momenta = [self._momentum(weight) for weight in weights]

        multiply_(momenta, group["momentum"])
        if not group["adapt"]:
            add_(momenta, grads, alpha=group["lr"])
        else:
            grads = added(grads, weights, alpha=group["weight_decay"])
            rates = _trust(weights, grads, group["trust_coefficient"]) * group["lr"]
            multiply_(grads, rates.unbind())
            add_(momenta, grads)
        subtract_(weights, momenta)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def _trust(
    weights: list[Tensor], grads: tuple[Tensor, ...] | list[Tensor], coefficient: float
) -> Tensor:
    """Each weight's trust ratio, in one tensor on the device.

    Reading the numbers would stall a GPU once per weight.
    """
    weight_norms = torch.stack(norms(weights))
    grad_norms = torch.stack(norms(grads))
    defined = (weight_norms > 0) & (grad_norms > 0)
    return torch.where(defined, coefficient * weight_norms / grad_norms, 1.0)


def parameter_groups(module: nn.Module, exclude_bias_and_norm: bool) -> list[dict[str, Any]]:
    """Group a module's trainable parameters for an optimizer.

    With `exclude_bias_and_norm`, parameters of at most one dimension (biases, BN's scale and
    offset) are a group of their own, without weight decay and without LARS's adaptation; and so is
    a supervised classifier, as in the authors' code. Groups without parameters are left out.
    """
    trainable = {
        name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad
    }
    if not exclude_bias_and_norm:
        return [{"params": list(trainable.values()), "adapt": True}]

    adapted: list[Tensor] = []
    exempt: list[Tensor] = []
    for name, parameter in trainable.items():
        leave_out = parameter.ndim <= 1 or name.startswith("classifier.")
        (exempt if leave_out else adapted).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": adapted, "adapt": True},
        {"params": exempt, "adapt": False, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build(module: nn.Module, optim: OptimSpec, lr: float) -> Optimizer:
    """Build the optimizer that a specification asks for, over a module's trainable parameters.

    Raises SpecError for one of somebody's own that cannot be found or built.
    """
    groups = parameter_groups(module, optim.exclude_bias_and_norm)
    if optim.is_own:
        return own_optimizer(groups, optim, lr)
    match optim.name:
        case "lars":
            return LARS(groups, lr, optim.momentum, optim.weight_decay, optim.trust_coefficient)
        case "sgd":
            return SGD(groups, lr=lr, momentum=optim.momentum, weight_decay=optim.weight_decay)
        case "adamw":
            return AdamW(
                groups, lr=lr, betas=(optim.momentum, 0.999), weight_decay=optim.weight_decay
            )
    raise AssertionError(f"{optim.name} is built in, and has no branch here")


def learning_rate(step: int, *, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Return the learning rate of one step: linear from 0 to `peak`, then cosine to 0.

    The peak is at step `warmup_steps`, the 0 at `total_steps`. A warm-up as long as the run never
    decays. Past the end the last value holds. Raises ValueError for a warm-up longer than the run
    or a negative step.
    """
    if step < 0 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            f"needs step={step} >= 0 and 0 <= warmup_steps={warmup_steps} <= "
            f"total_steps={total_steps}"
        )

    step = min(step, total_steps)
    if step < warmup_steps:
        return peak * step / warmup_steps
    if warmup_steps == total_steps:
        return peak
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def rate_at(spec: RunSpec, step: int, steps_per_epoch: int, peak: float | None = None) -> float:
    """Return the learning rate of a step of a run, towards its own peak or another."""
    return learning_rate(
        step,
        peak=spec.learning_rate if peak is None else peak,
        warmup_steps=round(spec.schedule.warmup_epochs * steps_per_epoch),
        total_steps=spec.schedule.epochs * steps_per_epoch,
    )
