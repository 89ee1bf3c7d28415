"""The state from which training continues: plain data and tensors of its own, on the CPU."""

from typing import Any

import torch
from torch import Tensor

from workloads.checkpoint import StateError, is_finite
from workloads.simclr.model import Model
from workloads.simclr.online import OnlineProbe
from workloads.simclr.spec import RunSpec

__all__ = ["restore", "state_of"]


def state_of(
    spec: RunSpec,
    model: Model,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    probe: OnlineProbe | None = None,
) -> dict[str, Any]:
    """Return the state after so many epochs, in copies that the next one does not change."""
    online = {"online": _copied(probe.state_dict())} if probe else {}
    return {
        "fingerprint": spec.fingerprint(),
        "epoch": epoch,
        "model": _copied(model.state_dict()),
        "optimizer": _copied(optimizer.state_dict()),
        **online,
    }


def restore(
    spec: RunSpec,
    model: Model,
    optimizer: torch.optim.Optimizer,
    probe: OnlineProbe | None,
    state: dict[str, Any],
) -> int:
    """Put a state into what is trained, and return the number of epochs that it has had.

    Raises StateError for the state of another specification, and for a damaged one.
    """
    of = state.get("fingerprint")
    if of != spec.fingerprint():
        raise StateError([f"resume: the state is of another specification ({of})"])
    if not is_finite(state):
        raise StateError(["resume: the state has numbers that are not finite"])

    try:
        model.load_state_dict(state["model"])
        # Optimizers keep the tensors that they are given, and change them.
        optimizer.load_state_dict(_copied(state["optimizer"]))
        if probe:
            probe.load_state_dict(_copied(state["online"]))
        epoch = int(state["epoch"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise StateError([f"resume: the state does not fit the network: {why}"]) from error
    if not 0 <= epoch <= spec.schedule.epochs:
        raise StateError([f"resume: the state is of epoch {epoch} of {spec.schedule.epochs}"])
    return epoch


def _copied(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {name: _copied(value) for name, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list) else tree
