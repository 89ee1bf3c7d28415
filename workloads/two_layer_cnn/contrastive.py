"""The contrastive loss of pre-training, its gradient in closed form, and its theory.

With F_r(x) = phi(<w_r, signal>) + phi(<w_r, noise>), sim_i = <F(x_i), F(x~_i)> and sim_ik =
<F(x_i), F(x_k)>, all plain inner products, the loss is -(1/n0) sum_i log(e^(sim_i/tau) /
(e^(sim_i/tau) + sum_(k != i) e^(sim_ik/tau))). phi is the identity in the paper. The paper's text
quotes its form; that nothing is normalised follows from the matrix A of Lemma 5.1.

Legend: B runs, R = 2m filters, N = n0 inputs, S signal patches, K = S + 2N patches, d length of a
patch.
"""

import math

import torch
from torch import Tensor

from workloads.two_layer_cnn.data import Samples

__all__ = [
    "contrastive_step",
    "predicted_alignment",
    "pretraining_spectrum",
    "principal_component",
    "summed_patches",
]


def contrastive_step(
    activations: Tensor, samples: Samples, *, temperature: float, relu: bool
) -> tuple[Tensor, Tensor]:
    """Compute the loss [B] and its gradient with respect to <w, patch> [B, R, K]."""
    count, signals = len(samples.labels), samples.signal_count

    # F of both views of each input, and their similarities; a positive stands on the diagonal.
    features = activations.clamp(min=0) if relu else activations
    shared = features[:, :, samples.signal_of]
    first = shared + features[:, :, signals : signals + count]
    second = shared + features[:, :, signals + count :]
    similarity = first.mT @ first / temperature
    positive = (first * second).sum(1) / temperature
    similarity.diagonal(dim1=1, dim2=2).copy_(positive)

    # Log-sum-exp and softmax by hand, without copies: the matrices of similarities are most of
    # the work.
    largest = similarity.amax(2, keepdim=True)
    probability = similarity.sub_(largest).exp_()
    total = probability.sum(2, keepdim=True)
    loss = ((total.log() + largest)[:, :, 0] - positive).mean(1)

    # The gradient by similarity: the softmax, less 1 at the positive, which is of both views.
    pull = probability.div_(total * (count * temperature))
    diagonal = pull.diagonal(dim1=1, dim2=2)
    attraction = (diagonal - 1 / (count * temperature))[:, None]
    diagonal.zero_()

    # From there to the patches; inputs with the same signal patch add up in it.
    by_second = first * attraction
    by_first = first @ (pull + pull.mT) + second * attraction
    by_signal = features.new_zeros(*features.shape[:2], signals).index_add_(
        2, samples.signal_of, by_first + by_second
    )
    gradient = torch.cat([by_signal, by_first, by_second], 2)
    return loss, gradient * (activations > 0) if relu else gradient


def summed_patches(samples: Samples, signal_norm: float) -> tuple[Tensor, Tensor]:
    """Sum both patches of each view: z and z~ [N, d].

    That is all that a linear network sees of an input.
    """
    rows = samples.rows * samples.scale(signal_norm)[:, None]
    count = len(samples.labels)
    signal = rows[samples.signal_of]
    return signal + rows[-2 * count : -count], signal + rows[-count:]


def pretraining_spectrum(first: Tensor, second: Tensor) -> tuple[float, float, Tensor]:
    """Compute the two largest eigenvalues of A tau / eta (Lemma 5.1), and the top eigenvector.

    That is a unit vector [d]. While the filters are tiny, gradient descent multiplies them by I + A
    each step, with A = (eta / (n0^2 tau)) times the sum over i and k != i of z_i z~_i^T + z~_i
    z_i^T - z_i z_k^T - z_k z_i^T.
    """
    count = len(first)
    attract = (count - 1) * torch.eye(count, dtype=first.dtype)
    repel = 2 * (torch.eye(count, dtype=first.dtype) - 1)
    between = torch.cat(
        [torch.cat([repel, attract], 1), torch.cat([attract, torch.zeros_like(attract)], 1)]
    )

    # A acts in the span of the inputs only, where it is a smaller matrix than in R^d.
    basis, inside = torch.linalg.qr(torch.cat([first, second]).T)
    values, vectors = torch.linalg.eigh(inside @ between @ inside.T / count**2)
    return float(values[-1]), float(values[-2]), basis @ vectors[:, -1]


def predicted_alignment(inputs: int, signal_to_noise: float) -> float:
    """Predict the cosine between the top eigenvector of A and mu in high dimension.

    For independent views. In A tau / eta the signal has the eigenvalue 2 ||mu||^2 and each input's
    noise +- sigma_p^2 d / n0; our derivation.
    """
    return 1 / math.sqrt(1 + 1 / (2 * inputs * signal_to_noise**2))


def principal_component(inputs: Tensor) -> Tensor:
    """Return the unit vector [d] along which the inputs [N, d] vary most."""
    centred = inputs - inputs.mean(0)
    components: Tensor = torch.linalg.svd(centred, full_matrices=False).Vh
    return components[0]
