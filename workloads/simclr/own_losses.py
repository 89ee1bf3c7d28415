"""A loss of somebody's own in the place of a built-in one.

It is a function that is called with the embeddings of both views of a whole batch, z0 and z1
[N, P], and its options, and gives a number: its result is that of one process on any number of
workers, without its author's doing. Every worker is given the embeddings of all, with their
gradient, and computes the whole loss; the gradients that workers exchange are their mean.

Embeddings are in single precision, whatever autocast says, and not normalised. Row i of z0 and z1
are of the same image; the order of images is that of the workers, and means nothing.

Letters: n images of one worker, N of all, P the width of z.
"""

from functools import lru_cache
from typing import Any, Protocol

import torch
from pydantic import BaseModel
from torch import Tensor

from workloads.distributed.collectives import all_gather_with_gradient
from workloads.parts import LOSSES, OwnPart, find, read_options
from workloads.simclr.spec import LossSpec
from workloads.spec import SpecError

__all__ = ["Loss", "loss_part", "own_loss", "own_loss_problem"]

FIELD, OPTIONS = "loss.name", "loss.options"


class Loss(Protocol):
    """What an own loss is, with options as one frozen pydantic class or one parameter each."""

    def __call__(self, z0: Tensor, z1: Tensor, *, options: Any) -> Tensor:
        """Return the loss [] of both views' embeddings [N, P] of all workers."""


def loss_part(loss: LossSpec) -> OwnPart:
    """Find the loss that a specification names. Raises SpecError."""
    return find(LOSSES, FIELD, loss.name, loss.code)


def own_loss(z0: Tensor, z1: Tensor, loss: LossSpec) -> Tensor:
    """Compute an own loss [] of this worker's embeddings [n, P], against those of all workers.

    In a process group this is a collective over equal n. Raises SpecError for what gives no number.
    """
    part, options = _found(loss)
    with torch.autocast(z0.device.type, enabled=False):
        wide = torch.promote_types(z0.dtype, torch.float32)
        # Both views of an image travel together.
        z = all_gather_with_gradient(torch.stack([z0, z1], dim=1).to(wide))
        return _number(part, z, options)


def own_loss_problem(loss: LossSpec) -> str | None:
    """Say why a loss cannot be trained with, by trying it on a few numbers; None where it can."""
    z0, z1 = (torch.linspace(-1, 1, 32).roll(by).view(4, 8).requires_grad_() for by in (0, 3))
    try:
        part = loss_part(loss)
        options = read_options(part, OPTIONS, loss.options)
        with torch.random.fork_rng(devices=[]):
            value = _number(part, torch.stack([z0, z1], dim=1), options)  # of this worker only
        if not value.requires_grad:
            return f"{FIELD}={loss.name!r}: does not depend on z0 and z1 by what can be derived"
        value.backward()  # type: ignore[no-untyped-call]
    except SpecError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever its author's code raises
        told = " ".join(str(error).split())
        return f"{FIELD}={loss.name!r}: fails on embeddings [4, 8]: {type(error).__name__}: {told}"
    return None


def _number(part: OwnPart, z: Tensor, options: BaseModel) -> Tensor:
    """The loss [] of embeddings [N, 2, P]. Raises SpecError for what gives no number."""
    value = part.make(*z.unbind(dim=1), options=options)
    if not isinstance(value, Tensor) or value.shape != () or not value.is_floating_point():
        got = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise SpecError([f"{FIELD}={part.name!r}: gives {got}, and not one number as a tensor []"])
    return value


@lru_cache(maxsize=16)
def _found(loss: LossSpec) -> tuple[OwnPart, BaseModel]:
    """The part and its options, found once for all steps."""
    part = loss_part(loss)
    return part, read_options(part, OPTIONS, loss.options)
