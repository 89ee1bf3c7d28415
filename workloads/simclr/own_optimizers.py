"""An optimizer of somebody's own in the place of a built-in one.

It is a class or function that is called with parameter groups, the learning rate and its options,
and gives a `torch.optim.Optimizer`: `torch.optim:RAdam` is one. Each group has `params`, its
`weight_decay` (`optim.weight_decay`, and 0 for biases and norms where these are left out) and
`adapt` (whether LARS would adapt it); whichever of them an optimizer does not know, torch keeps
unread. The learning rate of a step is put into the groups' `lr` before the step. What goes on from
a checkpoint is what its `state_dict` has.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from workloads.parts import OPTIMIZERS, OwnPart, find, read_options
from workloads.simclr.spec import OptimSpec
from workloads.spec import SpecError

__all__ = ["BuildsOptimizer", "optimizer_part", "own_optimizer", "own_optimizer_problem"]

FIELD, OPTIONS = "optim.name", "optim.options"


class BuildsOptimizer(Protocol):
    """What an own optimizer is, with options as one frozen pydantic class or one each."""

    def __call__(
        self, groups: Sequence[dict[str, Any]], learning_rate: float, *, options: Any
    ) -> Optimizer:
        """Return an optimizer of the groups' parameters."""


def optimizer_part(optim: OptimSpec) -> OwnPart:
    """Find the optimizer that a specification names. Raises SpecError."""
    return find(OPTIMIZERS, FIELD, optim.name, optim.code)


def own_optimizer(groups: list[dict[str, Any]], optim: OptimSpec, lr: float) -> Optimizer:
    """Build an own optimizer. Raises SpecError where it cannot be built, or takes no rate."""
    part = optimizer_part(optim)
    options = read_options(part, OPTIONS, optim.options)
    decayed = [{"weight_decay": optim.weight_decay} | group for group in groups]
    try:
        made = part.make(decayed, lr, options=options)
    except Exception as error:  # whatever its author's code raises
        raise SpecError([f"{_named(optim)}: cannot be built: {_told(error)}"]) from error
    if not isinstance(made, Optimizer):
        what = type(made).__name__
        raise SpecError([f"{_named(optim)}: gives {what}, and not a torch.optim.Optimizer"])
    if not all("lr" in group for group in made.param_groups):
        raise SpecError(
            [f"{_named(optim)}: {type(made).__name__} has no 'lr' in its groups to be scheduled"]
        )
    return made


def own_optimizer_problem(optim: OptimSpec) -> str | None:
    """Say why an optimizer cannot be trained with, by a step of it; None where it can."""
    matrix, bias = (nn.Parameter(torch.ones(shape)) for shape in ((3, 2), (2,)))
    groups = [
        {"params": [matrix], "adapt": True},
        {"params": [bias], "adapt": False, "weight_decay": 0.0},
    ]
    try:
        with torch.random.fork_rng(devices=[]):
            made = own_optimizer(groups, optim, 0.1)
            for parameter in (matrix, bias):
                parameter.grad = torch.ones_like(parameter)
            made.step()
            made.load_state_dict(made.state_dict())
    except SpecError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever its author's code raises
        return f"{_named(optim)}: fails at a step: {_told(error)}"
    return None


def _named(optim: OptimSpec) -> str:
    return f"{FIELD}={optim.name!r}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
