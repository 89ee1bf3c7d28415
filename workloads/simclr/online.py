"""The online probe (B.6): a linear classifier of h, trained along without a say in the encoder.

The paper names it as equivalent to linear evaluation; it costs next to nothing and sees the
augmented views only.

Shapes: n images of this worker, D the width of h, C classes.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.distributed.worker import Worker

__all__ = ["OnlineProbe"]


class OnlineProbe:
    """A linear classifier of h and its optimizer, from zero and without regularisation.

    SGD with Nesterov momentum 0.9. The peak rate is 0.1 * B / 256 for a batch of B images, as in
    linear evaluation, with the warm-up and the decay of pre-training. The authors' code uses the
    optimizer and the rate of pre-training there, whose LARS leaves this layer out of its
    adaptation: what suits the encoder would then decide how well the classifier learns.
    """

    metric = "online_accuracy"

    def __init__(self, feature_dim: int, classes: int, batch_size: int, worker: Worker) -> None:
        self.peak = 0.1 * batch_size / 256
        # Made without its usual weights, which would be drawn from the stream of random numbers
        # that others read.
        self.classifier = nn.Linear(feature_dim, classes, device="meta").to_empty(
            device=worker.device
        )
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.optimizer = torch.optim.SGD(
            self.classifier.parameters(), lr=self.peak, momentum=0.9, nesterov=True
        )
        self.worker = worker

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        self.optimizer.param_groups[0]["lr"] = rate

    def step(self, h: Tensor, labels: Tensor) -> Tensor:
        """Update from h [2 n, D] of both views and the images' labels [n].

        All first views come before all second ones. Returns the accuracy in % before the update,
        without waiting for the device. In fp32, and h gets no gradient.
        """
        h, labels = h.detach().float(), labels.repeat(len(h) // len(labels))
        logits = self.classifier(h)

        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        # Workers have equally many images: the mean of their gradients is that of the batch.
        self._average_gradients()
        self.optimizer.step()

        right: Tensor = logits.detach().argmax(dim=1) == labels
        return 100 * right.float().mean()

    def state_dict(self) -> dict[str, Any]:
        """Return the live tensors, by the names that `online_result` and `load_state_dict` read."""
        return {
            "classifier": self.classifier.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from an earlier `state_dict`, whose tensors the next step may change."""
        self.classifier.load_state_dict(state["classifier"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _average_gradients(self) -> None:
        if self.worker.world_size == 1:
            return
        gradients = [
            parameter.grad
            for parameter in self.classifier.parameters()
            if parameter.grad is not None
        ]

        # One message for all of them.
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.worker.world_size
        means = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
