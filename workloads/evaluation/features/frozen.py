"""A frozen encoder and how it is applied, which together decide every bit of its features.

Shapes: N images of a split, B of a batch, S the side of a view, D the width of h, P that of what a
head makes of h.
"""

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workloads.datasets import Split
from workloads.distributed.data_parallel import means_over_workers
from workloads.distributed.worker import Worker
from workloads.evaluation.divergence import FeaturesNotFiniteError, refuse_infinite
from workloads.evaluation.features.digests import unchanged
from workloads.simclr.spec import RunSpec
from workloads.simclr.trained import load_encoder
from workloads.simclr.views import center_view

__all__ = ["BATCH", "FrozenEncoder"]

BATCH = 500  # images at a time
ROWS = 4096  # features at a time


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder that is asked for features and not trained, and how it is applied to images.

    `module` maps views float32 [B, 3, S, S] to h [B, D]. What is fine-tuned is a copy of it.
    """

    module: nn.Module
    view_size: int  # S, in pixels
    worker: Worker  # which computes, alone or as one of several
    bf16: bool = False  # under autocast to bfloat16

    @classmethod
    def of_state(cls, spec: RunSpec, state: dict[str, Any], worker: Worker) -> "FrozenEncoder":
        """Load the encoder of a training state, in inference mode. Every one of its keys must fit.

        In bf16 where the specification asks for it and the worker's hardware has it.
        """
        encoder = load_encoder(spec, state, worker)
        return cls(encoder, spec.view_size, worker, spec.precision == "bf16" and worker.bf16)

    def unchanged(self) -> AbstractContextManager[None]:
        """Check that what is done meanwhile changes no weight. Raises RuntimeError at the end."""
        return unchanged(self.module)

    def autocast(self) -> torch.autocast:
        """Compute in the encoder's precision meanwhile."""
        return torch.autocast(self.worker.device.type, torch.bfloat16, enabled=self.bf16)

    def features(self, split: Split, batch: int = BATCH) -> NDArray[np.float32]:
        """Compute h [N, D] of a split's images in its order, as at test time: not augmented.

        Every worker calls; all but the first get none, [0, D]. Raises FeaturesNotFiniteError, on
        all of them.
        """
        return np.concatenate(list(self.feature_blocks(split, batch)))

    def feature_blocks(self, split: Split, batch: int = BATCH) -> Generator[NDArray[np.float32]]:
        """Yield the same features `batch` rows at a time, [B, D], so that memory need not hold all.

        Workers compute a batch each and send it to the first, which yields all in order; the others
        yield empty ones. Batches are those of one worker, and so, on equal devices, is every bit of
        the features. All of several workers must go on to the end. The encoder's mode is put back
        there, or when the generator is closed. Raises FeaturesNotFiniteError at the end, on all
        workers, if one of the features is not finite.
        """
        was_training, workers = self.module.training, self.worker.world_size
        batches = [
            slice(start, min(start + batch, len(split))) for start in range(0, len(split), batch)
        ]
        rounds = [batches[first : first + workers] for first in range(0, len(batches), workers)]

        # Whose turn does not come in the last round repeats its last batch, because every worker
        # has to send something.
        mine = (together[min(self.worker.rank, len(together) - 1)] for together in rounds)

        self.module.eval()
        finite = torch.ones((), device=self.worker.device)
        try:
            for together, images in zip(rounds, split.stream(mine), strict=True):
                sizes = [rows.stop - rows.start for rows in together]
                h = self._of_images(images)
                finite *= h.isfinite().all()
                yield from _in_order(h, sizes, self.worker)
        finally:
            self.module.train(was_training)
        # Not before: workers that have sent nothing yet would be waited for.
        if means_over_workers(finite[None], self.worker) != [1.0]:
            raise FeaturesNotFiniteError("h")

    def _of_images(self, images: Tensor) -> Tensor:
        """Of the central views of stored images uint8 [B, 3, H, W]."""
        with torch.inference_mode(), self.autocast():
            views = center_view(images.to(self.worker.device), self.view_size)
            h: Tensor = self.module(views.contiguous(memory_format=torch.channels_last)).float()
        return h

    def outputs_of(self, head: nn.Module, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute what a head, in the same precision, makes of features h [N, D]: [N, P].

        Raises FeaturesNotFiniteError.
        """
        outputs = []
        with torch.inference_mode(), self.autocast():
            for rows in torch.split(torch.from_numpy(features), ROWS):
                outputs.append(head(rows.to(self.worker.device)).float().cpu())
        found = torch.cat(outputs).numpy()
        refuse_infinite("what is made of h", found)
        return found


def _in_order(h: Tensor, sizes: list[int], worker: Worker) -> Iterator[NDArray[np.float32]]:
    """The batches of one round, of these sizes, on the first worker; an empty one on each other."""
    if worker.world_size == 1:
        yield h.cpu().numpy()
        return

    # Only the split's last batch may be smaller than the first of its round; all have to be equally
    # large to be sent.
    sent = functional.pad(h, (0, 0, 0, sizes[0] - len(h))).contiguous()
    gathered = (
        [torch.empty_like(sent) for _ in range(worker.world_size)] if worker.rank == 0 else None
    )
    dist.gather(sent, gathered)
    if gathered is None:
        yield h[:0].cpu().numpy()
        return
    for each, size in zip(gathered, sizes, strict=False):
        yield each[:size].cpu().numpy()
