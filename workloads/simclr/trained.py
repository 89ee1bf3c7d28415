"""Networks that are built from a trained state."""

from typing import Any

from torch import nn

from workloads.distributed.worker import Worker
from workloads.simclr.model import SimCLR, initial_model
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import SupervisedModel, is_supervised

__all__ = ["load_encoder", "load_model"]


def load_encoder(spec: RunSpec, state: dict[str, Any], worker: Worker) -> nn.Module:
    """Load the encoder f of a training state, in inference mode.

    Every one of its keys must fit.
    """
    encoder = initial_model(spec).encoder
    # Without what follows it: an untrained encoder's fingerprint does not name a head.
    weights = {name: value for name, value in state["model"].items() if name.startswith("encoder.")}
    encoder.load_state_dict(
        {name.removeprefix("encoder."): value for name, value in weights.items()}
    )
    return encoder.to(worker.device).eval()


def load_model(spec: RunSpec, state: dict[str, Any], worker: Worker) -> SimCLR | SupervisedModel:
    """Load the encoder and its projection head, or a supervised run's classifier.

    The model is in inference mode. Every key must fit.
    """
    weights = state["model"]
    model: SimCLR | SupervisedModel
    model = (
        initial_model(spec, len(weights["classifier.bias"]))
        if is_supervised(spec)
        else initial_model(spec)
    )
    model.load_state_dict(weights)
    return model.to(worker.device).eval()
