"""The two-layer CNN that is fine-tuned: F_+ - F_- with a fixed second layer (section 3).

Its weights are +1/m and -1/m.

Legend: B runs, R = 2m filters of which the first m are F_+, K patches, N inputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from workloads.two_layer_cnn.data import Samples

__all__ = ["logistic_loss", "logistic_step", "outputs", "second_layer"]


def second_layer(filters: int, like: Tensor) -> Tensor:
    """Return +1/m for the m filters of F_+, -1/m for those of F_-: [R, 1]."""
    signs = torch.ones(filters, 1, dtype=like.dtype, device=like.device)
    signs[filters // 2 :] = -1
    return signs / (filters // 2)


def outputs(activations: Tensor, samples: Samples, power: int) -> Tensor:
    """Compute f [B, N] from <w, patch> [B, R, K], the patches being the rows of `samples`."""
    weights = second_layer(activations.shape[1], activations)
    return _outputs((activations.clamp(min=0).pow(power) * weights).sum(1), samples)


def logistic_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Compute log(1 + exp(-y f)), the mean over inputs: [B]."""
    return F.softplus(-labels * outputs).mean(1)


def logistic_step(activations: Tensor, samples: Samples, power: int) -> tuple[Tensor, Tensor]:
    """Compute the logistic loss [B] and its gradient by <w, patch> [B, R, K], in closed form."""
    weights = second_layer(activations.shape[1], activations)
    positive = activations.clamp(min=0)
    slope = positive.pow(power - 1)  # of sigma, but for the factor q
    out = _outputs((slope * positive * weights).sum(1), samples)

    count = len(samples.labels)
    with_respect_to_output = -samples.labels * torch.sigmoid(-samples.labels * out) / count
    # A signal patch that several inputs share has the sum of theirs.
    with_respect_to_patch = activations.new_zeros(len(out), activations.shape[2])
    with_respect_to_patch.index_add_(1, samples.signal_of, with_respect_to_output)
    with_respect_to_patch[:, -count:] = with_respect_to_output

    gradient = slope.mul_(power * weights).mul_(with_respect_to_patch[:, None])
    return logistic_loss(out, samples.labels), gradient


def _outputs(by_patch: Tensor, samples: Samples) -> Tensor:
    """Each input's signal patch plus its noise patch, from what each patch gives [B, K]."""
    return by_patch[:, samples.signal_of] + by_patch[:, -len(samples.labels) :]
